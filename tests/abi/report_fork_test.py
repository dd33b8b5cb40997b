#!/usr/bin/python3
"""Reports and fork: whoever is interrupted by either, parent and children come to their ends."""

import sys

import drive
from drive import need


def number_of_forks(scenario):
    """How often is enough: the phases have production's forks and reports, and fronts besides."""
    return 40 if scenario.is_any_phase() else 150


def check_forks(scenario, mode, **variables):
    """The program ends, and so do its children, or it would say so; reports were written."""
    forks = number_of_forks(scenario)
    outcome = scenario.run(mode, str(forks), HAKMEM_REPORT_SIGNAL="USR2", **variables)
    need(outcome.ending() == "exit 0", outcome.describe())
    need(f"{forks} forks\n" in outcome.output, outcome.describe())
    return outcome.error.count("report of version")


def the_thread_that_forks_is_interrupted(scenario):
    """A report is asked for while fork takes the locks that the report needs."""
    need(check_forks(scenario, "interrupted") > 0, "no report")


def forked_beside_a_report(scenario):
    """A child of a process that was writing a report writes its own when it ends."""
    reports = check_forks(scenario, "beside", HAKMEM_REPORT="1")
    need(reports > number_of_forks(scenario), f"{reports} reports")


CHECKS = [the_thread_that_forks_is_interrupted, forked_beside_a_report]

if __name__ == "__main__":
    given = drive.parser(__doc__).parse_args()
    sys.exit(drive.run_checks(drive.Scenario(given.program, given.preload), CHECKS))
