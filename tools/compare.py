#!/usr/bin/python3
"""Measures HAKMEM beside other allocators and holds it against the bars of bench/peers.toml.

    compare.py [--mode quick|full] [--only SUITE ...] [--peer NAME=PATH ...]

Every allocator that can be preloaded may be a peer: --peer gives it a name. glibc's malloc and the
packaged peers that are installed are always there (sh tools/bootstrap.sh peers installs them).

How single measurements are taken, and in which order, is told in bench_run.py. Results go to --out:
a file of raw samples for each suite, compare.md, and a plot for each suite. Suites that the folder
has from earlier runs stay and are shown too. A run that was interrupted goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import random
import re
import subprocess
import sys

import bench_run
from bench_run import ROOT, measure, results
from rich.console import Console

import compare_report
import hakmem_comparison as comparison


RECORDED = ROOT / "bench" / "comparison"


# ---- peers --------------------------------------------------------------------------------------


def serves_malloc(library: pathlib.Path) -> bool:
    """Whether a program that preloads the library calls its malloc; the loader's log says so."""
    done = subprocess.run(["/bin/cat", "/dev/null"], capture_output=True, text=True, check=False,
                          env={"LD_PRELOAD": str(library), "LD_DEBUG": "bindings",
                               "LD_BIND_NOW": "1"})
    bound = re.compile(rf"to {re.escape(str(library))} \[0\]: normal symbol `malloc'")
    return done.returncode == 0 and bound.search(done.stderr) is not None


def read_peer(text: str, taken: set[str]) -> results.Variant:
    """The variant that --peer NAME=PATH asks for."""
    name, equals, path = text.partition("=")
    if not equals or not re.fullmatch(r"\w[\w.]*", name) or not path:
        raise results.ResultsError(f"--peer wants NAME=PATH, a NAME of letters and digits; "
                                   f"not {text}")
    if name in taken:
        raise results.ResultsError(f"--peer {name}: there is already a variant of this name")
    library = pathlib.Path(path).resolve()
    if not library.is_file():
        raise results.ResultsError(f"--peer {name}: {path} is no file")
    if not measure.can_be_preloaded(library):
        raise results.ResultsError(f"--peer {name}: {path} cannot be preloaded")
    if not serves_malloc(library):
        raise results.ResultsError(f"--peer {name}: programs that preload {path} do not call its "
                                   "malloc")
    return results.Variant(name, name, path=str(library))


def with_peers(plan: results.Plan, asked: list[str]) -> results.Plan:
    """The plan with further variants, which run every suite."""
    variants = dict(plan.variants)
    added = []
    for text in asked:
        variant = read_peer(text, set(variants))
        variants[variant.name] = variant
        added.append(variant.name)
    suites = {name: dataclasses.replace(suite, variants=(*suite.variants, *added))
              for name, suite in plan.suites.items()}
    return dataclasses.replace(plan, variants=variants, suites=suites)


# ---- the run ------------------------------------------------------------------------------------


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mode", default="quick", help="quick, the default, or full")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PATH",
                        help="a further allocator, a library to preload; repeatable")
    parser.add_argument("--only", action="append", metavar="SUITE", help="this suite; repeatable")
    parser.add_argument("--list", action="store_true", help="list the suites")
    parser.add_argument("--rounds", type=int, help="exactly so many, instead of the mode's time")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release",
                        help="the build that is measured (build/release)")
    parser.add_argument("--out", type=pathlib.Path, help="folder of the results (compare/ below "
                        "the build)")
    parser.add_argument("--record", action="store_true",
                        help="the documentation shows it: also into bench/comparison/<machine>/")
    parser.add_argument("--render", action="store_true",
                        help="only show what the folder has, measure nothing")
    parser.add_argument("--fresh", action="store_true", help="do not go on with an earlier run")
    parser.add_argument("--plan", type=pathlib.Path, default=ROOT / "bench" / "peers.toml")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32),
                        help="of the order of runs")
    given = parser.parse_args(arguments)
    given.build = given.build.resolve()
    given.out = (given.out or given.build / "compare").resolve()
    return given


def mode_of(plan: results.Plan, given: argparse.Namespace) -> dict:
    """The rounds and times of the mode; --rounds decides alone."""
    mode = plan.modes[given.mode]
    if given.rounds is None:
        return mode
    return mode | {"rounds_min": given.rounds, "rounds_max": given.rounds}


def check(plan: results.Plan, given: argparse.Namespace) -> None:
    """Refuses what cannot be run."""
    if given.mode not in plan.modes:
        raise results.ResultsError(f"no mode {given.mode}; there are {', '.join(plan.modes)}")
    if unknown := set(given.only or []) - set(plan.suites):
        raise results.ResultsError(f"no suite {', '.join(sorted(unknown))}; --list lists them")
    if given.rounds is not None and given.rounds < 1:
        raise results.ResultsError("--rounds wants at least one")
    if given.render and not any(given.out.glob("*.json")):
        raise results.ResultsError(f"nothing was measured yet in {given.out.name}/")
    if not given.render and not (given.build / "bin").is_dir():
        raise results.ResultsError("nothing is built; make bench-peers builds and measures")


def take(plan: results.Plan, given: argparse.Namespace, console: Console) -> bool:
    """Measures and records; false when it was interrupted."""
    allocators = bench_run.Allocators(given.build, plan)
    about = bench_run.context(given.mode, given.build, allocators)
    about["libraries"] = allocators.files()
    taking = bench_run.Taking(
        "compare", mode_of(plan, given), given.only or list(plan.suites),
        given.out / "journal.jsonl", list((given.build / "bin").glob("bench_*")),
        {"libraries": about["libraries"], "rounds": given.rounds}, neighbours=True)
    suites = bench_run.take(plan, given, allocators, about, taking, console)
    if suites is None:
        return False
    titles = {suite: {name: plan.variants[name].title for name in plan.suites[suite].variants}
              for suite in suites}
    for folder in [given.out, *([RECORDED / bench_run.machine_name()] if given.record else [])]:
        bench_run.record(folder, suites, about, lambda suite: {"variants": titles[suite]})
    taking.journal.unlink()
    bench_run.summary(console, suites)
    console.print(f"{about['rounds']} rounds in {about['seconds']} s", highlight=False)
    return True


def main(arguments: list[str] | None = None) -> int:
    given = parse_arguments(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    try:
        plan = results.read_plan(given.plan)
        if given.list:
            print("\n".join(plan.suites))
            return 0
        check(plan, given)
        plan = with_peers(plan, given.peer)
        if not given.render and not take(plan, given, console):
            return 130
        found = comparison.load(plan, given.out)
    except results.ResultsError as error:
        sys.exit(f"compare.py: {error}")
    shown = [suite for suite in found.files if not given.only or suite in given.only]
    for suite in shown:
        compare_report.show_suite(console, found, suite)
    compare_report.show_verdicts(console, found)
    compare_report.write(found, given.out, shown)
    console.print(f"{os.path.relpath(given.out)}/compare.md", highlight=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
