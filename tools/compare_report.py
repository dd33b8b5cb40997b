"""A comparison as people read it: tables for a terminal, Markdown, and a plot for each suite."""

from __future__ import annotations

import pathlib

import hakmem_comparison as comparison
import hakmem_results as results
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLOURS = {comparison.MET: "green", comparison.MISSED: "red", comparison.OPEN: "yellow"}
# Rows of one panel of a plot; more of them stand side by side.
PANEL_ROWS = 46
PANEL_INCHES, ROW_INCHES, HEAD_INCHES = 7.5, 0.27, 0.95
LEGEND_COLUMNS = 6
# Ratios beyond stand at the edge and are written beside it: they would press the others together.
EDGE = 8.0
MARKERS = "os^Dv<>Pp*hX"
# Okabe and Ito's colours, which people with any colour vision tell apart; ours is the strongest.
OURS_COLOUR = "#d55e00"
PEER_COLOURS = ("#000000", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f",
                "#8c564b", "#9467bd")


# ---- words --------------------------------------------------------------------------------------


def ratio_words(ratio: comparison.Ratio | None) -> str:
    """A ratio with its spread."""
    if ratio is None:
        return ""
    spread = f" ({ratio.low:.2f}–{ratio.high:.2f})" if ratio.low != ratio.high else ""
    return f"{ratio.middle:.3f}{spread}"


def cell_words(value: results.Value, spread: bool) -> str:
    """A figure, with the least and the most of it where asked."""
    if value.state != results.MEASURED:
        return value.state
    return f"{value.text} ({value.spread})" if spread and value.spread else value.text


def context_words(data: dict) -> str:
    """Where, when and on what a suite was measured."""
    about = data["context"]
    dirty = ", with changes" if about["dirty"] else ""
    return (f"{about['finished'][:10]}, commit {about['commit']}{dirty}, {about['mode']} mode, "
            f"{about['rounds']} rounds, load {about['load']}, {about['processors']} × "
            f"{about['processor']}, kernel {about['kernel']}, huge pages {about['huge_pages']}")


def library_words(found: comparison.Comparison) -> list[str]:
    """Which file each name stands for."""
    titles: dict[str, str] = {}
    for data in found.files.values():
        for name, file in data["context"]["libraries"].items():
            version = data["context"]["allocators"].get(name, "")
            titles[f"{data['variants'].get(name, name)}: {file['file']}, {file['bytes']:,} bytes, "
                   f"sha256 {file['sha256']}{', ' + version if version else ''}"] = ""
    return list(titles)


VERDICT_HEADINGS = ("bar", "asks for", "geometric mean", "worst row", "rows", "verdict")


# ---- the terminal -------------------------------------------------------------------------------


def show_suite(console: Console, found: comparison.Comparison, suite: str) -> None:
    """A row for each case, a column for each variant, the best peer marked."""
    variants = found.variants(suite)
    planned = found.plan.suites[suite]
    rows = found.rows(suite)
    unit = {found.plan.metrics[row.metric].unit for row in rows}
    table = Table(title=f"{planned.title}, {' and '.join(sorted(unit))}", box=box.SIMPLE_HEAD,
                  title_justify="left")
    table.add_column("")
    for title in variants.values():
        table.add_column(title, justify="right")
    table.add_column(f"{variants[found.plan.ours]} / best peer", justify="right")
    for row in rows:
        best = found.best_peer(row)
        cells = [Text(cell_words(found.value(row, name), False),
                      style="bold" if name == best else "") for name in variants]
        ratio = found.ratio(row, found.plan.ours, best) if best else None
        colour = "" if ratio is None else "green" if ratio.middle <= 1 else "red"
        table.add_row(found.row_title(row), *cells, Text(ratio_words(ratio), style=colour))
    console.print(table)


def show_verdicts(console: Console, found: comparison.Comparison) -> None:
    """All bars."""
    table = Table(title="Bars", box=box.SIMPLE_HEAD, title_justify="left")
    for heading in VERDICT_HEADINGS:
        table.add_column(heading)
    for verdict in found.verdicts():
        *cells, words = comparison.verdict_words(found, verdict)
        table.add_row(*cells, Text(words, style=COLOURS.get(verdict.state, "")))
    console.print(table)


# ---- Markdown -----------------------------------------------------------------------------------


def _markdown_table(headings: list[str], rows: list[list[str]]) -> list[str]:
    lines = ["| " + " | ".join(headings) + " |", "|" + "---|" * len(headings)]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return [*lines, ""]


def markdown(found: comparison.Comparison) -> str:
    """All that was compared, as one page."""
    lines = ["# HAKMEM beside its peers", ""]
    lines += ["A ratio is the median of the ratios within the rounds, with their quartiles; below "
              "1 HAKMEM costs less. Figures are medians, with the least and the most.", ""]
    lines += ["## Bars", ""]
    lines += _markdown_table(list(VERDICT_HEADINGS), [
        comparison.verdict_words(found, verdict) for verdict in found.verdicts()])
    lines += ["## Libraries", ""]
    lines += [f"- {words}" for words in library_words(found)] + [""]
    for suite in found.files:
        lines += _suite_lines(found, suite)
    return "\n".join(lines)


def _suite_lines(found: comparison.Comparison, suite: str) -> list[str]:
    planned = found.plan.suites[suite]
    variants = found.variants(suite)
    lines = [f"## {planned.title}", "", *filter(None, [planned.text]), "",
             context_words(found.files[suite]), "", f"![{planned.title}]({suite}.png)", ""]
    rows = []
    for row in found.rows(suite):
        best, ratio = found.to_best(row)
        cells = [cell_words(found.value(row, name), True) for name in variants]
        rows.append([found.row_title(row), found.plan.metrics[row.metric].unit, *cells,
                     variants.get(best, ""), ratio_words(ratio)])
    lines += _markdown_table(["", "unit", *variants.values(), "best peer",
                              f"{variants[found.plan.ours]} / best peer"], rows)
    compared = {row.metric for row in found.rows(suite)}
    for metric in (name for name in planned.show if name not in compared):
        about = found.plan.metrics[metric]
        rows = [[title] + [cell_words(found.value(comparison.Row(suite, case, metric), name), True)
                           for name in variants] for case, title in found.cases(suite).items()]
        lines += [f"{about.title}, {about.unit}:", ""]
        lines += _markdown_table(["", *variants.values()], rows)
    return lines


# ---- plots --------------------------------------------------------------------------------------


def draw(found: comparison.Comparison, suite: str, path: pathlib.Path) -> None:
    """Ratios to the best peer of each row, every variant a mark with its quartiles as a line."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib.figure import Figure

    rows = [row for row in found.rows(suite) if found.best_peer(row)]
    if not rows:
        return
    panels = [rows[at:at + PANEL_ROWS] for at in range(0, len(rows), PANEL_ROWS)]
    variants = found.variants(suite)
    styles = _styles(found, variants)
    tallest = max(map(len, panels))
    height = HEAD_INCHES + 0.8 + ROW_INCHES * tallest
    figure = Figure(figsize=(PANEL_INCHES * len(panels), height))
    all_axes = figure.subplots(1, len(panels), sharex=True, squeeze=False)[0]
    values = []
    for axes, shown in zip(all_axes, panels):
        for place, row in enumerate(shown):
            if place % 2:
                axes.axhspan(place - 0.5, place + 0.5, color="#f3f3f3", zorder=0)
            values += _draw_row(axes, found, row, place, styles)
        axes.set_yticks(range(len(shown)), [found.row_title(row) for row in shown], fontsize=8)
        axes.set_ylim(tallest - 0.5, -0.5)
        axes.set_xscale("log")
        axes.axvline(1, color="#444444", linewidth=1, zorder=1)
        axes.set_xlabel("ratio to the best peer of the row; less is better")
        axes.tick_params(axis="y", length=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)
    _ticks(all_axes, values)
    handles, labels = [], []
    for name, style in styles.items():
        handles.append(all_axes[0].plot([], [], linestyle="", **style)[0])
        labels.append(variants[name])
    figure.text(0.01, 1 - 0.12 / height, found.plan.suites[suite].title, va="top", fontsize=11)
    figure.legend(handles, labels, loc="upper left", bbox_to_anchor=(0, 1 - 0.36 / height),
                  ncol=LEGEND_COLUMNS * len(panels), frameon=False, fontsize=9)
    figure.tight_layout(rect=(0, 0, 1, 1 - HEAD_INCHES / height))
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _styles(found: comparison.Comparison, variants: dict[str, str]) -> dict[str, dict]:
    peers = [name for name in variants if name != found.plan.ours]
    styles = {name: {"marker": MARKERS[1 + at % (len(MARKERS) - 1)],
                     "color": PEER_COLOURS[at % len(PEER_COLOURS)], "markersize": 4.5}
              for at, name in enumerate(peers)}
    ours = {"marker": "o", "color": OURS_COLOUR, "markersize": 7}
    return {found.plan.ours: ours} | styles


def _draw_row(axes, found: comparison.Comparison, row: comparison.Row, place: int,
              styles: dict[str, dict]) -> list[float]:
    """Marks of one row, each a little apart from the others so that none is hidden."""
    best = found.best_peer(row)
    values, beyond = [], []
    for at, (name, style) in enumerate(styles.items()):
        ratio = found.ratio(row, name, best)
        if ratio is None or ratio.low <= 0:
            continue
        level = place + 0.6 * (at / max(1, len(styles) - 1) - 0.5)
        low, middle, high = (min(max(value, 1 / EDGE), EDGE)
                             for value in (ratio.low, ratio.middle, ratio.high))
        axes.plot([low, high], [level, level], color=style["color"], linewidth=1, zorder=2)
        axes.plot([middle], [level], linestyle="", zorder=3, **style)
        if middle != ratio.middle:
            beyond.append(f"{found.variants(row.suite)[name]} {results.number(ratio.middle)}")
        values += [low, high]
    axes.annotate("\n".join(beyond), (1.01, place), xycoords=axes.get_yaxis_transform(),
                  va="center", fontsize=6 if len(beyond) < 3 else 4.5)
    return values


def _ticks(all_axes, values: list[float]) -> None:
    """Few round ratios, whatever the range: a logarithmic axis alone would show 1 and 10."""
    low, high = min([*values, 0.8]), max([*values, 1.25])
    steps = [0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.5, 2, 3, 4] if high / low < 5 else [
        2.0 ** power for power in range(-3, 4)]
    marks = [step for step in steps if low <= step <= high]
    margin = (high / low) ** 0.03
    for axes in all_axes:
        axes.set_xlim(low / margin, high * margin)
        axes.set_xticks(marks, [f"{mark:g}" for mark in marks])
        axes.minorticks_off()
        axes.grid(axis="x", color="#dddddd", linewidth=0.6, zorder=0)


def write(found: comparison.Comparison, folder: pathlib.Path, suites: list[str]) -> None:
    """compare.md for all that the folder holds, and the plots of some suites."""
    (folder / "compare.md").write_text(markdown(found), encoding="utf-8")
    for suite in suites:
        draw(found, suite, folder / f"{suite}.png")
