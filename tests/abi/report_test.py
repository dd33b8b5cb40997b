#!/usr/bin/python3
"""The report: its terms add up, none is negative, and the kernel agrees with their sum."""

import json
import re
import sys

import drive
from drive import need

TERMS = ("live", "cached", "free_in_slabs", "slack", "dirty", "metadata")
# The report prints its terms in this order, before the line of their sum.
TEXT_TERMS = len(TERMS)


def parse_json(text):
    """The one JSON object of a report."""
    start = text.index("{")
    report, _ = json.JSONDecoder().raw_decode(text[start:])
    return report


def check_sums(report, where):
    """Resident is the sum of its terms; no figure is negative or absurd."""
    memory = report["memory"]
    need(set(TERMS) < set(memory), f"{sorted(memory)}\n{where}")
    for group in ("memory", "heap"):
        for name, figure in report[group].items():
            need(isinstance(figure, int) and 0 <= figure < 1 << 47, f"{name}: {figure}\n{where}")
    total = sum(memory[term] for term in TERMS)
    need(total == memory["resident"], f"{total} is not {memory['resident']}\n{where}")
    for row in report["classes"]:
        need(all(figure >= 0 for figure in row.values()), f"{row}\n{where}")


def json_adds_up(scenario):
    """HAKMEM_REPORT=json: parses, adds up, and the sum is what smaps has, within 2 % and 1 MiB."""
    outcome = scenario.run("exit", HAKMEM_REPORT="json")
    need(outcome.ending() == "exit 0", outcome.describe())
    report = parse_json(outcome.error)
    check_sums(report, outcome.describe())
    kernel = int(re.search(r"^kernel (\d+)$", outcome.output, re.M)[1])
    resident = report["memory"]["resident"]
    need(kernel > 30 << 20, f"the heap is too small to say anything: {kernel}")
    need(abs(resident - kernel) <= kernel // 50 + (1 << 20),
         f"report {resident}, kernel {kernel}\n" + outcome.describe())
    print(f"     resident: {resident} in the report, {kernel} in smaps")


def classes_agree(scenario):
    """The table of classes agrees with the terms, and untouched memory is not resident."""
    report = parse_json(scenario.run("exit", HAKMEM_REPORT="json").error)
    need(len(report["classes"]) > 10, str(report["classes"]))
    blocks = sum(row["live_blocks"] for row in report["classes"])
    need(0 < blocks <= report["heap"]["live_blocks"], str(report))
    need(report["heap"]["live_bytes"] > 256 << 20, str(report["heap"]))
    need(report["memory"]["live"] < 200 << 20, str(report["memory"]))
    need(report["memory"]["live"] < report["heap"]["live_bytes"], str(report))
    need(report["heap"]["heaps"] >= 2, str(report["heap"]))
    sizes = [row["block_bytes"] for row in report["classes"]]
    need(sizes == sorted(sizes), str(sizes))


def text_adds_up(scenario):
    """HAKMEM_REPORT=1: the same for people; every line has the prefix."""
    outcome = scenario.run("exit", HAKMEM_REPORT="1")
    need(outcome.ending() == "exit 0", outcome.describe())
    for line in outcome.lines:
        need(line.startswith("hakmem: "), line)
    figures = [int(match[1]) for line in outcome.lines
               if (match := re.match(r"hakmem: +=? *(\d+)  \w", line))]
    need(len(figures) > TEXT_TERMS, outcome.describe())
    need(sum(figures[:TEXT_TERMS]) == figures[TEXT_TERMS], outcome.describe())


def silent_unless_asked(scenario):
    """No report without the option, and none with 0 or off."""
    for variables in ({}, {"HAKMEM_REPORT": "0"}, {"HAKMEM_REPORT": "off"}):
        outcome = scenario.run("exit", **variables)
        need(outcome.ending() == "exit 0" and not outcome.lines, outcome.describe())


def at_exit_of_running_threads(scenario):
    """A report while other threads still allocate adds up as well, and does not hang."""
    for _ in range(10):
        outcome = scenario.run("running", HAKMEM_REPORT="json")
        need(outcome.ending() == "exit 0", outcome.describe())
        check_sums(parse_json(outcome.error), outcome.describe())


def on_a_signal(scenario):
    """HAKMEM_REPORT_SIGNAL: a report each time the signal comes, by name or number."""
    for name in ("USR2", "SIGUSR2", "12"):
        outcome = scenario.run("signal", HAKMEM_REPORT_SIGNAL=name)
        need(outcome.ending() == "exit 0" and "end\n" in outcome.output, outcome.describe())
        reports = outcome.error.count("report of version")
        need(2 <= reports <= 21, f"{reports} reports\n" + outcome.describe())
        for line in outcome.lines:
            need(line.startswith("hakmem: "), f"{line}\n" + outcome.describe())


def no_handler_unless_asked(scenario):
    """Without the option the signal is the program's own business: SIGUSR2 ends it."""
    outcome = scenario.run("signal")
    need(outcome.ending() == "SIGUSR2", outcome.describe())
    need(not outcome.lines, outcome.describe())


CHECKS = [json_adds_up, classes_agree, text_adds_up, silent_unless_asked,
          at_exit_of_running_threads, on_a_signal, no_handler_unless_asked]

if __name__ == "__main__":
    given = drive.parser(__doc__).parse_args()
    sys.exit(drive.run_checks(drive.Scenario(given.program, given.preload), CHECKS))
