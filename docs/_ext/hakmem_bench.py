"""Sphinx directives and roles that show recorded measurements. No figure is typed into a page.

    .. bench-table:: suite            medians with their spread, as a table
    .. bench-plot:: suite             the same as a plot, every sample a dot
       :variants: production glibc    which allocators (default: all of the suite)
       :cases: 16 32                  which cases (default: all)
       :metric: peak                  what is counted (default: the first of the suite's kind)
       :relative-to: glibc            adds the change against it; a plot shows ratios
       :reported: 3.1                 shows what this section of the record says beside it
    .. bench-metrics:: suite          what several metrics say of one variant
       :variants: counted             which one
       :metrics: locked shared        the columns, or the word in which their names end
       :cases: hit refill             which cases (default: all)
    .. bench-trace:: suite            what magazines did while a program ran, and what each of its
                                      stages took; the first variant in colours, others beside it
    .. bench-run::                    which run is shown, and where it was taken
    .. bench-suites::                 what is run, with its arguments
    .. bench-reported::               each reported figure beside the reproduced one
    .. bench:: back/slab              the figures of a box's own bench

    :measured:`random_mixed/100k/production`              the median, with its unit
    :measured:`random_mixed/100k/production#peak`         another metric of the same runs
    :measured:`random_mixed/100k/15 vs 14c`               the change in per cent
    :measured:`counts/fixed_16/glibc over production`     how many times as much
    :reported:`3.1/16/14.ultra_hot`                       what the record says
    :reported:`3.1/16/14.ultra_hot vs 14.baseline`

What was not measured, failed or is stale says so in its place. An address that bench/plan.toml or
docs/reported.json does not know is a warning, and warnings are errors.
"""

from __future__ import annotations

import html
import re

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective, SphinxRole

import hakmem_plots as plots
import hakmem_results as results
from hakmem_docs import BoxDirective, root_of, table

WORDS = {"quick": "quick mode", "full": "full mode"}


def run_of(env) -> results.Run:
    """The run that is shown; read once a build."""
    if not hasattr(env.app, "_hakmem_run"):
        env.app._hakmem_run = results.load(root_of(env))
    return env.app._hakmem_run


def reported_of(env) -> dict[str, results.Report]:
    """The reported figures; read once a build."""
    if not hasattr(env.app, "_hakmem_reported"):
        env.app._hakmem_reported = results.read_reported(root_of(env) / "docs" / "reported.json")
    return env.app._hakmem_reported


def stale_words(commit: str) -> str:
    """Why a figure is marked as stale."""
    return f"recorded at commit {commit}; the code that it describes has changed since"


def figure(text: str, state: str, stale: bool, commit: str, reason: str,
           spread: str = "") -> nodes.Node:
    """A figure with its marks, or the word that stands in its place."""
    classes, title = ["figure"], ""
    if state != results.MEASURED:
        classes, title = ["no-figure", state.replace(" ", "-")], reason
    if stale and state != results.MISSING:
        classes.append("stale")
        title = f"{title}; {stale_words(commit)}" if title else stale_words(commit)
    hint = f' title="{html.escape(title, quote=True)}"' if title else ""
    mark = ' <span class="stale-mark">stale</span>' if "stale" in classes else ""
    more = f' <small class="spread">{html.escape(spread)}</small>' if spread else ""
    body = f'<span class="{" ".join(classes)}"{hint}>{html.escape(text)}</span>{mark}{more}'
    return nodes.raw("", body, format="html")


def value_node(value: results.Value) -> nodes.Node:
    """A figure of a table, without its unit."""
    spread = value.spread if value.state == results.MEASURED else ""
    return figure(value.text, value.state, value.stale, value.commit, value.reason, spread)


def said_node(said: results.Said) -> nodes.Node:
    """A figure of a sentence, with its unit."""
    return figure(said.text, said.state, said.stale, said.commit, said.reason)


def report_node(report: results.Report) -> nodes.Node:
    """A figure of the record."""
    title = html.escape(f"reported in section {report.section} of the record, not measured here")
    text = html.escape(report.text)
    return nodes.raw("", f'<span class="reported" title="{title}">{text}</span>', format="html")


def run_words(run: results.Run, suite: str) -> str:
    """When, where and at which commit a suite was recorded."""
    about = run.context(suite)
    if not about:
        return "No run is recorded."
    dirty = " with changes that were not committed" if about["dirty"] else ""
    return (f"Recorded {about['finished'][:10]} at commit {about['commit']}{dirty}, "
            f"{WORDS.get(about['mode'], about['mode'])}, on {about['processors']} × "
            f"{about['processor']}.")


class BenchDirective(SphinxDirective):
    """Base of what is about a suite: an unknown name is a warning."""

    required_arguments = 1
    option_spec = {
        "variants": directives.unchanged_required, "cases": directives.unchanged_required,
        "metric": directives.unchanged_required, "relative-to": directives.unchanged_required,
        "reported": directives.unchanged_required,
    }

    def run(self) -> list[nodes.Node]:
        try:
            self.load()
            return self.show()
        except results.ResultsError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]

    def load(self) -> None:
        """Reads the options; asking for each figure once finds every wrong name."""
        root = root_of(self.env)
        for path in [root / "bench" / "plan.toml", root / "docs" / "reported.json",
                     *sorted((root / "bench" / "results").glob("*/**/*.json"))]:
            self.env.note_dependency(str(path))
        self.recorded = run_of(self.env)
        self.suite = self.arguments[0]
        planned = self.recorded.plan.suite(self.suite)
        self.variants = self.options.get("variants", " ".join(planned.variants)).split()
        self.cases = self.options.get("cases", " ".join(planned.cases)).split()
        self.metric = self.options.get("metric", planned.metrics[0])
        self.base = self.options.get("relative-to", "")
        for case in self.cases:
            for variant in self.variants + [self.base or self.variants[0]]:
                self.value(case, variant)
        self.section = self.options.get("reported", "")
        if self.section and not any(
                report.section == self.section for report in reported_of(self.env).values()):
            raise results.ResultsError(f"docs/reported.json has no section {self.section}")

    def value(self, case: str, variant: str) -> results.Value:
        """A figure of the suite."""
        return self.recorded.value(self.suite, case, variant, self.metric)

    def title(self, variant: str) -> str:
        """What a variant is called."""
        return self.recorded.plan.variants[variant].title

    def case_title(self, case: str) -> str:
        """What a case is called."""
        return self.recorded.plan.suite(self.suite).cases[case].title

    def report(self, case: str, variant: str, base: str = "") -> results.Report | None:
        """What the record says of a figure."""
        name = f"{self.section}/{case}/{variant}" + (f" vs {base}" if base else "")
        return reported_of(self.env).get(name) if self.section else None

    def note(self) -> nodes.Node:
        """The line below: unit, samples, run."""
        metric = self.recorded.plan.metrics[self.metric]
        values = [self.value(case, variant) for case in self.cases for variant in self.variants]
        samples = [len(value.samples) for value in values if value.samples]
        unit = metric.unit.removeprefix("M ")
        words = metric.title if unit in metric.title.lower() else f"{metric.title} in {unit}"
        if samples and max(samples) > 1:
            count = f"{min(samples)} to {max(samples)}" if min(samples) != max(samples) \
                else f"{max(samples)}"
            words += f": the median of {count} runs, with the least and the most"
        words += {"more": "; more is better", "less": "; less is better"}.get(metric.better, "")
        return self.note_of(words)

    def note_of(self, words: str) -> nodes.Node:
        """The line below that begins with these words, and goes on with the run."""
        text = f"{words}. {run_words(self.recorded, self.suite)}"
        if any(self.value(case, variant).stale for case in self.cases for variant in self.variants):
            text += " Figures that are marked as stale describe code that has changed since."
        return nodes.paragraph(text, text, classes=["bench-note"])

    def show(self) -> list[nodes.Node]:
        raise NotImplementedError


class BenchTable(BenchDirective):
    """A row for each case, a column for each variant."""

    def show(self) -> list[nodes.Node]:
        words = [""]
        for variant in self.variants:
            if self.has_reports(variant):
                words.append(f"{self.title(variant)}, reported")
            words.append(self.title(variant))
            if self.base and variant != self.base:
                if self.has_reports(variant, self.base):
                    words.append("Change, reported")
                words.append(f"Against {self.title(self.base)}")
        # Narrow columns break their headings, but not within a name such as 14-C.
        head = [[nodes.Text(word.replace("-", "\N{NON-BREAKING HYPHEN}"))] for word in words]
        body = [self.row(case) for case in self.cases]
        return [table([head], body, ("numbers", "bench", "bench-table")), self.note()]

    def has_reports(self, variant: str, base: str = "") -> bool:
        """Whether the section says anything about a column."""
        return any(self.report(case, variant, base) for case in self.cases)

    def row(self, case: str) -> list:
        """The cells of a case."""
        cells: list = [[nodes.Text(self.case_title(case))]]
        for variant in self.variants:
            if self.has_reports(variant):
                cells.append(self.reported(case, variant))
            cells.append([nodes.paragraph("", "", value_node(self.value(case, variant)))])
            if self.base and variant != self.base:
                if self.has_reports(variant, self.base):
                    cells.append(self.reported(case, variant, self.base))
                said = results.say(self.recorded, results.Address(
                    self.suite, case, variant, self.metric, "vs", self.base))
                cells.append([nodes.paragraph("", "", said_node(said))])
        return cells

    def reported(self, case: str, variant: str, base: str = "") -> list[nodes.Node]:
        """What the record says of a cell; a dash where it says nothing."""
        report = self.report(case, variant, base)
        return [nodes.paragraph("", "", report_node(report) if report else nodes.Text("–"))]


class BenchMetrics(BenchDirective):
    """A row for each case, a column for each of several metrics of one variant."""

    option_spec = {name: directives.unchanged_required
                   for name in ("variants", "cases", "metrics")}

    def show(self) -> list[nodes.Node]:
        planned = self.recorded.plan.suite(self.suite)
        wanted = self.options["metrics"].split()
        names = [name for word in wanted for name in planned.metrics
                 if name == word or name.endswith("_" + word)]
        if not names:
            raise results.ResultsError(f"suite {self.suite} counts nothing that ends in {wanted}")
        head = [[nodes.Text("")]] + [
            [nodes.Text(self.recorded.plan.metrics[name].title)] for name in names]
        body = [[[nodes.Text(self.case_title(case))]] + [
            [nodes.paragraph("", "", value_node(
                self.recorded.value(self.suite, case, self.variants[0], name)))] for name in names]
            for case in self.cases]
        return [table([head], body, ("numbers", "bench", "bench-table")), self.note()]

    def note(self) -> nodes.Node:
        """The line below: samples and run."""
        values = [self.value(case, self.variants[0]) for case in self.cases]
        count = max(len(value.samples) for value in values)
        words = f"The median of {count} runs, with the least and the most. " if count > 1 else ""
        text = words + run_words(self.recorded, self.suite)
        if any(value.stale for value in values):
            text += " Figures that are marked as stale describe code that has changed since."
        return nodes.paragraph(text, text, classes=["bench-note"])


class BenchPlot(BenchDirective):
    """Bars with every sample, grouped by case."""

    def show(self) -> list[nodes.Node]:
        metric = self.recorded.plan.metrics[self.metric]
        groups, said = [], []
        for case in self.cases:
            base = self.value(case, self.base) if self.base else None
            bars = [self.bar(case, variant, base) for variant in self.variants
                    if variant != self.base]
            groups.append(plots.Group(self.case_title(case), tuple(bars)))
            said.append(f"{self.case_title(case)}: " + ", ".join(
                f"{bar.label} {bar.word or self.number(bar.middle)}" for bar in bars))
        axis = f"{metric.title}, {metric.unit}"
        if self.base:
            axis = f"{metric.title}, {self.title(self.base)} being 1"
        alt = f"{axis}. {'; '.join(said)}."
        name = f"plot-{self.env.new_serialno('hakmem-plot')}-{self.suite.replace('_', '-')}"
        text = plots.bars_svg(groups, axis, name, alt, one=bool(self.base))
        frame = f'<figure class="picture plot">{text}</figure>'
        result: list[nodes.Node] = [nodes.raw("", frame, format="html")]
        if any(bar.reported is not None for group in groups for bar in group.bars):
            words = "A diamond is what the record reports, from another machine."
            result.append(nodes.paragraph(words, words, classes=["bench-note"]))
        return [*result, self.note()]

    def number(self, figure: float) -> str:
        """A figure or a ratio in words."""
        if self.base:
            return results.number(figure)
        return results.scaled(figure, self.recorded.plan.metrics[self.metric].unit)

    def bar(self, case: str, variant: str, base: results.Value | None) -> plots.Bar:
        """The bar of a figure."""
        value, title = self.value(case, variant), self.title(variant)
        report = self.report(case, variant)
        common = {"reported": report.value if report and base is None else None,
                  "ours": variant == "production", "stale": value.stale}
        if value.state != results.MEASURED:
            return plots.Bar(title, word=value.state, **common)
        if base is None:
            return plots.Bar(title, value.samples, value.median, **common)
        if base.state != results.MEASURED or base.median == 0:
            return plots.Bar(title, word=f"{self.title(self.base)}: {base.state}", **common)
        samples = tuple(sample / base.median for sample in value.samples)
        return plots.Bar(title, samples, value.median / base.median, **common)


class BenchTrace(BenchDirective):
    """A plot of what magazines did, stage by stage, and a table of what each stage took."""

    def show(self) -> list[nodes.Node]:
        if self.recorded.plan.suite(self.suite).kind != "trace":
            raise results.ResultsError(f"suite {self.suite} has no traces")
        self.values = {name: self.value(self.cases[0], name) for name in self.variants}
        self.traces = {name: trace for name in self.variants
                       if (trace := self.recorded.trace(self.suite, self.cases[0], name))}
        shown = self.traces.get(self.variants[0])
        if shown is None:
            return [nodes.paragraph("", "", value_node(self.values[self.variants[0]])),
                    self.note_of("A trace")]
        head = [[nodes.Text(word)] for word in ("", *map(self.title, self.variants))]
        body = [self.row(stage, shown.stage_steps * place, shown.stage_steps * (place + 1))
                for place, stage in enumerate(shown.stages)]
        body.append(self.row("all stages", 0, shown.steps))
        note = self.note_of("Refills and flushes of each stage; below them what the magazines "
                            "held, the mean over the stage; less is better")
        return [self.plot(shown), table([head], body, ("numbers", "bench", "bench-table")), note]

    def plot(self, shown: results.Trace) -> nodes.Node:
        """The traces, with the first one's in words as well."""
        beside = {self.title(name) + " (stale)" * self.values[name].stale: trace
                  for name, trace in self.traces.items() if trace is not shown}
        said = [f"{stage}: " + ", ".join(
            f"{size} B from {column[begin]:,} to {column[begin + shown.stage_steps]:,} blocks"
            for size, column in shown.capacity.items())
            for begin, stage in zip(range(0, shown.steps, shown.stage_steps), shown.stages)]
        alt = f"Capacity of {self.title(self.variants[0])}'s magazines. {'; '.join(said)}."
        name = f"trace-{self.env.new_serialno('hakmem-plot')}-{self.suite.replace('_', '-')}"
        text = plots.trace_svg(shown, beside, name, alt, self.values[self.variants[0]].stale)
        return nodes.raw("", f'<figure class="picture plot">{text}</figure>', format="html")

    def row(self, title: str, begin: int, end: int) -> list:
        """What some steps took of each variant."""
        return [[nodes.Text(title)], *([nodes.paragraph("", "", self.cell(name, begin, end))]
                                       for name in self.variants)]

    def cell(self, variant: str, begin: int, end: int) -> nodes.Node:
        """A count, and below it what was held; or why there is none."""
        value, trace = self.values[variant], self.traces.get(variant)
        if trace is None:
            return value_node(value)
        return figure(f"{trace.slow_paths_between(begin, end):,}", value.state, value.stale,
                      value.commit, value.reason,
                      f"{trace.held_between(begin, end) / 1024:,.0f} KiB")


def newest_of(contexts: list[dict]) -> dict:
    """The context of the suite that was recorded last."""
    return max(contexts, key=lambda about: about["finished"])


def rounds_of(contexts: list[dict]) -> str:
    """How many rounds there were of the suites that take rounds, which may be recorded apart."""
    rounds = [about["rounds"] for about in contexts if about["rounds"] > 0] or [0]
    least, most = min(rounds), max(rounds)
    return f"{least} rounds" if least == most else f"{least} to {most} rounds"


def natural(name: str) -> list[tuple[int, str]]:
    """Sorts numbers within names by their value."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]


def machine_rows(contexts: list[dict]) -> list[tuple[str, str]]:
    """What is said of a run that has these contexts: the code, and the machine."""
    newest = newest_of(contexts)
    commits = ", ".join(sorted({about["commit"] for about in contexts}))
    changed = any(about["dirty"] for about in contexts)
    return [
        ("Commit", commits + (" with changes that were not committed" if changed else "")),
        ("Processor", f"{newest['processors']} × {newest['processor']}"
                      + (", in a virtual machine" if newest["virtual"] else "")),
        ("Memory", f"{newest['memory_mib']:,} MiB; transparent huge pages: "
                   f"{newest['huge_pages']}"),
        ("Kernel", newest["kernel"]),
    ]


class BenchRun(SphinxDirective):
    """Which run is shown."""

    def run(self) -> list[nodes.Node]:
        try:
            recorded = run_of(self.env)
        except results.ResultsError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]
        if not recorded.files:
            return [nodes.paragraph("", "", nodes.strong("", "Not measured."), nodes.Text(
                " No run is recorded; make bench-docs takes one."), classes=["not-measured"])]
        contexts = [data["context"] for data in recorded.files.values()]
        newest = newest_of(contexts)
        rows = [
            ("Machine", recorded.machine),
            ("Recorded", f"{newest['finished']}, {WORDS.get(newest['mode'], newest['mode'])}, "
                         f"{rounds_of(contexts)}"),
            *machine_rows(contexts),
            ("Load before", f"{newest['load']} of {newest['processors']} processors: what else "
                            "ran took part in every figure"),
            ("Compiler", f"{newest['compiler']}; {newest['flags']}"),
        ]
        plan = recorded.plan.variants
        rows += [(plan[name].title if name in plan else name, version)
                 for name, version in newest["allocators"].items()]
        return [table([], [[[nodes.strong("", title)], [nodes.Text(text)]]
                           for title, text in rows], ("bench-run",), [20, 80])]


class BenchSuites(SphinxDirective):
    """What is run: each case of each suite with its command."""

    def run(self) -> list[nodes.Node]:
        try:
            plan = run_of(self.env).plan
        except results.ResultsError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]
        shown: list[nodes.Node] = []
        for suite in plan.suites.values():
            rows = []
            for case in suite.cases.values():
                command = f"bench_{case.program} {' '.join(case.words('full'))}"
                cell = [nodes.paragraph("", "", nodes.literal(command, command))]
                if case.text:
                    cell.insert(0, nodes.paragraph(case.text, case.text))
                rows.append([[nodes.Text(case.title)], cell])
            shown += [nodes.rubric(suite.title, suite.title),
                      table([], rows, ("bench-suites",), [25, 75])]
        return shown


class BenchReported(SphinxDirective):
    """Each reported figure beside the reproduced one, and whether changes have the same sign."""

    def run(self) -> list[nodes.Node]:
        try:
            rows = [self.row(report) for report in reported_of(self.env).values()]
        except results.ResultsError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]
        head = [[[nodes.Text(title)] for title in
                 ("Section", "What", "Reported", "Reproduced", "Sign")]]
        return [table(head, rows, ("bench", "bench-reported"), [10, 45, 15, 20, 10])]

    def row(self, report: results.Report) -> list:
        """The cells of a figure."""
        what, sign = report.what, ""
        cell: nodes.Node = nodes.Text("–")
        if report.reproduced:
            address = results.parse_address(report.reproduced)
            recorded = run_of(self.env)
            said = results.say(recorded, address)
            cell = said_node(said)
            if report.name.startswith(report.section + "/"):
                titles = recorded.plan.variants
                case = recorded.plan.suite(address.suite).cases[address.case]
                against = f" against {titles[address.base].title}" if address.base else ""
                what = f"{what}; {case.title}: {titles[address.variant].title}{against}"
            if address.relation == "vs" and said.figure is not None:
                sign = "same" if said.figure * report.value > 0 else "other"
        return [[nodes.Text(report.section)], [nodes.Text(what)],
                [nodes.paragraph("", "", report_node(report))], [nodes.paragraph("", "", cell)],
                [nodes.Text(sign)]]


class BoxBench(BoxDirective):
    """The recorded figures of a box's own bench; honest when there are none."""

    def show(self, box) -> list[nodes.Node]:
        path = f"bench/{box.full_name}_bench.cpp"
        exists = (root_of(self.env) / path).exists()
        suite = f"boxes/{box.full_name}"
        try:
            recorded = run_of(self.env)
        except results.ResultsError as error:
            return [self.state.document.reporter.warning(str(error), line=self.lineno)]
        cases = sorted(recorded.cases(suite), key=natural)
        values = {case: recorded.value(suite, case, "box") for case in cases}
        if not values or not exists:
            text = nodes.paragraph("", "", nodes.strong("", "Not measured."), nodes.Text(" "),
                                   classes=["not-measured"])
            if exists:
                text += [nodes.Text("The bench is "), self.link(path, path),
                         nodes.Text("; no run of it is recorded yet.")]
            else:
                text += nodes.Text("The box has no bench of its own.")
            return [text]
        head = [[[nodes.Text("Bench")], [nodes.Text("Time of one operation, ns")]]]
        rows = [[[nodes.literal(case, case)], [nodes.paragraph("", "", value_node(value))]]
                for case, value in values.items()]
        words = (f"The median with the least and the most. {run_words(recorded, suite)} "
                 "Source: ")
        note = nodes.paragraph("", "", nodes.Text(words), self.link(path, path), nodes.Text("."),
                               classes=["bench-note"])
        return [table(head, rows, ("numbers", "bench", "bench-box")), note]


class MeasuredRole(SphinxRole):
    """:measured:`suite/case/variant#metric`."""

    def run(self):
        try:
            return [said_node(results.say(run_of(self.env), results.parse_address(self.text)))], []
        except results.ResultsError as error:
            return [nodes.literal(self.text, self.text)], [
                self.inliner.reporter.warning(str(error), line=self.lineno)]


class ReportedRole(SphinxRole):
    """:reported:`name`: a figure of docs/reported.json."""

    def run(self):
        try:
            reports = reported_of(self.env)
            if self.text not in reports:
                raise results.ResultsError(f"docs/reported.json has no {self.text}")
            return [report_node(reports[self.text])], []
        except results.ResultsError as error:
            return [nodes.literal(self.text, self.text)], [
                self.inliner.reporter.warning(str(error), line=self.lineno)]


def setup(app):
    """Called by Sphinx."""
    app.setup_extension("hakmem_docs")
    for name, directive in (
        ("bench", BoxBench), ("bench-table", BenchTable), ("bench-plot", BenchPlot),
        ("bench-metrics", BenchMetrics),
        ("bench-trace", BenchTrace),
        ("bench-run", BenchRun), ("bench-suites", BenchSuites), ("bench-reported", BenchReported),
    ):
        app.add_directive(name, directive)
    app.add_role("measured", MeasuredRole())
    app.add_role("reported", ReportedRole())
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
