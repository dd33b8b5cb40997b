"""Plots as SVG that goes into a page: text stays text, and colours are the theme's.

Matplotlib draws with stand-in colours. In the finished drawing each is replaced by the variable of
the style sheet that it stands for, so a plot follows the light and the dark theme as the other
drawings do. A plot is as wide as a phone and grows downwards.
"""

from __future__ import annotations

import contextlib
import dataclasses
import html
import io
import itertools
import re

# Stand-ins, and what they become.
INK, FAINT, LINE = "#010101", "#020202", "#030303"
OURS, OURS_SOFT, REPORTED, REPORTED_SOFT = "#040404", "#050505", "#060606", "#070707"
VARIABLES = {INK: "--hak-ink", FAINT: "--hak-faint", LINE: "--hak-line", OURS: "--hak-malloc",
             OURS_SOFT: "--hak-malloc-soft", REPORTED: "--hak-free",
             REPORTED_SOFT: "--hak-free-soft"}

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
    from matplotlib.transforms import blended_transform_factory

    rows = sum(len(group.bars) + 1.2 for group in groups)
    height = rows * ROW_POINTS + 46
    with _figure(height, name, alt) as (figure, text):
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
        _plain(axes, "x")
        if one:
            axes.axvline(1, color=INK, linewidth=1)
    return text.getvalue()


@contextlib.contextmanager
def _figure(height: float, name: str, alt: str):
    """A figure to draw into; the text has it as part of a page once that is done."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib.figure import Figure

    settings = {"svg.fonttype": "none", "svg.hashsalt": name, "font.size": FONT_POINTS,
                "font.family": "DejaVu Sans"}
    text, written = io.StringIO(), io.StringIO()
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(WIDTH_POINTS / 72, height / 72))
        figure.patch.set_visible(False)
        yield figure, text
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text.write(themed(written.getvalue(), name, alt))


def _plain(axes, grid: str) -> None:
    """Nothing but the axis below and the lines of a grid."""
    axes.grid(axis=grid, color=LINE, linewidth=0.5, alpha=0.5)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LINE)
    axes.patch.set_visible(False)


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


# ---- traces -------------------------------------------------------------------------------------

PANEL_POINTS, GAP_POINTS = 92, 26
LEGEND_POINTS, NAMES_POINTS, AXIS_POINTS = 38, 46, 34  # above all, below that, and at the bottom
PANELS_LEFT, PANELS_WIDTH = 0.115, 0.865
SMALL_POINTS = 8.5
CLASS_COLOURS = ((OURS, OURS_SOFT), (REPORTED, REPORTED_SOFT))  # line and area of each class
DASHES = ((0, (5, 2)), (0, (1, 1.2)))  # of each trace that stands beside


def trace_svg(shown, beside: dict, name: str, alt: str, stale: bool = False) -> str:
    """What magazines did while a program went through its stages; below each other, one time.

    Traces are those of hakmem_results; those that stand beside are there by their titles. Colours
    tell classes apart, and dashes the traces.
    """
    panels = {"Capacity, blocks": _capacities, "Held by the magazines, KiB": _held,
              "Refills and flushes of a step": _slow_paths}
    height = LEGEND_POINTS + NAMES_POINTS + AXIS_POINTS \
        + len(panels) * (PANEL_POINTS + GAP_POINTS) - GAP_POINTS
    with _figure(height, name, alt) as (figure, text):
        _stages(figure, height, shown)
        top = height - LEGEND_POINTS - NAMES_POINTS
        for title, draw in panels.items():
            axes = _panel(figure, top - PANEL_POINTS, height, PANEL_POINTS, shown)
            axes.set_title(title, loc="left", color=INK, weight="bold", size=FONT_POINTS, pad=5)
            draw(axes, shown, beside.values())
            _plain(axes, "y")
            axes.tick_params(colors=FAINT, labelsize=SMALL_POINTS, length=0)
            axes.tick_params(axis="x", labelbottom=False)
            top -= PANEL_POINTS + GAP_POINTS
        axes.tick_params(axis="x", labelbottom=True)
        axes.set_xlabel("Seconds", color=FAINT)
        _legend(figure, shown, beside, stale)
    return text.getvalue()


def _panel(figure, bottom: float, height: float, points: float, trace):
    axes = figure.add_axes((PANELS_LEFT, bottom / height, PANELS_WIDTH, points / height))
    axes.set_xlim(0, trace.seconds[-1])
    return axes


def _stages(figure, height: float, trace) -> None:
    """Bands behind all panels, every other one shaded, with the names of the stages above."""
    axes = _panel(figure, AXIS_POINTS, height, height - AXIS_POINTS - LEGEND_POINTS, trace)
    axes.set_axis_off()
    for place, stage in enumerate(trace.stages):
        begin, end = (trace.seconds[(place + more) * trace.stage_steps] for more in (0, 1))
        if place % 2 == 0:
            axes.axvspan(begin, end, color=LINE, alpha=0.16, linewidth=0)
        words = stage.replace(" of ", "\nof ")
        axes.text((begin + end) / 2, 0.985, words, transform=axes.get_xaxis_transform(), va="top",
                  ha="center", color=INK, size=SMALL_POINTS)


def _capacities(axes, shown, beside) -> None:
    """A line for each class of each trace, by powers of two."""
    import numpy

    for trace, dash in zip((shown, *beside), ("-", *DASHES)):
        for (line, _), column in zip(CLASS_COLOURS, trace.capacity.values()):
            known = numpy.ma.masked_equal(column, 0)
            axes.step(trace.seconds, known, where="post", color=line, linestyle=dash,
                      linewidth=1.8 if trace is shown else 1.1)
    axes.set_yscale("log", base=2)
    axes.minorticks_off()
    top = max(max(column) for column in shown.capacity.values())
    ticks = [16 << place for place in range(0, 16, 2) if 16 << place <= top + 1]
    axes.set_yticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set_ylim(16, 1.4 * top)


def _held(axes, shown, beside) -> None:
    """Areas, one upon the other; lines of what the others hold in all."""
    columns = [[held / 1024 for held in column] for column in shown.held.values()]
    _pile(axes, shown.seconds, columns, None)
    for trace, dash in zip(beside, DASHES):
        held = [sum(row) / 1024 for row in zip(*trace.held.values())]
        axes.plot(trace.seconds, held, color=FAINT, linestyle=dash, linewidth=1.1)
    _counted(axes)


def _slow_paths(axes, shown, beside) -> None:
    """The same of what each step took."""
    def steps(column):
        return [0, *(late - early for early, late in itertools.pairwise(column))]

    _pile(axes, shown.seconds, [steps(column) for column in shown.slow_paths.values()], "pre")
    for trace, dash in zip(beside, DASHES):
        taken = steps([sum(row) for row in zip(*trace.slow_paths.values())])
        axes.step(trace.seconds, taken, where="pre", color=FAINT, linestyle=dash, linewidth=0.9)
    _counted(axes)


def _counted(axes) -> None:
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="y", nbins=4)
    axes.yaxis.set_major_formatter("{x:,.0f}")


def _pile(axes, seconds, columns, step: str | None) -> None:
    below = [0.0] * len(seconds)
    for (line, area), column in zip(CLASS_COLOURS, columns):
        above = [low + more for low, more in zip(below, column)]
        axes.fill_between(seconds, below, above, step=step, facecolor=area, edgecolor=line,
                          linewidth=1, where=[more > 0 for more in column])
        below = above


def _legend(figure, shown, beside, stale: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    marks = [Patch(facecolor=area, edgecolor=line, label=f"{size} B{' (stale)' * stale}")
             for (line, area), size in zip(CLASS_COLOURS, shown.capacity)]
    marks += [Line2D([], [], color=FAINT, linestyle=dash, linewidth=1.3, label=title)
              for title, dash in zip(beside, DASHES)]
    figure.legend(handles=marks, loc="upper left", bbox_to_anchor=(PANELS_LEFT - 0.02, 1.0),
                  ncols=2, frameon=False, labelcolor=INK, fontsize=SMALL_POINTS,
                  handlelength=2.2, columnspacing=1.5, borderaxespad=0.2)


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
