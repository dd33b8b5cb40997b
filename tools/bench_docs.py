#!/usr/bin/python3
"""Measures what bench/plan.toml lists and records it for the documentation.

    bench_docs.py [--mode quick|full] [--only SUITE ...]

How single measurements are taken, and in which order, is told in bench_run.py.

A run that was interrupted goes on where it was when it is started again, as long as nothing that is
measured was rebuilt. A program that fails is recorded as failed, with the reason, and the run goes
on; a library that is not there is recorded as not measured. Results go to bench/results/<machine>/.
"""

from __future__ import annotations

import argparse
import pathlib
import random
import sys

import bench_run
from bench_run import ROOT, results
from rich.console import Console


def box_suites(root: pathlib.Path) -> list[str]:
    """A suite for each box that has a bench."""
    paths = sorted((root / "bench").glob("*/*_bench.cpp"))
    return [f"boxes/{path.parent.name}/{path.stem.removesuffix('_bench')}" for path in paths]


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", default="quick", help="quick, the default, or full")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release",
                        help="the build that is measured (build/release)")
    parser.add_argument("--only", action="append", metavar="SUITE", help="this suite; repeatable")
    parser.add_argument("--fresh", action="store_true", help="do not go on with an earlier run")
    parser.add_argument("--list", action="store_true", help="list the suites")
    parser.add_argument("--machine", default=bench_run.machine_name(),
                        help="folder below bench/results/")
    parser.add_argument("--plan", type=pathlib.Path, default=ROOT / "bench" / "plan.toml")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "bench" / "results")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32),
                        help="of the order of runs")
    given = parser.parse_args(arguments)
    given.build = given.build.resolve()
    return given


def main(arguments: list[str] | None = None) -> int:
    given = parse_arguments(arguments)
    console = Console(width=None if sys.stdout.isatty() else 110)
    try:
        plan = results.read_plan(given.plan)
    except results.ResultsError as error:
        sys.exit(f"bench_docs.py: {error}")
    every = [*plan.suites, *box_suites(ROOT)]
    if given.list:
        print("\n".join(every))
        return 0
    if given.mode not in plan.modes:
        sys.exit(f"bench_docs.py: no mode {given.mode}; there are {', '.join(plan.modes)}")
    if unknown := set(given.only or []) - set(every):
        sys.exit(f"bench_docs.py: no suite {', '.join(sorted(unknown))}; --list lists them")
    if not (given.build / "bin").is_dir():
        sys.exit("bench_docs.py: nothing is built; make bench-docs builds and measures")
    chosen = given.only or every
    allocators = bench_run.Allocators(given.build, plan)
    about = bench_run.context(given.mode, given.build, allocators)
    taking = bench_run.Taking(
        "bench-docs", plan.modes[given.mode], chosen, given.build / "bench-docs" / "journal.jsonl",
        [*(given.build / "bin").glob("bench_*"), *(given.build / "lib").rglob("*.so")],
        {"allocators": about["allocators"]})
    suites = bench_run.take(plan, given, allocators, about, taking, console)
    if suites is None:
        return 130
    bench_run.record(given.results / given.machine, suites, about)
    taking.journal.unlink()
    bench_run.summary(console, suites)
    console.print(f"{about['rounds']} rounds in {about['seconds']} s, recorded for {given.machine}",
                  highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
