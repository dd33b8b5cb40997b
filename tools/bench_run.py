"""What the measuring programs share: libraries, single measurements, rounds, and the record.

A run takes its suites from a plan (docs/_ext/hakmem_results.py reads it). The allocators take turns
in random order. Before each measured run the same program runs once unmeasured on the same
allocator: in a virtual machine that reports its free pages to the host, the price of first touching
a page depends on who gave it back last. Every sample is kept, and a run that was interrupted goes
on where it was. What fails or is missing becomes a cell that says so.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import dataclasses
import datetime
import functools
import hashlib
import itertools
import json
import os
import pathlib
import platform
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

try:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
except ImportError:
    sys.exit("measuring needs the Debian package python3-rich")

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools" / "workloads"))
sys.path.insert(0, str(ROOT / "docs" / "_ext"))
import hakmem_results as results  # noqa: E402
import measure  # noqa: E402
import programs  # noqa: E402
import real_programs  # noqa: E402
import shared_lines  # noqa: E402

RUN_SECONDS = 60.0  # after which a program is said to hang
BOX_SECONDS = 300.0
TRACE_SECONDS = 300.0
# Metric: the calls that it counts. Memory is had by either of two.
CALLS = {"mincore": ("mincore",), "mapping": ("mmap", "mprotect"), "munmap": ("munmap",),
         "madvise": ("madvise",), "futex": ("futex",)}
COUNTERS = ("instructions:u", "L1-dcache-load-misses:u", "branches:u")


class Failure(Exception):
    """A measurement failed; the text says how. It becomes a cell of the tables."""


class Missing(Exception):
    """Something is not there to be measured; the text says what."""


# ---- allocators ---------------------------------------------------------------------------------


class Allocators:
    """Where the libraries of the variants are."""

    def __init__(self, build: pathlib.Path, plan: results.Plan) -> None:
        self.build = build
        self.plan = plan
        self._found: dict[str, pathlib.Path | None | str] = {}

    def library(self, name: str) -> pathlib.Path | None:
        """The library to preload, None for the C library's malloc."""
        if name not in self._found:
            self._found[name] = self._find(self.plan.variants[name])
        found = self._found[name]
        if isinstance(found, str):
            raise Missing(found)
        return found

    def _find(self, variant: results.Variant) -> pathlib.Path | None | str:
        if variant.library:
            path = self.build / "lib" / variant.library
            if not path.exists():
                return f"{variant.library} is not built"
        elif variant.peer:
            path = _loaded_path(variant.peer)
            if path is None:
                return f"{variant.peer} is not installed"
        elif variant.path:
            path = pathlib.Path(variant.path)
            if not path.exists():
                return f"{path.name} is not there"
        else:
            return None
        return path if measure.can_be_preloaded(path) else f"{path.name} cannot be preloaded"

    def versions(self) -> dict[str, str]:
        """What the C library and the peers that are there call their version."""
        found = {}
        for name, variant in self.plan.variants.items():
            try:
                path = self.library(name)
            except Missing:
                continue
            if path is None and variant.linked:
                continue
            if path is None:
                found[name] = os.confstr("CS_GNU_LIBC_VERSION") or "unknown"
            elif variant.peer:
                found[name] = _package_version(path) or path.resolve().name
        return found

    def files(self) -> dict[str, dict]:
        """By which file each variant can be told from others of its name; no place of it."""
        found = {}
        for name in self.plan.variants:
            with contextlib.suppress(Missing):
                if path := self.library(name):
                    data = path.read_bytes()
                    found[name] = {"file": path.name, "bytes": len(data),
                                   "sha256": hashlib.sha256(data).hexdigest()[:16]}
        return found


def _loaded_path(name: str) -> pathlib.Path | None:
    """Where the dynamic linker finds a library."""
    listing = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False)
    match = re.search(rf"^\s*{re.escape(name)} \([^)]*x86-64[^)]*\) => (\S+)$", listing.stdout,
                      re.MULTILINE)
    return pathlib.Path(match[1]) if match else None


def _package_version(path: pathlib.Path) -> str:
    """The Debian package that a file came with."""
    for place in (path, path.resolve()):
        owner = _said("dpkg-query", "-S", str(place)).partition(":")[0]
        if owner:
            return f"{owner} {_said('dpkg-query', '-W', '-f', '${Version}', owner)}"
    return ""


def _said(*command: str) -> str:
    """What a program prints, nothing when it cannot be asked."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


# ---- context ------------------------------------------------------------------------------------


def _cache(build: pathlib.Path) -> dict[str, str]:
    """What CMake was told of this build."""
    path = build / "CMakeCache.txt"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return dict(re.findall(r"^(\w+):\w+=(.*)$", text, re.MULTILINE))


def _read(path: str) -> str:
    try:
        return pathlib.Path(path).read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def processor() -> str:
    """The processor as the kernel calls it."""
    match = re.search(r"^model name\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE)
    return match[1] if match else platform.machine()


def machine_name() -> str:
    """A folder's name that tells kinds of machines apart and gives nobody away."""
    words = re.sub(r"\((R|TM|r|tm)\)|CPU|Processor|@.*", " ", processor())
    name = "-".join(re.findall(r"[a-z0-9.]+", words.lower()))
    return f"{name or 'unknown'}-{os.cpu_count()}cpu"


def context(mode: str, build: pathlib.Path, allocators: Allocators) -> dict:
    """What a reader must know to believe a figure."""
    cache = _cache(build)
    compiler = cache.get("CMAKE_CXX_COMPILER", "")
    kind = cache.get("CMAKE_BUILD_TYPE", "")
    version = _said(compiler, "--version").splitlines() if compiler else []
    memory = re.search(r"MemTotal:\s+(\d+) kB", _read("/proc/meminfo"))
    huge = re.search(r"\[(\w+)\]", _read("/sys/kernel/mm/transparent_hugepage/enabled"))
    changed = _said("git", "-C", str(ROOT), "status", "--porcelain", "--", "src", "bench",
                    "cmake", ":!bench/results", ":!bench/comparison")
    return {
        "mode": mode,
        "commit": _said("git", "-C", str(ROOT), "rev-parse", "--short=12", "HEAD") or "unknown",
        "dirty": bool(changed),
        "compiler": version[0] if version else "unknown",
        "flags": " ".join(filter(None, (kind, cache.get("CMAKE_CXX_FLAGS"),
                                        cache.get(f"CMAKE_CXX_FLAGS_{kind.upper()}")))),
        "kernel": platform.release(),
        "processor": processor(),
        "processors": os.cpu_count(),
        "memory_mib": int(memory[1]) // 1024 if memory else 0,
        "virtual": "hypervisor" in _read("/proc/cpuinfo"),
        "huge_pages": huge[1] if huge else "unknown",
        "load": round(os.getloadavg()[0], 2),
        "valgrind": _said("valgrind", "--version"),
        "allocators": allocators.versions(),
    }


# ---- one measurement ----------------------------------------------------------------------------


class Bench:
    """Runs programs and reads what they or the tools around them print."""

    def __init__(self, build: pathlib.Path, allocators: Allocators,
                 launchers: list[measure.Launcher], folder: pathlib.Path, mode: str) -> None:
        self.build, self.allocators, self.launchers = build, allocators, launchers
        self.folder, self.mode = folder, mode
        self.environment = measure.clean_environment(folder)
        self._expected: dict[str, programs.Session] = {}
        self._traced: dict[pathlib.Path | None, dict[str, dict]] = {}

    def _built(self, name: str) -> pathlib.Path:
        path = self.build / "bin" / f"bench_{name}"
        if not path.exists():
            raise Missing(f"{path.name} is not built")
        return path

    def _program(self, name: str, variant: str) -> pathlib.Path:
        linked = self.allocators.plan.variants[variant].linked
        return self._built(f"{name}_{linked}" if linked else name)

    def _run(self, command: list, variant: str, wrapped: bool = False,
             more: dict[str, str] | None = None, launcher: measure.Launcher | None = None,
             seconds: float = RUN_SECONDS) -> measure.Run:
        """Runs a command on a variant; a tool around it must pass the preload on by itself."""
        library = self.allocators.library(variant)
        extra = dict(self.allocators.plan.variants[variant].environment) | (more or {})
        if wrapped and library:
            command = [word if word != "PRELOAD" else f"LD_PRELOAD={library}" for word in command]
        elif wrapped:
            command = [word if word != "PRELOAD" else "HAKMEM_BENCH_PRELOAD=" for word in command]
        launcher = launcher or self.launchers[0]
        run = launcher.run(command, directory=self.folder, seconds=seconds,
                           environment=self.environment | extra,
                           preload=None if wrapped else library)
        if fault := run.fault():
            said = run.errors.decode(errors="replace").strip().splitlines()
            raise Failure(f"{fault}: {said[-1][:200]}" if said else fault)
        return run

    def program(self, case: results.Case, variant: str) -> dict:
        """What one run of a program used."""
        words = [self._program(case.program, variant), *case.words(self.mode)]
        self._run(words, variant)
        output = self._run(words, variant).output
        try:
            line = json.loads(output)
            seconds, faults = line["seconds"], line["faults"]
            return {"ops": line["ops"], "wall": seconds["wall"], "user": seconds["user"],
                    "system": seconds["system"], "minor_faults": faults["minor"],
                    "major_faults": faults["major"], "peak_rss_kib": line["peak_rss_kib"],
                    **{name: line[name] for name in case.fields}}
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(f"printed no figures: {error}") from error

    def command(self, case: results.Case, variant: str) -> dict:
        """What one session of a real program used, its output being that on glibc's malloc."""
        program = real_programs.find(case.program, self.mode)
        if absent := [name for name in program.needs if shutil.which(name) is None]:
            raise Missing(f"{', '.join(absent)}: not installed")
        library = self.allocators.library(variant)
        if case.program not in self._expected:
            self._expected[case.program] = self._session(program, None, {})
        environment = dict(self.allocators.plan.variants[variant].environment)
        for _ in ("unmeasured", "measured"):
            session = self._session(program, library, environment)
            if fault := programs.difference(program, self._expected[case.program], session):
                raise Failure(fault)
        return {"wall": session.total("wall"), "user": session.total("user"),
                "system": session.total("system"), "minor_faults": session.total("minor_faults"),
                "major_faults": session.total("major_faults"), "peak_rss_kib": session.peak_kib()}

    def _session(self, program: programs.Program, library: pathlib.Path | None,
                 environment: dict[str, str]) -> programs.Session:
        # The same folder each time: some programs write its name into what they make.
        folder = self.folder / "session"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if program.prepare:
            program.prepare(folder)
        session = programs.run_steps(self.launchers[0], program, folder,
                                     self.environment | environment, library)
        if session.fault:
            raise Failure(" ".join(session.fault.splitlines())[:300])
        return session

    def counts(self, case: results.Case, variant: str) -> dict:
        """Instructions, branches and misses of one operation, as callgrind simulates them."""
        if shutil.which("valgrind") is None:
            raise Missing("valgrind is not installed")
        # Counts do not depend on what else the machine does, so both runs may be under way at once.
        with concurrent.futures.ThreadPoolExecutor(len(self.launchers)) as pool:
            totals = list(pool.map(functools.partial(self._callgrind, case, variant), (1, 2),
                                   self.launchers))
        # Starting costs the same in both; where there is nothing else, chance may leave less of it.
        each = {name: max(0.0, (totals[1][name] - totals[0][name]) / case.number)
                for name in totals[0]}
        return {"instructions": each["Ir"], "branches": each["Bc"] + each["Bi"],
                "l1_misses": each["D1mr"] + each["D1mw"]}

    def _callgrind(self, case: results.Case, variant: str, factor: int,
                   launcher: measure.Launcher) -> dict[str, int]:
        written = self.folder / f"callgrind.{factor}"
        written.unlink(missing_ok=True)
        cache = [f"--D1={case.cache}"] if case.cache else []
        self._run(["valgrind", "--tool=callgrind", "--cache-sim=yes", "--branch-sim=yes", *cache,
                   f"--callgrind-out-file={written}", "--trace-children=yes", "/usr/bin/env",
                   "PRELOAD", self._program(case.program, variant), *case.words(self.mode, factor)],
                  variant, wrapped=True, launcher=launcher)
        text = written.read_text(encoding="utf-8", errors="replace") if written.exists() else ""
        events = re.search(r"^events: (.*)$", text, re.MULTILINE)
        totals = re.findall(r"^totals: (.*)$", text, re.MULTILINE)
        if not events or not totals:
            raise Failure("callgrind wrote no totals")
        return dict(zip(events[1].split(), map(int, totals[-1].split())))

    def counters(self, case: results.Case, variant: str) -> dict:
        """The same from the processor's own counters."""
        if shutil.which("perf") is None:
            raise Missing("perf is not installed")
        totals = [self._perf(case, variant, factor) for factor in (1, 2)]
        each = [(late - early) / case.number for early, late in zip(*totals)]
        return {"instructions": each[0], "l1_misses": each[1], "branches": each[2]}

    def _perf(self, case: results.Case, variant: str, factor: int) -> list[int]:
        written = self.folder / "perf"
        self._run(["perf", "stat", "-x", ",", "-o", str(written), "-e", ",".join(COUNTERS),
                   "/usr/bin/env", "PRELOAD", self._program(case.program, variant),
                   *case.words(self.mode, factor)], variant, wrapped=True)
        return parse_perf(written.read_text(encoding="utf-8"))

    def calls(self, case: results.Case, variant: str) -> dict:
        """System calls of one run, start and end of the process included."""
        if shutil.which("strace") is None:
            raise Missing("strace is not installed")
        written = self.folder / "strace"
        written.unlink(missing_ok=True)
        traced = ",".join(itertools.chain(*CALLS.values()))
        self._run(["strace", "-f", "-qq", "-o", str(written), "-e", f"trace={traced}",
                   "-E", "PRELOAD", self._program(case.program, variant), *case.words(self.mode)],
                  variant, wrapped=True)
        return count_calls(written.read_text(encoding="utf-8", errors="replace"))

    def report(self, case: results.Case, variant: str) -> dict:
        """What a library of ours says of itself at exit; the last line of each kind counts."""
        run = self._run([self._program(case.program, variant), *case.words(self.mode)], variant,
                        more={"HAKMEM_REPORT": "json", "HAKMEM_EXTERNAL_GUARD_STATS": "1"})
        return parse_report(run.errors.decode(errors="replace"))

    def locks(self, case: results.Case, variant: str) -> dict:
        """How often threads took and waited for which lock, in a million operations."""
        run = self._run([self._program(case.program, variant), *case.words(self.mode)], variant,
                        more={"HAKMEM_REPORT": "json"})
        operations = json.loads(run.output)["ops"]
        return {name: 1e6 * count / operations
                for name, count in parse_locks(run.errors.decode(errors="replace")).items()}

    def lines(self, case: results.Case, variant: str) -> dict:
        """What one kind of operation shares with other threads, by a trace of all kinds."""
        if shutil.which("valgrind") is None:
            raise Missing("valgrind is not installed")
        library = self.allocators.library(variant)
        if library not in self._traced:
            self._traced[library] = self._trace(case, variant, library)
        if case.name not in self._traced[library]:
            raise Failure("no call of this kind was traced")
        return self._traced[library][case.name]

    def _trace(self, case: results.Case, variant: str,
               library: pathlib.Path | None) -> dict[str, dict]:
        if library is None:
            raise Missing("the C library's functions are unknown")
        # Nothing shall be due by the clock, since tracing makes a program a hundred times slower;
        # and in magazines that stay small a short trace has many refills and flushes.
        written = self.folder / "trace"
        run = self._run(["valgrind", "--tool=lackey", "--trace-mem=yes", "--basic-counts=no",
                         f"--log-file={written}", "--trace-children=yes", "/usr/bin/env",
                         "PRELOAD", self._program(case.program, variant), *case.words(self.mode)],
                        variant, wrapped=True, seconds=TRACE_SECONDS,
                        more={"HAKMEM_DECAY": "3600s", "HAKMEM_MAGAZINE_BLOCKS": "127"})
        with written.open(encoding="ascii", errors="replace") as trace:
            return shared_lines.summarise(trace, library, json.loads(run.output)["marks"])

    def trace(self, case: results.Case, variant: str) -> dict:
        """What a program that asks its allocator step by step was told."""
        run = self._run([self._program(case.program, variant), *case.words(self.mode)], variant)
        try:
            return {"trace": json.loads(run.output)["trace"]}
        except (ValueError, KeyError, TypeError) as error:
            raise Failure(f"printed no trace: {error}") from error

    def box(self, name: str, seconds: float, repetitions: int) -> dict:
        """All benches of a box, repeated in random order by Google Benchmark itself."""
        path = self._built(name.replace("/", "_"))
        written = self.folder / "box.json"
        written.unlink(missing_ok=True)
        run = self.launchers[0].run(
            [path, f"--benchmark_min_time={seconds}", f"--benchmark_repetitions={repetitions}",
             "--benchmark_enable_random_interleaving=true", "--benchmark_out_format=json",
             f"--benchmark_out={written}"], directory=self.folder,
            environment=self.environment, seconds=BOX_SECONDS)
        if fault := run.fault():
            raise Failure(fault)
        return parse_google(json.loads(written.read_text(encoding="utf-8")))


def parse_perf(text: str) -> list[int]:
    """The counts that perf wrote, in the order of COUNTERS."""
    rows = [line.split(",") for line in text.splitlines() if line and not line.startswith("#")]
    counted = {row[2]: row[0] for row in rows if len(row) > 2}
    values = [counted.get(name, "") for name in COUNTERS]
    if not all(value.isdigit() for value in values):
        raise Missing("this host gives no access to the processor's counters")
    return [int(value) for value in values]


def count_calls(text: str) -> dict[str, int]:
    """Lines of strace by the call that they begin; what resumes was counted where it began."""
    names = re.findall(r"^(?:\d+\s+)?(\w+)\(", text, re.MULTILINE)
    return {name: sum(map(names.count, calls)) for name, calls in CALLS.items()}


def parse_report(text: str) -> dict[str, int]:
    """What the report and the line of the guard say."""
    heaps = re.findall(r'^\{"hakmem".*$', text, re.MULTILINE)
    guards = re.findall(r"^hakmem: external_guard: calls=(\d+)", text, re.MULTILINE)
    if not heaps or not guards:
        raise Failure("wrote no report")
    return {"superslabs": json.loads(heaps[-1])["heap"]["superslabs"],
            "guard_calls": int(guards[-1])}


def parse_locks(text: str) -> dict[str, int]:
    """What the report says of each lock; one that it does not mention was never taken."""
    heaps = re.findall(r'^\{"hakmem".*$', text, re.MULTILINE)
    rows = json.loads(heaps[-1]).get("locks", []) if heaps else []
    if not rows:
        raise Failure("counts no locks")
    counted = dict.fromkeys(results.METRICS_OF["locks"], 0)
    for row in rows:
        counted |= {f"{row['lock']}_{count}": row[count] for count in results.LOCK_COUNTS}
    return counted


def parse_google(data: dict) -> dict[str, dict]:
    """Samples of each bench that Google Benchmark ran, in nanoseconds."""
    factors = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}
    found: dict[str, dict] = {}
    for row in data["benchmarks"]:
        if row.get("run_type") != "iteration":
            continue
        if row.get("error_occurred"):
            found[row["run_name"]] = {"failed": row.get("error_message", "no reason given")}
        else:
            cell = found.setdefault(row["run_name"], {"time": []})
            cell["time"].append(round(row["real_time"] * factors[row["time_unit"]], 4))
    return found


# ---- the journal --------------------------------------------------------------------------------


class Journal:
    """Everything measured so far, on disk as soon as it is known: a killed run goes on."""

    def __init__(self, path: pathlib.Path, identity: dict, fresh: bool) -> None:
        self.path, self.entries, self.resumed = path, {}, 0
        lines = []
        if path.exists() and not fresh:
            lines = path.read_text(encoding="utf-8").splitlines()
        if lines and _parsed(lines[0]) == identity:
            for line in lines[1:]:
                if (entry := _parsed(line)) is not None:
                    self.entries[tuple(entry["key"])] = entry
            self.resumed = len(self.entries)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            for data in (identity, *self.entries.values()):
                file.write(json.dumps(data) + "\n")

    @property
    def seconds(self) -> float:
        """What has been spent, by this run and by those that it continues."""
        return sum(entry["seconds"] for entry in self.entries.values())

    def add(self, key: tuple, entry: dict) -> None:
        """Writes an entry down."""
        self.entries[key] = entry
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, **entry}) + "\n")


def _parsed(line: str) -> dict | None:
    """A line of the journal; the last one may have been cut off."""
    with contextlib.suppress(json.JSONDecodeError):
        return json.loads(line)
    return None


def file_digest(paths: list[pathlib.Path]) -> str:
    """A digest of files as they are; those that are missing count as such."""
    state = hashlib.sha256()
    for path in sorted(paths):
        state.update(str(path.name).encode() + (path.read_bytes() if path.exists() else b"-"))
    return state.hexdigest()[:16]


# ---- the run ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Job:
    """One cell of one suite, or all cells of a box's bench."""

    suite: str
    case: str = ""
    variant: str = ""

    @property
    def title(self) -> str:
        """As progress shows it."""
        return "/".join(filter(None, (self.suite, self.case, self.variant)))


class Runner:
    """Runs the plan: what is counted once, then rounds until the time is over.

    In a round everything stands in random order. With `neighbours` a case's variants follow each
    other, in random order too: ratios within a round then compare what ran at about the same time.
    """

    def __init__(self, plan: results.Plan, bench: Bench, journal: Journal, mode: dict,
                 order: random.Random, neighbours: bool = False) -> None:
        self.plan, self.bench, self.journal, self.mode = plan, bench, journal, mode
        self.order, self.neighbours = order, neighbours
        self.begin = time.monotonic()
        self.before = journal.seconds

    def spent(self) -> float:
        """Seconds of measuring, those of an interrupted run included."""
        return self.before + time.monotonic() - self.begin

    def run(self, suites: list[str], advance) -> int:
        """Runs all suites; returns the rounds."""
        once, repeated = [], []
        for name in suites:
            if name.startswith("boxes/"):
                once.append(Job(name))
                continue
            suite = self.plan.suites[name]
            jobs = [Job(name, case, variant) for case in suite.cases_in(self.bench.mode)
                    for variant in suite.variants]
            (repeated if suite.kind in results.REPEATED else once).extend(jobs)
        for place, job in enumerate(once):
            advance(job.title, place, len(once), "counted once")
            self.measure(job, 0)
        rounds = 0
        while repeated and rounds < self.mode["rounds_max"]:
            if rounds >= self.mode["rounds_min"] and not self._time_for_another(rounds):
                break
            turns = [(job, rounds * self._turns(job.suite) + turn) for job in repeated
                     for turn in range(self._turns(job.suite))]
            self._shuffle(turns)
            for place, (job, number) in enumerate(turns):
                advance(job.title, place, len(turns), f"round {rounds + 1}")
                self.measure(job, number)
            rounds += 1
        return rounds

    def _shuffle(self, turns: list[tuple[Job, int]]) -> None:
        self.order.shuffle(turns)
        if self.neighbours:
            places: dict[tuple, int] = {}
            for job, number in turns:
                places.setdefault((job.suite, job.case, number), len(places))
            turns.sort(key=lambda turn: places[turn[0].suite, turn[0].case, turn[1]])

    def _turns(self, suite: str) -> int:
        """How often a round runs a cell: short runs are soon done, and say little alone."""
        return self.mode["short_turns"] if self.plan.suites[suite].short else 1

    def _time_for_another(self, rounds: int) -> bool:
        """Whether a round as long as those before would still end in time."""
        last = [entry["seconds"] for key, entry in self.journal.entries.items()
                if self._repeated(key[0]) and key[3] // self._turns(key[0]) == rounds - 1]
        return self.spent() + sum(last) <= self.mode["seconds"]

    def _repeated(self, suite: str) -> bool:
        return suite in self.plan.suites and self.plan.suites[suite].kind in results.REPEATED

    def measure(self, job: Job, number: int) -> None:
        """Measures once, unless that was done or can be known to fail."""
        key = (job.suite, job.case, job.variant, number)
        first = self.journal.entries.get((job.suite, job.case, job.variant, 0), {})
        if key in self.journal.entries or "missing" in first or self._has_failed(key):
            return
        begin = time.monotonic()
        entry: dict = {}
        try:
            entry["sample"] = self._measured(job)
        except Missing as missing:
            entry["missing"] = str(missing)
        except (Failure, OSError, ValueError, KeyError) as failure:
            entry["failed"] = str(failure)
        self.journal.add(key, entry | {"seconds": round(time.monotonic() - begin, 4)})

    def _has_failed(self, key: tuple) -> bool:
        return any("failed" in self.journal.entries.get((*key[:3], number), {})
                   for number in range(key[3]))

    def _measured(self, job: Job) -> dict:
        if job.suite.startswith("boxes/"):
            return self.bench.box(job.suite.removeprefix("boxes/"), self.mode["box_seconds"],
                                  self.mode["box_repetitions"])
        suite = self.plan.suites[job.suite]
        self.bench.allocators.library(job.variant)
        return getattr(self.bench, suite.kind)(suite.cases[job.case], job.variant)


# ---- recording ----------------------------------------------------------------------------------


def collect(plan: results.Plan, journal: Journal, sources: results.Sources) -> dict[str, dict]:
    """The cells of each suite, with every sample and the digest of what they describe."""
    suites: dict[str, dict] = {}
    for (suite, case, variant, _), entry in sorted(journal.entries.items()):
        cells = suites.setdefault(suite, {})
        if suite.startswith("boxes/"):
            digest = sources.box(suite.removeprefix("boxes/"))
            rows = entry.get("sample") or {"bench": {key: entry[key] for key in
                                                     ("failed", "missing") if key in entry}}
            cells.update({name: {"box": cell | {"sources": digest}} for name, cell in rows.items()})
            continue
        cell = cells.setdefault(case, {}).setdefault(variant, {})
        if "missing" in entry:
            cell["missing"] = entry["missing"]
            continue
        program = plan.suites[suite].cases[case].program
        cell["sources"] = sources.cell(program, plan.variants[variant].phase)
        if "failed" in entry:
            cell["failed"] = entry["failed"]
            continue
        for name, value in entry["sample"].items():
            if not isinstance(value, dict):
                value = round(value, 9)
            cell.setdefault(name, []).append(value)
    return suites


def source_digests(plan: results.Plan, suites: list[str], sources: results.Sources) -> str:
    """A digest of all that is described; it makes each digest be taken now and remembered."""
    found = []
    for name in suites:
        if name.startswith("boxes/"):
            found.append(sources.box(name.removeprefix("boxes/")))
            continue
        suite = plan.suites[name]
        found += [sources.cell(case.program, plan.variants[variant].phase)
                  for case in suite.cases.values() for variant in suite.variants]
    return hashlib.sha256(" ".join(found).encode()).hexdigest()[:16]


def compact_json(data: dict) -> str:
    """JSON that people can read and compare: lists of numbers stay on a line."""
    text = json.dumps(data, indent=1, ensure_ascii=False)
    return re.sub(r"\[[^\[\]{}\"]*\]", lambda match: " ".join(match[0].split()), text) + "\n"


def record(folder: pathlib.Path, suites: dict[str, dict], about: dict,
           more=lambda _suite: {}) -> None:
    """Writes one file for each suite, whole or not at all; `more` may add to each."""
    for suite, cells in suites.items():
        path = folder / f"{suite}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = {"format": results.FORMAT, "suite": suite, "context": about,
                **more(suite), "cells": cells}
        part = path.with_suffix(".part")
        part.write_text(compact_json(data), encoding="utf-8")
        part.replace(path)


# ---- what people see meanwhile ------------------------------------------------------------------


class Display:
    """Progress: a bar on a terminal, now and then a line elsewhere."""

    def __init__(self, console: Console, name: str) -> None:
        self.console, self.name, self.stage = console, name, ""
        self.progress = Progress(TextColumn("{task.description:44}"), BarColumn(),
                                 TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn(),
                                 console=console, transient=True, disable=not console.is_terminal)
        self.task = self.progress.add_task("")

    def advance(self, title: str, place: int, total: int, stage: str) -> None:
        """A job begins."""
        self.progress.update(self.task, description=f"{stage}: {title}"[:44], completed=place,
                             total=total)
        if stage != self.stage and not self.console.is_terminal:
            print(f"{self.name}: {stage}, {total} measurements", flush=True)
        self.stage = stage


@dataclasses.dataclass(frozen=True)
class Taking:
    """What a run takes, and what must be the same for an interrupted one to go on."""

    name: str
    mode: dict
    suites: list[str]
    journal: pathlib.Path
    measured: list[pathlib.Path]
    identity: dict
    neighbours: bool = False


def take(plan: results.Plan, given: argparse.Namespace, allocators: Allocators, about: dict,
         taking: Taking, console: Console) -> dict[str, dict] | None:
    """Measures, and returns the cells of each suite; None when it was interrupted.

    The journal stays, for whoever calls this has not recorded anything yet. What is known only now
    is added to about.
    """
    sources = results.Sources(ROOT)  # as they are now: they may be edited while this runs
    identity = {"mode": given.mode, "suites": sorted(taking.suites), "commit": about["commit"],
                "sources": source_digests(plan, taking.suites, sources),
                "files": file_digest([given.plan, *taking.measured])} | taking.identity
    journal = Journal(taking.journal, identity, given.fresh)
    if journal.resumed:
        console.print(f"going on after {journal.resumed} measurements of an interrupted run")
    display = Display(console, taking.name)
    with tempfile.TemporaryDirectory(prefix=f"hakmem-{taking.name}-") as folder, \
            measure.Launcher() as one, measure.Launcher() as other, display.progress:
        bench = Bench(given.build, allocators, [one, other], pathlib.Path(folder), given.mode)
        runner = Runner(plan, bench, journal, taking.mode, random.Random(given.seed),
                        neighbours=taking.neighbours)
        try:
            rounds = runner.run(taking.suites, display.advance)
        except KeyboardInterrupt:
            console.print("interrupted; the same command goes on from here")
            return None
    about |= {"rounds": rounds, "seconds": round(runner.spent()), "seed": given.seed,
              "finished": datetime.datetime.now(datetime.timezone.utc).isoformat("T", "seconds")}
    return collect(plan, journal, sources)


def summary(console: Console, suites: dict[str, dict]) -> None:
    """What was measured, what failed and why, what was not there."""
    states = {"measured": 0, "failed": 0, "missing": 0}
    absent: dict[str, int] = {}
    for suite, cells in suites.items():
        for case, row in cells.items():
            for variant, cell in row.items():
                state = next((name for name in ("failed", "missing") if name in cell), "measured")
                states[state] += 1
                if state == "failed":
                    console.print(f"[red]failed[/] {suite}/{case}/{variant}: {cell['failed']}",
                                  highlight=False)
                elif state == "missing":
                    absent[cell["missing"]] = absent.get(cell["missing"], 0) + 1
    for reason, count in sorted(absent.items()):
        console.print(f"not measured: {reason} ({count} cells)", highlight=False)
    console.print(f"{states['measured']} cells measured, {states['failed']} failed, "
                  f"{states['missing']} not measured", highlight=False)
