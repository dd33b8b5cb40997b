"""What the drivers share: running a scenario under the allocator, and saying what did not hold.

The driver itself never runs on the allocator under test: only the scenario gets LD_PRELOAD.
"""

import argparse
import os
import signal
import subprocess
import sys


class Failure(Exception):
    """A check that did not hold."""


def need(condition, text):
    """Fails with a text unless the condition holds."""
    if not condition:
        raise Failure(text)


class Scenario:
    """A scenario program and the way it meets the allocator."""

    def __init__(self, program, preload):
        self.program = program
        self.preload = preload

    def is_any_phase(self):
        """Whether the library under test is that of some recorded phase."""
        return "/libhakmem_phase_" in self.preload

    def is_phase(self, name):
        """Whether the library under test is that of a recorded phase."""
        return self.preload.endswith(f"/libhakmem_phase_{name}.so")

    def run(self, *arguments, **variables):
        """Runs the program; keyword arguments are environment variables, bytes or str."""
        environment = {
            name: value for name, value in os.environ.items()
            if not name.startswith(("HAKMEM_", "LD_PRELOAD"))
        }
        environment["ABI_SUBJECT"] = "hakmem"
        environment["LC_ALL"] = "C"
        if self.preload:
            environment["LD_PRELOAD"] = self.preload
        environment.update(variables)
        encoded = {os.fsencode(name): os.fsencode(value) for name, value in environment.items()}
        return Outcome(subprocess.run(
            [self.program, *arguments], env=encoded, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=120, check=False))


class Outcome:
    """How a run ended and what it wrote."""

    def __init__(self, process):
        self.status = process.returncode
        self.output = process.stdout.decode("utf-8", "backslashreplace")
        self.raw_error = process.stderr
        self.error = process.stderr.decode("utf-8", "backslashreplace")
        self.lines = self.error.splitlines()

    def ending(self):
        """The ending in words: "exit 0", "SIGABRT"."""
        if self.status >= 0:
            return f"exit {self.status}"
        return signal.Signals(-self.status).name

    def describe(self):
        """All there is to know, for the text of a failure."""
        return (f"ended by {self.ending()}\n--- stdout ---\n{self.output[-2000:]}\n"
                f"--- stderr ---\n{self.error[-4000:]}")


def parser(text):
    """The arguments that every driver takes."""
    result = argparse.ArgumentParser(description=text)
    result.add_argument("--program", help="the scenario's executable")
    result.add_argument("--preload", default="", help="the library under test, if preloaded")
    return result


def run_checks(scenario, checks):
    """Runs functions that take a scenario; prints a line each; returns the exit status."""
    failed = 0
    for check in checks:
        try:
            check(scenario)
            print(f"ok   {check.__name__}")
        except (Failure, AssertionError) as failure:
            failed += 1
            print(f"FAIL {check.__name__}: {check.__doc__}\n{failure}")
        except (ValueError, LookupError, TypeError) as error:
            # What was written is not what can be read: the check's own words are in its text.
            failed += 1
            print(f"FAIL {check.__name__}: {check.__doc__}\n{type(error).__name__}: {error}")
        except subprocess.TimeoutExpired as expired:
            failed += 1
            print(f"FAIL {check.__name__}: no end within {expired.timeout} s")
    print(f"{len(checks) - failed} of {len(checks)} hold")
    sys.stdout.flush()
    return 1 if failed else 0
