"""What recorded runs of bench/peers.toml say of HAKMEM beside its peers. No Sphinx here.

A row is a case of a suite and one metric of it. Its ratio to a peer is the median of the ratios
within the rounds, for within a round the variants ran one after the other; the quartiles of these
ratios are its spread. Ratios are costs: below one is better, whatever the metric counts.

The best peer of a row is the one with the least median cost; HAKMEM is no peer of its own. A bar
gathers rows. It is

    met         every row that it asks for was measured, and all of it holds
    not met     a measured row or the mean is beyond what is allowed, or HAKMEM failed on a row
    open        what was measured holds, and not all was
    not measured    there is nothing to judge

A verdict on figures of which some are stale is itself stale, and says so.
"""

from __future__ import annotations

import dataclasses
import json
import pathlib
import re
import statistics

import hakmem_results as results

MET, MISSED, OPEN = "met", "not met", "open"


@dataclasses.dataclass(frozen=True)
class Row:
    """A case of a suite, and one of the metrics counted there."""

    suite: str
    case: str
    metric: str


@dataclasses.dataclass(frozen=True)
class Ratio:
    """How one variant's cost compares to another's: the median over the rounds, and quartiles."""

    middle: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What became of a bar."""

    bar: results.Bar
    state: str
    mean: float | None = None     # geometric
    worst: float | None = None
    worst_row: Row | None = None
    measured: int = 0
    asked: int = 0
    peer: str = ""                # the single one, or whose it was in the worst row
    reason: str = ""
    stale: bool = False           # the code has changed since some of it was measured


def ratios(costs: list[float], base: list[float]) -> list[float]:
    """What the rounds' ratios are; a base of nothing has none."""
    return [a / b for a, b in zip(costs, base) if b > 0]


def ratio_of(costs: list[float], base: list[float]) -> Ratio | None:
    """The ratio of two variants from the costs of the same rounds; None without any."""
    pairs = ratios(costs, base)
    if not pairs:
        return None
    if len(pairs) == 1:
        return Ratio(pairs[0], pairs[0], pairs[0])
    low, middle, high = statistics.quantiles(pairs, n=4, method="inclusive")
    return Ratio(middle, low, high)


class Comparison:
    """Recorded suites of a plan, by name; with sources it is known what of them is stale."""

    def __init__(self, plan: results.Plan, files: dict[str, dict], machine: str = "",
                 sources: results.Sources | None = None) -> None:
        self.plan, self.files, self.machine, self.sources = plan, files, machine, sources

    def variants(self, suite: str) -> dict[str, str]:
        """The variants of a recorded suite and their titles, those of --peer included."""
        return self.files[suite]["variants"]

    def peers(self, suite: str, leave_out: tuple[str, ...] = ()) -> list[str]:
        """Whom HAKMEM is compared with in a suite."""
        return [name for name in self.variants(suite)
                if name != self.plan.ours and name not in leave_out]

    def cases(self, suite: str) -> dict[str, str]:
        """The cases that were tried, in the order of the plan, and their titles."""
        cells = self.files[suite]["cells"]
        return {name: case.title for name, case in self.plan.suites[suite].cases.items()
                if name in cells}

    def rows(self, suite: str) -> list[Row]:
        """What the suite is compared by."""
        planned = self.plan.suites[suite]
        metrics = planned.rows or planned.show[:1] or planned.metrics[:1]
        return [Row(suite, case, metric) for case in self.cases(suite) for metric in metrics]

    def row_title(self, row: Row) -> str:
        """A row's name among those of its suite."""
        planned = self.plan.suites[row.suite]
        case = planned.cases[row.case].title
        if len(planned.rows) < 2:
            return case
        metric = self.plan.metrics[row.metric].title
        return metric if len(planned.cases) == 1 else f"{case}: {metric}"

    def value(self, row: Row, variant: str) -> results.Value:
        """A figure, or why there is none."""
        unit = self.plan.metrics[row.metric].unit
        cell = self.files.get(row.suite, {}).get("cells", {}).get(row.case, {}).get(variant)
        if cell is None or "missing" in cell:
            reason = cell["missing"] if cell else "no run of it is recorded"
            return results.Value(results.MISSING, unit, reason=reason)
        common = {"stale": self._is_stale(row, variant, cell),
                  "commit": self.files[row.suite]["context"]["commit"]}
        if "failed" in cell:
            return results.Value(results.FAILED, unit, reason=cell["failed"], **common)
        try:
            samples = tuple(results.samples_of(cell, row.metric))
        except KeyError:
            return results.Value(results.MISSING, unit, reason="recorded before it was counted")
        return results.Value(results.MEASURED, unit, samples, **common)

    def _is_stale(self, row: Row, variant: str, cell: dict) -> bool:
        if self.sources is None:
            return False
        program = self.plan.suites[row.suite].cases[row.case].program
        known = self.plan.variants.get(variant)  # none where --peer named it
        return cell["sources"] != self.sources.cell(program, known.phase if known else "")

    def costs(self, row: Row, variant: str) -> list[float]:
        """What the rounds cost a variant; nothing where it has no figures."""
        samples = self.value(row, variant).samples
        if self.plan.metrics[row.metric].better != "more":
            return list(samples)
        return [1 / sample for sample in samples]

    def ratio(self, row: Row, variant: str, base: str) -> Ratio | None:
        """A variant's cost to another one's."""
        return ratio_of(self.costs(row, variant), self.costs(row, base))

    def best_peer(self, row: Row, leave_out: tuple[str, ...] = ()) -> str:
        """The peer with the least median cost; nothing where no peer has figures."""
        costs = {name: statistics.median(found) for name in self.peers(row.suite, leave_out)
                 if (found := self.costs(row, name))}
        return min(costs, key=costs.__getitem__, default="")

    def to_best(self, row: Row) -> tuple[str, Ratio | None]:
        """The best peer of a row, and HAKMEM's cost to its."""
        best = self.best_peer(row)
        return best, self.ratio(row, self.plan.ours, best) if best else None

    def single_best(self, rows: list[Row], leave_out: tuple[str, ...]) -> str:
        """The peer whose geometric mean over the rows is least, of those that have them all."""
        means = {}
        for name in self.peers(rows[0].suite, leave_out):
            found = [self.costs(row, name) for row in rows]
            if all(found):
                means[name] = geometric_mean([statistics.median(costs) for costs in found])
        return min(means, key=means.__getitem__, default="")

    # ---- bars -----------------------------------------------------------------------------------

    def asked(self, bar: results.Bar) -> list[Row]:
        """All rows that a bar is about, whether they were measured or not."""
        return [Row(suite, case, metric) for suite in bar.suites
                for case in self.plan.suites[suite].cases if re.fullmatch(bar.cases, case)
                for metric in bar.metrics]

    def judge(self, bar: results.Bar) -> Verdict:
        """Holds a bar against what was measured."""
        asked = self.asked(bar)
        known = [row for row in asked if row.suite in self.files]
        for row in known:
            value = self.value(row, self.plan.ours)
            if value.state == results.FAILED:
                return Verdict(bar, MISSED, worst_row=row, asked=len(asked),
                               reason=f"failed: {value.reason}")
        measured = [row for row in known if self.costs(row, self.plan.ours)]
        if not measured:
            return Verdict(bar, results.MISSING, asked=len(asked))
        if bar.than:
            return self._judge_own(bar, asked, measured)
        single = self.single_best(measured, bar.leave_out) if bar.against == "single" else ""
        taken: dict[Row, tuple[float, str]] = {}
        for row in measured:
            base = {"row": self.best_peer(row, bar.leave_out), "single": single}.get(
                bar.against, bar.against)
            if base and (ratio := self.ratio(row, self.plan.ours, base)):
                taken[row] = (ratio.middle, base)
        if not taken:
            return Verdict(bar, results.MISSING, asked=len(asked), reason="no peer has figures")
        mean = geometric_mean([ratio for ratio, _ in taken.values()])
        worst = max(taken, key=lambda row: taken[row][0])
        missed = any(limit is not None and figure > limit for figure, limit in (
            (taken[worst][0], bar.each_max), (mean, bar.mean_max)))
        return Verdict(bar, _state(missed, len(taken), len(asked)), mean, taken[worst][0], worst,
                       len(taken), len(asked), taken[worst][1])

    def _judge_own(self, bar: results.Bar, asked: list[Row], measured: list[Row]) -> Verdict:
        """A figure against another one of the same runs."""
        found = {}
        for row in measured:
            own = self.costs(row, self.plan.ours)
            than = self.costs(dataclasses.replace(row, metric=bar.than), self.plan.ours)
            over = statistics.median(a - bar.each_max * b - bar.plus for a, b in zip(own, than))
            found[row] = (over, ratio_of(own, than).middle)
        worst = max(found, key=lambda row: found[row][0])
        mean = geometric_mean([ratio for _, ratio in found.values()])
        return Verdict(bar, _state(found[worst][0] > 0, len(found), len(asked)), mean,
                       found[worst][1], worst, len(found), len(asked))

    def verdicts(self) -> list[Verdict]:
        """All bars, in the order of the plan."""
        return [dataclasses.replace(self.judge(bar), stale=self._is_any_stale(bar))
                for bar in self.plan.bars.values()]

    def _is_any_stale(self, bar: results.Bar) -> bool:
        return any(self.value(row, name).stale for row in self.asked(bar)
                   if row.suite in self.files for name in self.variants(row.suite))


def _state(missed: bool, measured: int, asked: int) -> str:
    if missed:
        return MISSED
    return MET if measured == asked else OPEN


def geometric_mean(values: list[float]) -> float:
    """The mean of ratios; a cost of nothing makes it nothing."""
    return statistics.geometric_mean(values) if min(values) > 0 else 0.0


def bar_words(bar: results.Bar) -> str:
    """What a bar asks for."""
    if bar.than:
        return f"at most {bar.each_max:.2f} of it + {results.number(bar.plus)} MiB"
    names = {"row": "the best peer of each row", "single": "the best single peer"}
    words = [f"each row ≤ {bar.each_max:.2f}"] if bar.each_max is not None else []
    words += [f"geometric mean ≤ {bar.mean_max:.2f}"] if bar.mean_max is not None else []
    left = f", {', '.join(bar.leave_out)} left out" if bar.leave_out else ""
    return f"{', '.join(words)} of {names.get(bar.against, bar.against)}{left}"


def verdict_words(found: Comparison, verdict: Verdict) -> list[str]:
    """A verdict as the cells of a table: title, what is asked, mean, worst row, rows, state."""
    mean = "" if verdict.mean is None else f"{verdict.mean:.3f}"
    worst = verdict.reason
    if verdict.worst is not None:
        peer = found.variants(verdict.worst_row.suite).get(verdict.peer, "")
        worst = f"{verdict.worst:.3f}{' of ' + peer if peer else ''}, " \
                f"{found.row_title(verdict.worst_row)}"
    return [verdict.bar.title, bar_words(verdict.bar), mean, worst,
            f"{verdict.measured} of {verdict.asked}",
            verdict.state + (", stale" if verdict.stale else "")]


def load(plan: results.Plan, folder: pathlib.Path, machine: str = "",
         sources: results.Sources | None = None) -> Comparison:
    """What is recorded in a folder."""
    files = {}
    for path in sorted(folder.glob("*.json")):
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != results.FORMAT:
            raise results.ResultsError(f"{path.name} has format {data['format']}, not "
                                       f"{results.FORMAT}")
        if data["suite"] in plan.suites:
            files[data["suite"]] = data
    return Comparison(plan, {name: files[name] for name in plan.suites if name in files}, machine,
                      sources)


def newest(root: pathlib.Path) -> Comparison:
    """The comparison of this repository that was recorded last; an empty one where none was."""
    plan, sources = results.read_plan(root / "bench" / "peers.toml"), results.Sources(root)
    taken = [load(plan, folder, folder.name, sources)
             for folder in sorted((root / "bench" / "comparison").glob("*/"))]
    return max((found for found in taken if found.files), default=Comparison(plan, {}),
               key=lambda found: max(data["context"]["finished"] for data in found.files.values()))
