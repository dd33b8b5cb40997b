"""Real programs that are timed, by the names that bench/peers.toml has for them.

Those that check programs under HAKMEM (programs.py) and those that show it (demo.py) are taken from
there. What all of them write is determined, so it can be compared byte for byte.
"""

from __future__ import annotations

import functools

import demo
import programs


def _of_demo(workload: demo.Workload) -> programs.Program:
    step = programs.Step(workload.command, workload.standard_input, workload.environment)
    return programs.Program(workload.name, [workload.needs], [step])


@functools.cache
def _all(mode: str) -> dict[str, programs.Program]:
    quick = mode == "quick"
    checked = {program.name: program for program in programs.programs(quick)
               if program.both and all(step.compared for step in program.steps)}
    shown = {f"demo.{workload.name}": _of_demo(workload) for workload in demo.workloads(quick)}
    return checked | shown


def find(name: str, mode: str) -> programs.Program:
    """A program by its name; an unknown one is an error of the plan."""
    return _all(mode)[name]
