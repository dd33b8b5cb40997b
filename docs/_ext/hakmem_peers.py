"""Sphinx directives that show recorded comparisons with other allocators.

    .. peers-run::              which run is shown, on which machine, with which libraries
    .. peers-bars::             what HAKMEM is held against, and what became of it
    .. peers-table:: suite      a row for each case, a column for each allocator, and HAKMEM's ratio
    .. peers-plot:: suite       the ratios to the best peer of each row, every sample a dot

What is compared is planned in bench/peers.toml and recorded by tools/compare.py --record below
bench/comparison/. What was not measured, failed or is stale says so in its place.
"""

from __future__ import annotations

import statistics

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

import hakmem_comparison as comparison
import hakmem_plots as plots
import hakmem_results as results
from hakmem_bench import WORDS, figure, machine_rows, newest_of, value_node
from hakmem_docs import root_of, table

UNTAKEN = "tools/compare.py --record"


def comparison_of(env) -> comparison.Comparison:
    """The comparison that is shown; read once a build."""
    if not hasattr(env.app, "_hakmem_comparison"):
        env.app._hakmem_comparison = comparison.newest(root_of(env))
    return env.app._hakmem_comparison


class PeersDirective(SphinxDirective):
    """Base: an unknown suite is a warning, and what is not recorded says so."""

    def run(self) -> list[nodes.Node]:
        root = root_of(self.env)
        for path in [root / "bench" / "peers.toml",
                     *sorted((root / "bench" / "comparison").glob("*/*.json"))]:
            self.env.note_dependency(str(path))
        try:
            self.found = comparison_of(self.env)
            if self.arguments:
                self.found.plan.suite(self.arguments[0])
            if not self.found.files or (
                    self.arguments and self.arguments[0] not in self.found.files):
                return [nodes.paragraph("", "", nodes.strong("", "Not measured."),
                                        nodes.Text(" No comparison is recorded; "),
                                        nodes.literal("", UNTAKEN), nodes.Text(" takes one."),
                                        classes=["not-measured"])]
            return self.show()
        except results.ResultsError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]

    def show(self) -> list[nodes.Node]:
        raise NotImplementedError


class PeersRun(PeersDirective):
    """Where and when, and which files the names stand for."""

    def show(self) -> list[nodes.Node]:
        abouts = [data["context"] for data in self.found.files.values()]
        about = newest_of(abouts)
        modes = sorted({WORDS.get(data["mode"], data["mode"]) for data in abouts})
        rows = [
            ("Machine", self.found.machine),
            ("Recorded", f"{about['finished']}, {', '.join(modes)}"),
            *machine_rows(abouts),
            ("Load before", f"{about['load']} of {about['processors']} processors"),
        ]
        for name, file in about["libraries"].items():
            version = about["allocators"].get(name, "")
            rows.append((name, f"{file['file']}, {file['bytes']:,} bytes, SHA-256 "
                               f"{file['sha256']}…{', ' + version if version else ''}"))
        body = [[[nodes.Text(name)], [nodes.Text(words)]] for name, words in rows]
        return [table([], body, ("bench", "bench-run"), [1, 4])]


class PeersBars(PeersDirective):
    """Each bar and its verdict."""

    def show(self) -> list[nodes.Node]:
        head = [[nodes.Text(word)] for word in
                ("", "Asked for", "Geometric mean", "Worst row", "Rows", "Verdict")]
        body = [[[nodes.Text(word)] for word in comparison.verdict_words(self.found, verdict)]
                for verdict in self.found.verdicts()]
        return [table([head], body, ("bench", "bench-table"))]


class PeersTable(PeersDirective):
    """The rows of a suite."""

    required_arguments = 1

    def show(self) -> list[nodes.Node]:
        suite = self.arguments[0]
        variants = self.found.variants(suite)
        ours = self.found.plan.ours
        # The ratio comes first: with many peers the page has to be scrolled for the last columns.
        words = ["", "Unit", f"{variants[ours]} to the best", *variants.values()]
        head = [[nodes.Text(word)] for word in words]
        body = []
        for row in self.found.rows(suite):
            unit = self.found.plan.metrics[row.metric].unit
            cells = [[nodes.Text(self.found.row_title(row))], [nodes.Text(unit)],
                     [nodes.paragraph("", "", self.ratio(row, variants))]]
            cells += [[nodes.paragraph("", "", value_node(self.found.value(row, name)))]
                      for name in variants]
            body.append(cells)
        return [table([head], body, ("numbers", "bench", "bench-table"))]

    def ratio(self, row: comparison.Row, variants: dict[str, str]) -> nodes.Node:
        """HAKMEM's ratio to the best peer, with its quartiles and that peer's name."""
        best, ratio = self.found.to_best(row)
        value = self.found.value(row, self.found.plan.ours)
        if ratio is None:
            state = value.state if value.state != results.MEASURED else results.MISSING
            return figure(state, state, False, "", value.reason)
        low, high = f"{ratio.low:.2f}", f"{ratio.high:.2f}"
        spread = (f"{low}–{high}, " if low != high else "") + variants[best]
        return figure(f"{ratio.middle:.2f}", results.MEASURED, value.stale, value.commit, "",
                      spread)


class PeersPlot(PeersDirective):
    """The same as bars."""

    required_arguments = 1

    def show(self) -> list[nodes.Node]:
        suite = self.arguments[0]
        groups, said = [], []
        for row in self.found.rows(suite):
            if best := self.found.best_peer(row):
                bars = [self.bar(row, name, best) for name in self.found.variants(suite)]
                title = self.found.row_title(row)
                groups.append(plots.Group(title, tuple(bars)))
                said.append(f"{title}: " + ", ".join(
                    f"{bar.label} {bar.word or results.number(bar.middle)}" for bar in bars))
        if not groups:
            return []
        axis = "Ratio to the best peer of the row; less is better"
        name = f"plot-{self.env.new_serialno('hakmem-plot')}-peers-{suite.replace('_', '-')}"
        text = plots.bars_svg(groups, axis, name, f"{axis}. {'; '.join(said)}.", one=True)
        return [nodes.raw("", f'<figure class="picture plot">{text}</figure>', format="html")]

    def bar(self, row: comparison.Row, variant: str, best: str) -> plots.Bar:
        """The ratios of a variant within the rounds."""
        value = self.found.value(row, variant)
        title = self.found.variants(row.suite)[variant]
        common = {"ours": variant == self.found.plan.ours, "stale": value.stale}
        samples = comparison.ratios(self.found.costs(row, variant), self.found.costs(row, best))
        if not samples:
            return plots.Bar(title, word=value.state, **common)
        return plots.Bar(title, tuple(samples), statistics.median(samples), **common)


def setup(app):
    """Called by Sphinx."""
    app.setup_extension("hakmem_bench")
    for name, directive in (("peers-run", PeersRun), ("peers-bars", PeersBars),
                            ("peers-table", PeersTable), ("peers-plot", PeersPlot)):
        app.add_directive(name, directive)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
