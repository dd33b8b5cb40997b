"""Plots as SVG that goes into a page: text stays text, and colours are the theme's.

Matplotlib draws with stand-in colours. In the finished drawing each is replaced by the variable of
the style sheet that it stands for, so a plot follows the light and the dark theme as the other
drawings do. A plot is as wide as a phone and grows downwards.
"""

from __future__ import annotations

import dataclasses
import html
import io
import re

# Stand-ins, and what they become.
INK, FAINT, LINE = "#010101", "#020202", "#030303"
OURS, OURS_SOFT, REPORTED = "#040404", "#050505", "#060606"
VARIABLES = {INK: "--hak-ink", FAINT: "--hak-faint", LINE: "--hak-line", OURS: "--hak-malloc",
             OURS_SOFT: "--hak-malloc-soft", REPORTED: "--hak-free"}

WIDTH_POINTS = 350
ROW_POINTS = 18
FONT_POINTS = 10
# Of a letter, about. Names of bars must not be cut off, nor take the room of the bars.
LETTER_POINTS = 5.8
NAMES_SHARE_MIN, NAMES_SHARE_MAX = 0.22, 0.48


@dataclasses.dataclass(frozen=True)
class Bar:
    """One bar: its samples, or the word that stands in its place."""

    label: str
    samples: tuple[float, ...] = ()
    middle: float = 0.0
    word: str = ""
    ours: bool = False
    stale: bool = False
    reported: float | None = None


@dataclasses.dataclass(frozen=True)
class Group:
    """Bars under a common heading."""

    title: str
    bars: tuple[Bar, ...]


def bars_svg(groups: list[Group], axis: str, name: str, alt: str, one: bool = False) -> str:
    """Bars from left to right with every sample as a dot; `one` marks where both are the same."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure
    from matplotlib.transforms import blended_transform_factory

    rows = sum(len(group.bars) + 1.2 for group in groups)
    height = rows * ROW_POINTS + 46
    settings = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": FONT_POINTS,
                "font.family": "DejaVu Sans"}
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(WIDTH_POINTS / 72, height / 72))
        names = max(len(_name(bar)) for group in groups for bar in group.bars)
        left = (names * LETTER_POINTS + 8) / WIDTH_POINTS
        left = min(max(left, NAMES_SHARE_MIN), NAMES_SHARE_MAX)
        axes = figure.add_axes((left, 36 / height, 0.96 - left, 1 - 44 / height))
        at_the_edge = blended_transform_factory(figure.transFigure, axes.transData)
        place = 0.0
        ticks, labels = [], []
        for group in groups:
            axes.text(0.005, place, group.title, transform=at_the_edge, color=INK, weight="bold",
                      va="center", ha="left", clip_on=False)
            place += 1
            for bar in group.bars:
                _bar(axes, bar, place)
                ticks.append(place)
                labels.append(_name(bar))
                place += 1
            place += 0.2
        axes.set_ylim(place - 0.3, -0.6)
        axes.set_xlim(0, 1.04 * _greatest(groups, one))
        axes.set_yticks(ticks, labels, color=INK)
        axes.set_xlabel(axis, color=FAINT)
        axes.tick_params(axis="y", length=0)
        axes.tick_params(axis="x", colors=FAINT)
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="x", color=LINE, linewidth=0.5, alpha=0.5)
        axes.set_axisbelow(True)
        if one:
            axes.axvline(1, color=INK, linewidth=1)
        for side, spine in axes.spines.items():
            spine.set_visible(side == "bottom")
            spine.set_color(LINE)
        axes.patch.set_visible(False)
        figure.patch.set_visible(False)
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    return themed(written.getvalue(), name, alt)


def _name(bar: Bar) -> str:
    return f"{bar.label} (stale)" if bar.stale else bar.label


def _greatest(groups: list[Group], one: bool) -> float:
    """What the axis must reach, so that no mark is cut in half at its end."""
    bars = [bar for group in groups for bar in group.bars]
    shown = [sample for bar in bars for sample in bar.samples]
    shown += [bar.reported for bar in bars if bar.reported is not None]
    return max([*shown, 1.0 if one else 0.0]) or 1.0


def _bar(axes, bar: Bar, place: float) -> None:
    from matplotlib.colors import to_rgba

    if bar.reported is not None:
        axes.plot([bar.reported], [place], marker="D", color=REPORTED, markersize=5, zorder=4)
    if bar.word:
        axes.text(0, place, f" {bar.word}", color=FAINT, style="italic", va="center", ha="left")
        return
    axes.barh(place, bar.middle, height=0.62, color=OURS_SOFT if bar.ours else to_rgba(LINE, 0.3),
              edgecolor=OURS if bar.ours else LINE, linewidth=1,
              linestyle="dashed" if bar.stale else "solid")
    axes.plot([min(bar.samples), max(bar.samples)], [place, place], color=FAINT, linewidth=1,
              zorder=3)
    axes.scatter(bar.samples, [place] * len(bar.samples), s=8, color=FAINT, alpha=0.55, zorder=3,
                 linewidths=0)


def themed(text: str, name: str, alt: str) -> str:
    """Matplotlib's file as part of a page: no identifier that is not needed, the page's colours."""
    text = re.sub(r"<\?xml.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE.*?>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<metadata>.*?</metadata>\s*|<style.*?</style>\s*", "", text, flags=re.DOTALL)
    needed = set(re.findall(r'(?:href="#|url\(#)([\w-]+)', text))

    def identifier(match: re.Match) -> str:
        return f' id="{name}-{match[1]}"' if match[1] in needed else ""

    text = re.sub(r'\sid="([^"]*)"', identifier, text)
    text = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)
    for stand_in, variable in VARIABLES.items():
        text = text.replace(stand_in, f"var({variable})")
    text = re.sub(r"font: ([^;\"]*?)([\d.]+)px [^;\"]*", _font, text)
    label = html.escape(alt, quote=True)
    size = re.search(r'viewBox="([^"]+)"', text)[1]
    return re.sub(r"<svg\b[^>]*>", f'<svg role="img" aria-label="{label}" viewBox="{size}">', text,
                  count=1)


def _font(match: re.Match) -> str:
    weight = "; font-weight: bold" if re.search(r"bold|700", match[1]) else ""
    style = "; font-style: italic" if "italic" in match[1] else ""
    return f"font-size: {match[2]}px{weight}{style}"
