#!/usr/bin/python3
"""Three real programs on glibc's malloc and on HAKMEM, and on mimalloc where that is installed.

The allocators take turns in random order. Before each measured run the same program runs once
unmeasured on the same allocator: in a virtual machine that reports its free pages to the host, the
price of first touching a page depends on who gave it back last.

A ratio is the median over the rounds of the ratio within one round: what slows the machine down for
a while slows both sides down. The exit status says whether every output was right, not who was
faster.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import platform
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

try:
    from rich import box
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.table import Table
except ImportError:
    sys.exit("demo.py needs the Debian package python3-rich")

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKLOADS = ROOT / "tools" / "workloads"
sys.path.insert(0, str(WORKLOADS))
import measure  # noqa: E402

MIMALLOC = "/usr/lib/x86_64-linux-gnu/libmimalloc.so.2"
PYTHON_BAR = 0.95  # HAKMEM's user time on the Python workload, mimalloc's being 1


@dataclasses.dataclass
class Workload:
    name: str
    text: str
    command: list
    needs: str
    standard_input: str = "/dev/null"
    environment: dict = dataclasses.field(default_factory=dict)


def workloads(quick):
    return [
        Workload("python", "JSON documents in python3, PYTHONMALLOC=malloc",
                 [measure.PYTHON, "-S", WORKLOADS / "documents.py", "4" if quick else "18"],
                 measure.PYTHON, environment={"PYTHONMALLOC": "malloc"}),
        Workload("sqlite", "load and query of a database in memory",
                 ["sqlite3", "-batch", ":memory:"], "sqlite3",
                 standard_input=str(WORKLOADS / "orders.sql")),
        Workload("c++", "a C++ translation unit through the compiler",
                 ["g++", "-std=c++17", "-O1", "-S", "-o", "-", WORKLOADS / "inventory.cpp"], "g++"),
    ]


class Demo:
    def __init__(self, launcher, allocators, chosen, directory):
        self.launcher = launcher
        self.allocators = allocators  # name -> library or None
        self.workloads = chosen
        self.directory = directory
        self.environment = measure.clean_environment(directory)
        self.runs = {(w.name, name): [] for w in chosen for name in allocators}
        self.faults = []

    def run(self, workload, allocator, extra=None):
        return self.launcher.run(
            workload.command, directory=self.directory, preload=self.allocators[allocator],
            environment=self.environment | workload.environment | (extra or {}),
            standard_input=workload.standard_input)

    def check(self, workload, allocator, run, expected):
        fault = run.fault()
        if fault is None and run.output != expected.output:
            fault = "its output differs from the one on glibc"
        if fault is None and run.errors != expected.errors:
            fault = "its error output differs from the one on glibc"
        if fault is not None:
            self.faults.append(f"{workload.name} on {allocator}: {fault}\n"
                               + run.errors.decode(errors="replace")[-2000:])
        return fault is None

    def measure(self, rounds, order, advance):
        expected = {}
        programs = len(self.workloads)
        for workload in self.workloads:
            expected[workload.name] = self.run(workload, "glibc")
            if not self.check(workload, "glibc", expected[workload.name],
                              expected[workload.name]):
                return
        for _ in range(rounds):
            # A workload's allocators follow each other: a ratio compares neighbours in time.
            turns = [(workload, name) for workload in order.sample(self.workloads, k=programs)
                     for name in order.sample(list(self.allocators), k=len(self.allocators))]
            for workload, name in turns:
                advance(f"{workload.name} on {name}")
                for measured in (False, True):
                    run = self.run(workload, name)
                    right = self.check(workload, name, run, expected[workload.name])
                    if measured and right:
                        self.runs[workload.name, name].append(run)
                if len(self.faults) > 5:
                    return

    def median(self, workload, name, field):
        return statistics.median(getattr(run, field) for run in self.runs[workload, name])

    def ratio(self, workload, name, base, field="user"):
        """Median over the rounds of name's figure to base's; None where either has no runs."""
        pairs = list(zip(self.runs.get((workload, name), []), self.runs.get((workload, base), [])))
        if not pairs:
            return None
        return statistics.median(getattr(a, field) / max(getattr(b, field), 1e-9)
                                 for a, b in pairs)


def show_table(console, demo):
    table = Table(title="Medians. Ratios are medians too, of each round's ratio",
                  box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("program")
    table.add_column("malloc")
    headings = ["user s", "system s", "wall s", "peak MiB", "faults"]
    bases = [name for name in ("glibc", "mimalloc") if name in demo.allocators]
    for heading in headings + [f"user / {base}" for base in bases] + ["peak / glibc"]:
        table.add_column(heading, justify="right")
    for workload in demo.workloads:
        for name in demo.allocators:
            if not demo.runs[workload.name, name]:
                table.add_row(workload.name, name, "failed")
                continue
            cells = [f"{demo.median(workload.name, name, field):.2f}"
                     for field in ("user", "system", "wall")]
            cells.append(f"{demo.median(workload.name, name, 'peak_kib') / 1024:.1f}")
            cells.append(f"{demo.median(workload.name, name, 'minor_faults'):,.0f}")
            cells += [f"{demo.ratio(workload.name, name, base):.3f}"
                      if demo.runs[workload.name, base] else "-" for base in bases]
            cells.append(f"{demo.ratio(workload.name, name, 'glibc', 'peak_kib'):.2f}")
            table.add_row(workload.name, name, *cells,
                          style="bold" if name == "hakmem" else None)
        table.add_section()
    console.print(table)


def show_bars(console, demo):
    def verdict(text, ratio, bar, strict):
        if ratio is None:
            console.print(f"  not measured  {text}", highlight=False)
            return
        met = ratio < bar if strict else ratio <= bar
        colour = "green" if met else "red"
        console.print(f"  [{colour}]{'met' if met else 'not met':12}[/]  {text}: {ratio:.3f}",
                      highlight=False)

    console.print("Bars, in user time:")
    for workload in demo.workloads:
        verdict(f"{workload.name}: HAKMEM to glibc, below 1",
                demo.ratio(workload.name, "hakmem", "glibc"), 1.0, strict=True)
    if "mimalloc" in demo.allocators:
        verdict(f"python: HAKMEM to mimalloc, at most {PYTHON_BAR}",
                demo.ratio("python", "hakmem", "mimalloc"), PYTHON_BAR, strict=False)
    else:
        console.print("  not installed python: HAKMEM to mimalloc (package libmimalloc2.0)")


def largest_report(text):
    """The report of the process that held most: a compiler driver writes one of its own."""
    reports = re.split(r"^(?=hakmem: report of)", text, flags=re.MULTILINE)[1:]

    def resident(report):
        found = re.search(r"=\s+(\d+)\s+resident", report)
        return int(found[1]) if found else 0

    return max(reports, key=resident, default="(no report)").rstrip()


def show_report(console, demo):
    """The last program once more, with the ledger that HAKMEM prints at exit."""
    workload = demo.workloads[-1]
    run = demo.run(workload, "hakmem", {"HAKMEM_REPORT": "text"})
    console.print(f"\nWhere the memory is at exit: HAKMEM_REPORT=text, {workload.text}")
    console.print(largest_report(run.errors.decode(errors="replace")), markup=False,
                  highlight=False)


def context(arguments):
    commit = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"],
                            capture_output=True, text=True, check=False).stdout.strip()
    return {"commit": commit, "seed": arguments.seed, "machine": platform.machine(),
            "kernel": platform.release(), "processors": os.cpu_count(),
            "command": sys.argv[1:]}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release",
                        help="build folder whose lib/libhakmem.so is shown")
    parser.add_argument("--lib", type=pathlib.Path, help="that library itself")
    parser.add_argument("--rounds", type=int, help="measured runs of each kind")
    parser.add_argument("--json", type=pathlib.Path, help="file for the raw figures")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH",
                        help="a further malloc to compare with")
    parser.add_argument("--quick", action="store_true", help="one short round, for a first look")
    parser.add_argument("--only", action="append", metavar="NAME", help="this program; repeatable")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32),
                        help="of the order of runs")
    arguments = parser.parse_args()
    arguments.rounds = arguments.rounds or (1 if arguments.quick else 5)
    arguments.lib = (arguments.lib or arguments.build / "lib" / "libhakmem.so").resolve()
    return arguments


def find_allocators(arguments, console):
    allocators = {"glibc": None, "hakmem": arguments.lib}
    if pathlib.Path(MIMALLOC).exists():
        allocators["mimalloc"] = pathlib.Path(MIMALLOC)
    else:
        console.print("mimalloc: not installed (package libmimalloc2.0)")
    for peer in arguments.peer:
        name, _, path = peer.partition("=")
        allocators[name] = pathlib.Path(path).resolve()
    for name, library in allocators.items():
        if library is not None and not measure.can_be_preloaded(library):
            sys.exit(f"demo.py: {name}: {library} is missing or cannot be preloaded")
    return allocators


def main():
    arguments = parse_arguments()
    console = Console(width=None if sys.stdout.isatty() else 110)
    allocators = find_allocators(arguments, console)
    chosen = [workload for workload in workloads(arguments.quick)
              if not arguments.only or workload.name in arguments.only]
    if not chosen:
        sys.exit("demo.py: no such program")
    missing = [workload.needs for workload in chosen if shutil.which(workload.needs) is None]
    if missing:
        sys.exit("demo.py: not installed: " + ", ".join(missing))
    for workload in chosen:
        console.print(f"[bold]{workload.name:7}[/] {workload.text}")
    with tempfile.TemporaryDirectory(prefix="hakmem-demo-") as directory, \
            measure.Launcher() as launcher:
        demo = Demo(launcher, allocators, chosen, directory)
        with Progress(TextColumn("{task.description:24}"), BarColumn(),
                      TextColumn("{task.completed}/{task.total}"), TimeElapsedColumn(),
                      console=console, transient=True) as progress:
            task = progress.add_task("expected outputs",
                                     total=arguments.rounds * len(chosen) * len(allocators))
            started = [False]

            def advance(text):
                # The bar counts runs that have ended: the first call ends none.
                progress.update(task, description=text, advance=1 if started[0] else 0)
                started[0] = True
                if not sys.stdout.isatty():
                    print(f"  {text}", flush=True)

            demo.measure(arguments.rounds, random.Random(arguments.seed), advance)
        show_table(console, demo)
        show_bars(console, demo)
        if not demo.faults:
            show_report(console, demo)
        if arguments.json:
            runs = [{"program": program, "malloc": name, "runs": [run.usage() for run in taken]}
                    for (program, name), taken in demo.runs.items()]
            arguments.json.write_text(json.dumps({"context": context(arguments), "runs": runs},
                                                 indent=1) + "\n")
    for fault in demo.faults:
        console.print(f"[red]failed[/] {fault}", highlight=False)
    if demo.faults:
        return 1
    console.print("\nEvery output was the same, byte for byte, on every malloc.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
