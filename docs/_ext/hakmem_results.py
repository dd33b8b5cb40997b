"""Recorded measurements: the plan, what a run found, and whether that still holds. No Sphinx here.

The plan (bench/plan.toml) names suites, cases, variants and metrics. A run (tools/bench_docs.py)
writes bench/results/<machine>/<suite>.json. A figure has an address, suite/case/variant#metric, and
one of these states:

    measured       there are samples, taken from the code as it is
    stale          there are samples, and the code they describe has changed since
    failed         the program did not end as it should; the reason is recorded
    not measured   nobody ran it here, or its library was not there

An address that the plan does not know is an error. Whether code has changed is decided by a digest
of what a figure describes: the sources of the library, found by following includes, and those of
the program, without comments and blank space. A commit would not do, since recording a run makes
another one.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import itertools
import json
import pathlib
import re
import statistics
import tomllib

MISSING, FAILED, MEASURED = "not measured", "failed", "measured"
FORMAT = 1
THROUGHPUT = "M ops/s"
PER_MILLION = "times in a million operations"

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.MULTILINE)
_TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
_ADDRESS = re.compile(
    r"(?P<suite>[\w/]+?)/(?P<case>[^/#\s]+)/(?P<variant>[\w.]+)(?:#(?P<metric>\w+))?"
    r"(?:\s+(?P<relation>vs|over)\s+(?P<base>[\w.]+))?"
)


class ResultsError(Exception):
    """The plan, an address or a file is not as it should be; the text says how."""


# ---- the plan -----------------------------------------------------------------------------------

# By rank, as base/lock_rank.hpp names them, and what os/lock_counts counts of each.
LOCKS = ("heap_registry", "heap", "purge", "large", "pool", "page_map", "meta_arena", "leaf")
LOCK_COUNTS = ("taken", "contended", "slept")

METRICS_OF = {
    "program": ("throughput", "wall", "user", "system", "faults", "peak", "cpu"),
    "command": ("user", "system", "wall", "faults", "peak"),
    "counts": ("instructions", "l1_misses", "branches"),
    "counters": ("instructions", "l1_misses", "branches"),
    "calls": ("mincore", "mapping", "munmap", "madvise", "futex"),
    "report": ("superslabs", "guard_calls"),
    "locks": tuple(f"{lock}_{count}" for count in LOCK_COUNTS for lock in LOCKS),
    "lines": ("locked", "shared", "moved", "instructions", "calls"),
    "trace": ("slow_paths", "held"),
    "box": ("time",),
}
# Kinds that rounds repeat; the others count, once is enough.
REPEATED = ("program", "command", "locks")

# What a suite may count besides, by the names that its program prints; others are themselves.
FIELDS_OF = {"per_live": ("resident_kib", "live_kib")}


@dataclasses.dataclass(frozen=True)
class Case:
    """One way in which a suite runs its program."""

    name: str
    title: str
    program: str
    arguments: tuple[str, ...]
    quick: tuple[str, ...]
    number: int = 0
    text: str = ""
    cache: str = ""
    full_only: bool = False
    fields: tuple[str, ...] = ()  # what its program prints besides the usual

    def words(self, mode: str, factor: int = 1) -> list[str]:
        """The arguments of a run; factor multiplies the number in braces."""
        words = self.quick if mode == "quick" else self.arguments
        return [word.replace("{number}", str(self.number * factor)) for word in words]


@dataclasses.dataclass(frozen=True)
class Suite:
    """Cases and the variants that run them."""

    name: str
    title: str
    kind: str
    variants: tuple[str, ...]
    cases: dict[str, Case]
    short: bool = False
    also: tuple[str, ...] = ()  # counted besides what its kind counts
    rows: tuple[str, ...] = ()  # a comparison has a row for each of them
    show: tuple[str, ...] = ()  # a comparison has a further table for each of them
    text: str = ""

    @property
    def metrics(self) -> tuple[str, ...]:
        """What is counted of each run; the first is meant where none is named."""
        return METRICS_OF[self.kind] + self.also

    def cases_in(self, mode: str) -> list[str]:
        """The cases that a mode runs."""
        return [name for name, case in self.cases.items() if mode != "quick" or not case.full_only]


@dataclasses.dataclass(frozen=True)
class Variant:
    """A library and its environment."""

    name: str
    title: str
    library: str = ""
    peer: str = ""
    path: str = ""
    linked: str = ""
    phase: str = ""
    environment: tuple[tuple[str, str], ...] = ()


@dataclasses.dataclass(frozen=True)
class Metric:
    """How a figure is called."""

    name: str
    title: str
    unit: str
    better: str


@dataclasses.dataclass(frozen=True)
class Bar:
    """What a comparison is held against: the rows of some suites, and how far they may go.

    Ratios are to the best peer of each row ("row"), to the one peer whose geometric mean is best
    ("single"), or to the variant of that name; or a figure is compared with another one of the same
    runs, in which case `plus` may be added, in their unit.
    """

    name: str
    title: str
    suites: tuple[str, ...]
    metrics: tuple[str, ...]
    against: str = ""
    than: str = ""                # another metric, instead of a peer
    cases: str = ".*"             # a regular expression that the name of a case must match
    leave_out: tuple[str, ...] = ()
    each_max: float | None = None
    mean_max: float | None = None
    plus: float = 0.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that may be measured."""

    modes: dict[str, dict]
    metrics: dict[str, Metric]
    variants: dict[str, Variant]
    suites: dict[str, Suite]
    bars: dict[str, Bar] = dataclasses.field(default_factory=dict)
    ours: str = ""  # the variant that is held against the bars

    def suite(self, name: str) -> Suite:
        """A suite of the plan; that of a box has the cases that its bench has."""
        if name not in self.suites:
            raise ResultsError(f"bench/plan.toml has no suite {name}")
        return self.suites[name]


def _case(data: dict, suite: dict) -> Case:
    program = data.get("program", suite.get("program"))
    if not program:
        raise ResultsError(f"case {data['name']} names no program")
    words = tuple(data.get("arguments", ()))
    fields = (field for metric in suite.get("also", ())
              for field in FIELDS_OF.get(metric, (metric,)))
    return Case(data["name"], data["title"], program, words, tuple(data.get("quick", words)),
                data.get("number", 0), data.get("text", ""), data.get("cache", ""),
                data.get("full_only", False), tuple(fields))


def _cases(suite: dict) -> list[Case]:
    """The cases that a suite lists, and those that its grids span: every value with each other."""
    cases = [_case(case, suite) for case in suite.get("cases", ())]
    for grid in suite.get("grids", ()):
        axes = {name: values if isinstance(values, list) else [values]
                for name, values in grid.items() if name != "full_only"}
        for values in itertools.product(*axes.values()):
            place = dict(zip(axes, values))
            data = {name: [word.format(**place) for word in text] if isinstance(text, list)
                    else text.format(**place) for name, text in suite["each"].items()}
            cases.append(_case(data | {"full_only": grid.get("full_only", False)}, suite))
    return cases


def _suite(name: str, values: dict) -> Suite:
    cases = _cases(values)
    lists = {key: tuple(values.get(key, ())) for key in ("also", "rows", "show")}
    suite = Suite(name, values["title"], values["kind"], tuple(values["variants"]),
                  {case.name: case for case in cases}, values.get("short", False), **lists,
                  text=values.get("text", ""))
    if len(suite.cases) != len(cases):
        raise ResultsError(f"suite {name} has two cases of one name")
    if unknown := {*suite.rows, *suite.show} - set(suite.metrics):
        raise ResultsError(f"suite {name} shows what it does not count: {sorted(unknown)}")
    return suite


def _bar(name: str, values: dict, suites: dict[str, Suite], variants: dict[str, Variant]) -> Bar:
    lists = {key: tuple(values.pop(key, ())) for key in ("suites", "metrics", "leave_out")}
    bar = Bar(name, **values, **lists)
    if unknown := set(bar.suites) - set(suites):
        raise ResultsError(f"bar {name} has unknown suites: {sorted(unknown)}")
    counted = {*bar.metrics, *([bar.than] if bar.than else [])}
    if any(counted - set(suites[suite].metrics) for suite in bar.suites):
        raise ResultsError(f"bar {name} asks for what its suites do not count")
    if bool(bar.than) == bool(bar.against) or (
            bar.against and bar.against not in ("row", "single", *variants)):
        raise ResultsError(f"bar {name} is against nothing that there is")
    if bar.than and (bar.each_max is None or bar.mean_max is not None):
        raise ResultsError(f"bar {name} takes each_max and no mean_max")
    if bar.each_max is None and bar.mean_max is None:
        raise ResultsError(f"bar {name} cannot be missed")
    if not any(re.fullmatch(bar.cases, case) for suite in bar.suites
               for case in suites[suite].cases):
        raise ResultsError(f"bar {name} is about no case")
    return bar


def read_plan(path: pathlib.Path) -> Plan:
    """Reads and checks the plan."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        metrics = {name: Metric(name, **values) for name, values in data["metrics"].items()}
        metrics |= {f"{lock}_{count}": Metric(f"{lock}_{count}", lock, PER_MILLION, "less")
                    for lock in LOCKS for count in LOCK_COUNTS}
        variants = {}
        for name, values in data["variants"].items():
            environment = tuple(sorted(values.pop("environment", {}).items()))
            variants[name] = Variant(name, **values, environment=environment)
        suites = {}
        for name, values in data["suites"].items():
            suites[name] = _suite(name, values)
            unknown = set(suites[name].variants) - set(variants)
            if unknown:
                raise ResultsError(f"suite {name} has unknown variants: {sorted(unknown)}")
            if set(suites[name].metrics) - set(metrics):
                raise ResultsError(f"suite {name} counts what the plan does not explain")
        bars = {name: _bar(name, values, suites, variants)
                for name, values in data.get("bars", {}).items()}
        if data.get("ours", "") not in ("", *variants):
            raise ResultsError(f"no variant {data['ours']}, which is to be ours")
        return Plan(data["modes"], metrics, variants, suites, bars, data.get("ours", ""))
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise ResultsError(f"{path.name}: {type(error).__name__}: {error}") from error


# ---- what a figure describes --------------------------------------------------------------------


def code_of(text: str) -> str:
    """The text of a source without comments and without the blanks between words."""
    plain = _TOKEN.sub(lambda match: match[0] if match[0].startswith('"') else " ", text)
    return " ".join(plain.split())


def closure(root: pathlib.Path, starts: list[pathlib.Path], closed: str = "") -> set[pathlib.Path]:
    """The files, what they include of src/, and the .cpp of each box that is included.

    Files below the folder that is closed are reached by nothing.
    """
    source = root / "src"
    found: set[pathlib.Path] = set()
    waiting = [path for path in starts if path.exists()]
    while waiting:
        path = waiting.pop()
        if path in found:
            continue
        found.add(path)
        for target in _INCLUDE.findall(path.read_text(encoding="utf-8")):
            for folder in (source, path.parent):
                header = folder / target
                shut = closed and header.is_relative_to(source / closed)
                if header.exists() and not shut:
                    waiting += [header, *_partner(header)]
                    break
    return found


def _partner(header: pathlib.Path) -> list[pathlib.Path]:
    return [path for path in [header.with_suffix(".cpp")] if path.exists()]


def digest(root: pathlib.Path, paths: set[pathlib.Path]) -> str:
    """A short digest of the code of some files."""
    state = hashlib.sha256()
    for path in sorted(paths):
        state.update(path.relative_to(root).as_posix().encode() + b"\0")
        state.update(code_of(path.read_text(encoding="utf-8")).encode() + b"\0")
    return state.hexdigest()[:16]


class Sources:
    """Digests of what figures describe, in a tree; each is computed once."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root

    @functools.cache
    def library(self, phase: str) -> frozenset[pathlib.Path]:
        """The files of a phase's library; the symbols of abi are common to all phases."""
        folder = self.root / "src" / "phases"
        own = closure(self.root, [folder / f"{phase}.cpp", folder / f"{phase}.hpp"])
        abi = [path for path in (self.root / "src" / "abi").glob("*") if path.suffix != ".map"]
        return frozenset(own | closure(self.root, abi, closed="phases"))

    @functools.cache
    def cell(self, program: str, phase: str) -> str:
        """The digest behind a figure of a program on a variant."""
        path = self.root / "bench" / "programs" / f"{program}.cpp"
        files = closure(self.root, [path])
        return digest(self.root, files | (self.library(phase) if phase else frozenset()))

    @functools.cache
    def box(self, name: str) -> str:
        """The digest behind the figures of a box's own bench."""
        return digest(self.root, closure(self.root, [self.root / f"bench/{name}_bench.cpp"]))


# ---- what a run found ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Value:
    """One figure, or why there is none."""

    state: str
    unit: str = ""
    samples: tuple[float, ...] = ()
    stale: bool = False
    commit: str = ""
    reason: str = ""

    @property
    def median(self) -> float:
        """The figure itself."""
        return statistics.median(self.samples)

    @property
    def text(self) -> str:
        """The figure without its unit; or its state."""
        return scaled(self.median, self.unit) if self.state == MEASURED else self.state

    @property
    def spread(self) -> str:
        """From the least to the most; nothing where all are the same."""
        low, high = (scaled(value, self.unit) for value in (min(self.samples), max(self.samples)))
        return f"{low}–{high}" if low != high else ""


def number(value: float) -> str:
    """Three digits that count; whole numbers keep all of theirs."""
    if value == int(value) or abs(value) >= 100:
        return f"{round(value):,}"
    if abs(value) < 1e-3:
        return f"{value:.1e}"
    digits = 2 if abs(value) >= 1 else 3
    digits = 1 if abs(value) >= 10 else digits
    return f"{value:.{digits}f}"


def scaled(value: float, unit: str) -> str:
    """A figure; throughput is kept in millions and written in what suits it."""
    if unit != THROUGHPUT:
        return number(value)
    return f"{number(value)} M" if value >= 1 else f"{number(1000 * value)} K"


def percent(value: float) -> str:
    """A change as the tables write it."""
    text = f"{value:+.1f} %".replace("-", "−")
    return "0.0 %" if text in ("+0.0 %", "−0.0 %") else text


def samples_of(cell: dict, metric: str) -> list[float]:
    """The samples of a metric, derived from what the programs printed."""
    if metric == "throughput":
        return [ops / wall / 1e6 for ops, wall in zip(cell["ops"], cell["wall"])]
    if metric in ("wall", "user", "system"):
        return [1000 * value for value in cell[metric]]
    if metric == "cpu":
        return [1e9 * (user + system) / ops
                for ops, user, system in zip(cell["ops"], cell["user"], cell["system"])]
    if metric == "per_live":
        return [held / live for held, live in zip(cell["resident_kib"], cell["live_kib"])]
    if metric.endswith("_kib"):
        return [value / 1024 for value in cell[metric]]
    if metric == "peak":
        return [value / 1024 for value in cell["peak_rss_kib"]]
    if metric == "faults":
        return cell["minor_faults"]
    if metric == "l1_misses":
        return [1000 * value for value in cell[metric]]
    if metric == "slow_paths":
        return [1e6 * trace.slow_paths_between(0, trace.steps) / trace.calls[-1]
                for trace in map(trace_of, cell["trace"])]
    if metric == "held":
        return [trace.held_between(0, trace.steps) / 1024
                for trace in map(trace_of, cell["trace"])]
    return cell[metric]


@dataclasses.dataclass(frozen=True)
class Trace:
    """What a program of several stages saw its magazines do, by the bytes of their blocks."""

    stages: tuple[str, ...]  # each has as many steps
    seconds: tuple[float, ...]  # when each step was over; the first is the start
    calls: tuple[int, ...]  # so far, as all that follows
    capacity: dict[str, tuple[int, ...]]  # blocks; 0 before the class is used
    held: dict[str, tuple[int, ...]]  # bytes
    slow_paths: dict[str, tuple[int, ...]]  # refills and flushes

    @property
    def steps(self) -> int:
        """The steps of all stages."""
        return len(self.calls) - 1

    @property
    def stage_steps(self) -> int:
        """The steps of one stage."""
        return self.steps // len(self.stages)

    def slow_paths_between(self, begin: int, end: int) -> int:
        """Refills and flushes after one step and up to another."""
        return sum(column[end] - column[begin] for column in self.slow_paths.values())

    def held_between(self, begin: int, end: int) -> float:
        """Bytes in the magazines after each of these steps, their mean."""
        return sum(statistics.mean(column[begin + 1:end + 1]) for column in self.held.values())


def trace_of(columns: dict) -> Trace:
    """A trace, derived from what the program printed."""
    held = {size: tuple(int(size) * blocks for blocks in column)
            for size, column in columns["cached_blocks"].items()}
    slow = {size: tuple(map(sum, zip(column, columns["flushes"][size])))
            for size, column in columns["refills"].items()}
    return Trace(tuple(columns["stages"]), tuple(ms / 1000 for ms in columns["milliseconds"]),
                 tuple(columns["calls"]), columns["capacity"], held, slow)


@dataclasses.dataclass
class Run:
    """The last recorded run on one machine."""

    plan: Plan
    sources: Sources
    machine: str = ""
    files: dict[str, dict] = dataclasses.field(default_factory=dict)

    def context(self, suite: str) -> dict:
        """Where and on what a suite was run."""
        return self.files.get(suite, {}).get("context", {})

    def cases(self, suite: str) -> dict[str, str]:
        """The cases of a suite and their titles; those of a box are what its bench printed."""
        if suite.startswith("boxes/"):
            return {name: name for name in self.files.get(suite, {}).get("cells", {})}
        return {case.name: case.title for case in self.plan.suite(suite).cases.values()}

    def trace(self, suite: str, case: str, variant: str) -> Trace | None:
        """The trace of a cell that is measured; of several the first."""
        if self.value(suite, case, variant).state != MEASURED:
            return None
        return trace_of(self.files[suite]["cells"][case][variant]["trace"][0])

    def value(self, suite: str, case: str, variant: str, metric: str = "") -> Value:
        """The figure at an address."""
        box = suite.startswith("boxes/")
        kind = "box" if box else self.plan.suite(suite).kind
        counted = METRICS_OF[kind] if box else self.plan.suite(suite).metrics
        metric = metric or counted[0]
        if metric not in counted:
            raise ResultsError(f"suite {suite} does not count {metric}")
        unit = self.plan.metrics[metric].unit
        if not box:
            planned = self.plan.suite(suite)
            if case not in planned.cases:
                raise ResultsError(f"suite {suite} has no case {case}")
            if variant not in planned.variants:
                raise ResultsError(f"suite {suite} does not run {variant}")
        data = self.files.get(suite, {})
        cell = data.get("cells", {}).get(case, {}).get(variant)
        if cell is None:
            return Value(MISSING, unit, reason="no run of it is recorded")
        if "missing" in cell:
            return Value(MISSING, unit, reason=cell["missing"])
        if box:
            now = self.sources.box(suite.removeprefix("boxes/"))
        else:
            program = self.plan.suite(suite).cases[case].program
            now = self.sources.cell(program, self.plan.variants[variant].phase)
        common = {"unit": unit, "commit": data["context"]["commit"],
                  "stale": cell.get("sources") != now}
        if "failed" in cell:
            return Value(FAILED, reason=cell["failed"], **common)
        return Value(MEASURED, samples=tuple(samples_of(cell, metric)), **common)


@dataclasses.dataclass(frozen=True)
class Address:
    """Where a figure is found, and to what it is compared."""

    suite: str
    case: str
    variant: str
    metric: str = ""
    relation: str = ""
    base: str = ""


def parse_address(text: str) -> Address:
    """suite/case/variant#metric, or that vs another variant (change), or over it (ratio)."""
    match = _ADDRESS.fullmatch(text.strip())
    if match is None:
        raise ResultsError(f"not an address: {text}")
    return Address(**{key: found or "" for key, found in match.groupdict().items()})


@dataclasses.dataclass(frozen=True)
class Said:
    """What an address says in a sentence."""

    text: str
    state: str
    stale: bool
    commit: str
    reason: str
    figure: float | None = None


def say(run: Run, address: Address) -> Said:
    """The figure at an address in words, with its unit."""
    value = run.value(address.suite, address.case, address.variant, address.metric)
    values = [value]
    if address.relation:
        values.append(run.value(address.suite, address.case, address.base, address.metric))
    bad = next((v for v in values if v.state == FAILED), None) or next(
        (v for v in values if v.state == MISSING), None)
    stale = any(v.stale for v in values)
    commit = next((v.commit for v in values if v.stale), value.commit)
    if bad:
        return Said(bad.state, bad.state, stale, commit, bad.reason)
    if not address.relation:
        unit = value.unit.removeprefix("M ")
        return Said(f"{value.text} {unit}", MEASURED, stale, commit, "", value.median)
    base = values[1].median
    if base == 0:
        return Said("undefined, as the other is 0", MEASURED, stale, commit, "")
    if address.relation == "vs":
        figure = 100 * (value.median / base - 1)
        return Said(percent(figure), MEASURED, stale, commit, "", figure)
    return Said(f"{number(value.median / base)}×", MEASURED, stale, commit, "",
                value.median / base)


def load(root: pathlib.Path) -> Run:
    """The newest run of all machines; none where nothing was ever recorded."""
    run = Run(read_plan(root / "bench" / "plan.toml"), Sources(root))
    machines: dict[str, dict[str, dict]] = {}
    results = root / "bench" / "results"
    for path in sorted(results.glob("*/**/*.json")):
        machine, *rest = path.relative_to(results).with_suffix("").parts
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            if data["format"] != FORMAT:
                raise ResultsError(f"{path.name} has format {data['format']}, not {FORMAT}")
            data["context"]["finished"], data["context"]["commit"]  # noqa: B018  (must be there)
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            name = path.relative_to(root)
            raise ResultsError(f"{name}: {type(error).__name__}: {error}") from error
        machines.setdefault(machine, {})["/".join(rest)] = data
    if machines:
        def newest(files: dict[str, dict]) -> str:
            return max(data["context"]["finished"] for data in files.values())
        run.machine = max(machines, key=lambda name: (newest(machines[name]), name))
        run.files = machines[run.machine]
    return run


# ---- what was reported --------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Report:
    """A figure of the record: what it says, where, and the address that reproduces it."""

    name: str
    section: str
    text: str
    value: float
    what: str
    reproduced: str = ""


def read_reported(path: pathlib.Path) -> dict[str, Report]:
    """All reported figures by name: section/case/variant, the same with a change, and facts."""
    reports: dict[str, Report] = {}

    def add(report: Report) -> None:
        if report.name in reports:
            raise ResultsError(f"{path.name} has {report.name} twice")
        reports[report.name] = report

    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        for table in data["tables"]:
            section, suite, metric = table["section"], table["suite"], table["metric"]
            for case, row in table["values"].items():
                for variant, value in row.items():
                    add(Report(f"{section}/{case}/{variant}", section,
                               f"{value} {table['unit']}", value, table["title"],
                               f"{suite}/{case}/{variant}#{metric}"))
            for case, row in table.get("changes", {}).items():
                for variant, value in row.items():
                    base = table["base"]
                    add(Report(f"{section}/{case}/{variant} vs {base}", section, percent(value),
                               value, table["title"],
                               f"{suite}/{case}/{variant}#{metric} vs {base}"))
        for name, fact in data["facts"].items():
            unit = fact["unit"]
            text = percent(fact["value"]) if unit == "change" else f"{fact['value']:,}" + (
                unit if unit in ("×",) else f" {unit}")
            add(Report(name, fact["section"], text, fact["value"], fact["what"],
                       fact.get("reproduced", "")))
    except (OSError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ResultsError(f"{path.name}: {type(error).__name__}: {error}") from error
    return reports
