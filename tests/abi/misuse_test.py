#!/usr/bin/python3
"""Misuse is named: for each case of misuse.cpp the signal, the message and the function's name.

`default` is the stock library; a misuse may be seen late there, but must be seen. `hardened` sets
HAKMEM_HARDENED=1: then it must be seen by the very call. The table below is the specification.
"""

import re
import subprocess
import sys

import drive
from drive import need

DOUBLE = "double free"
INVALID = "invalid free"
FOREIGN = "foreign pointer"
SIZED = "sized delete mismatch"

# Where to read on, and the function that must be on the stack.
ANCHORS = {
    DOUBLE: ("double-free", "hak_abort_double_free"),
    INVALID: ("invalid-free", "hak_abort_invalid_free"),
    FOREIGN: ("foreign-free", "hak_abort_foreign_free"),
    SIZED: ("sized-delete-mismatch", "hak_abort_sized_mismatch"),
}

AT_ONCE = "at once"  # in both modes the very call ends the process
LATE = "late"  # by default the slow path sees it later; hardened, the very call does
HARDENED = "hardened"  # by default it may pass, doing no harm; hardened, the very call ends it

# case: (kinds that may be named, when)
# A large block has no bit of its own: freed, its address is a place where no block is.
MISUSES = {
    "double_free_tiny": ({DOUBLE}, LATE),
    "double_free_small": ({DOUBLE}, LATE),
    "double_free_mid": ({DOUBLE}, LATE),
    "double_free_unit": ({DOUBLE, INVALID}, AT_ONCE),
    "double_free_large": ({DOUBLE, INVALID}, AT_ONCE),
    "double_free_huge": ({DOUBLE, INVALID}, AT_ONCE),
    "double_free_unmapped": ({DOUBLE, INVALID}, AT_ONCE),
    "double_free_trimmed": ({DOUBLE, INVALID}, AT_ONCE),
    "realloc_after_free": ({DOUBLE}, LATE),
    "double_free_after_others": ({DOUBLE}, LATE),
    "double_free_after_others_mid": ({DOUBLE}, LATE),
    "double_free_aligned": ({DOUBLE}, LATE),
    "double_free_delete": ({DOUBLE}, LATE),
    "double_free_realloc": ({DOUBLE}, LATE),
    "double_free_other_thread": ({DOUBLE}, LATE),
    "double_free_in_other_thread": ({DOUBLE}, LATE),
    "double_free_two_threads": ({DOUBLE}, LATE),
    "double_free_one_other_thread": ({DOUBLE}, LATE),
    "double_free_large_other_thread": ({DOUBLE, INVALID}, AT_ONCE),
    "inner_free_by_one": ({INVALID}, LATE),
    "inner_free_by_eight": ({INVALID}, LATE),
    "inner_free_by_16": ({INVALID}, LATE),
    "inner_free_small": ({INVALID}, LATE),
    "inner_free_mid": ({INVALID}, LATE),
    "inner_free_second_unit": ({INVALID}, AT_ONCE),
    "inner_free_large": ({INVALID}, AT_ONCE),
    "inner_free_large_by_16": ({INVALID}, AT_ONCE),
    "inner_free_huge": ({INVALID}, AT_ONCE),
    "inner_free_other_thread": ({INVALID}, LATE),
    "inner_realloc": ({INVALID}, LATE),
    "stack_free": ({FOREIGN}, AT_ONCE),
    "global_free": ({FOREIGN}, AT_ONCE),
    "code_free": ({FOREIGN}, AT_ONCE),
    "wild_16": ({FOREIGN}, AT_ONCE),
    "wild_one": ({FOREIGN}, AT_ONCE),
    "wild_deadbeef": ({FOREIGN}, AT_ONCE),
    "wild_noncanonical": ({FOREIGN}, AT_ONCE),
    "wild_kernel": ({FOREIGN}, AT_ONCE),
    "wild_minus_16": ({FOREIGN}, AT_ONCE),
    "wild_minus_one": ({FOREIGN}, AT_ONCE),
    "wild_unmapped": ({INVALID}, AT_ONCE),
    "wild_realloc": ({FOREIGN}, AT_ONCE),
    "sized_delete_small": ({SIZED}, HARDENED),
    "sized_delete_large": ({SIZED}, HARDENED),
    "sized_delete_array": ({SIZED}, HARDENED),
    "sized_delete_aligned": ({SIZED}, HARDENED),
    "free_sized_mismatch": ({SIZED}, HARDENED),
}

# These go to the C library, as the policy has it; what it makes of them is its own message.
LEFT_TO_LIBC = {"stack_free": "SIGABRT", "global_free": "SIGABRT"}

# case: lines of stderr about foreign pointers, which are said once whatever their number
FOREIGN_BLOCKS = ["foreign_free", "foreign_realloc", "foreign_usable_size", "foreign_delete"]


def check_message(outcome, kinds):
    """The first line of stderr names the kind, the address and where to read on."""
    need(outcome.lines, "nothing on stderr\n" + outcome.describe())
    first = outcome.lines[0]
    kind = next((each for each in kinds if first.startswith(f"hakmem: {each}")), None)
    need(kind, f"expected `hakmem: {' | '.join(sorted(kinds))}`\n" + outcome.describe())
    address = re.search(r"^address (0x[0-9a-f]+)$", outcome.output, re.M)
    need(address, "the scenario did not say the address\n" + outcome.describe())
    need(re.search(rf"\b{address[1]}\b", first), f"no {address[1]} in: {first}")
    anchor = ANCHORS[kind][0]
    need(f"see docs: misuse#{anchor}" in first, f"no `see docs: misuse#{anchor}` in: {first}")
    return kind


def check_misuse(scenario, case, hardened):
    """A misuse ends by SIGABRT, with its message, in time."""
    kinds, when = MISUSES[case]
    variables = {"HAKMEM_HARDENED": "1"} if hardened else {}
    # As in the record, Phase 15 asks the kernel about foreign pointers only when it is told; if it
    # is not, the C library crashes on an address without memory.
    if scenario.is_phase("15"):
        variables["HAKMEM_EXTERNAL_GUARD_MINCORE"] = "1"
    outcome = scenario.run(case, **variables)
    need("misuse\n" in outcome.output, "the misuse was not reached\n" + outcome.describe())
    if when == HARDENED and not hardened and outcome.ending() == "exit 0":
        need(not outcome.lines, "nothing is to be said\n" + outcome.describe())
        return
    wanted = LEFT_TO_LIBC.get(case, "SIGABRT")
    need(outcome.ending() == wanted, f"expected {wanted}\n" + outcome.describe())
    kind = check_message(outcome, kinds)
    if case not in LEFT_TO_LIBC:
        need(len(outcome.lines) == 1, "expected one line\n" + outcome.describe())
    if hardened or when == AT_ONCE:
        need("survived" not in outcome.output,
             f"{kind}: the call itself must end the process\n" + outcome.describe())
    if not hardened and when == LATE:
        need("unseen" not in outcome.output, "seen by accident only\n" + outcome.describe())


def symbols(path):
    """The functions of an object, by address."""
    text = subprocess.run(["nm", "--defined-only", path], capture_output=True, text=True,
                          check=True).stdout
    rows = (line.split() for line in text.splitlines())
    return sorted((int(row[0], 16), row[2]) for row in rows if len(row) == 3 and row[1] in "tTwW")


def check_stack(scenario, case, **variables):
    """The function that aborts is on the stack under its name."""
    outcome = scenario.run(case, MISUSE_TRACE="1", **variables)
    need(outcome.ending() == "SIGABRT", outcome.describe())
    kind = next(each for each in ANCHORS if outcome.lines[0].startswith(f"hakmem: {each}"))
    names = []
    tables = {}
    for path, offset in re.findall(r"^frame (\S+) (\d+)$", outcome.output, re.M):
        # The executable is named as it was called; the rest by path.
        if path not in tables:
            tables[path] = symbols(path)
        below = [name for address, name in tables[path] if address < int(offset)]
        names += below[-1:]
    need(ANCHORS[kind][1] in names, f"no {ANCHORS[kind][1]} among {names}\n" + outcome.describe())


def check_handler(scenario, case, **variables):
    """The program's handler of SIGABRT may allocate and fork, whatever lock was held."""
    outcome = scenario.run(case, MISUSE_HANDLER="1", **variables)
    need(outcome.ending() == "SIGABRT", f"{case}\n" + outcome.describe())
    need("handled\n" in outcome.output, f"{case}\n" + outcome.describe())
    need(len(outcome.lines) == 1, "expected one line\n" + outcome.describe())


def check_foreign(scenario, case):
    """Foreign blocks are handed to the C library, and that is said exactly once."""
    outcome = scenario.run(case)
    need(outcome.ending() == "exit 0", outcome.describe())
    need(len(outcome.lines) == 1, "expected exactly one line\n" + outcome.describe())
    need(outcome.lines[0].startswith("hakmem: foreign pointer 0x"), outcome.describe())
    need("see docs: misuse#foreign-free" in outcome.lines[0], outcome.describe())


def check_foreign_abort(scenario, case):
    """With HAKMEM_FOREIGN=abort the first foreign pointer ends the process, by name."""
    outcome = scenario.run(case, HAKMEM_FOREIGN="abort")
    need(outcome.ending() == "SIGABRT", outcome.describe())
    need("survived" not in outcome.output, outcome.describe())
    check_message(outcome, {FOREIGN})


def check_foreign_ignore(scenario, case):
    """With HAKMEM_FOREIGN=ignore nothing is said and nothing happens."""
    outcome = scenario.run(case, HAKMEM_FOREIGN="ignore")
    need(outcome.ending() == "exit 0", outcome.describe())
    need(not outcome.lines, outcome.describe())


def check_clean(scenario):
    """What is no misuse is not taken for one, in any mode."""
    for variables in ({}, {"HAKMEM_HARDENED": "1"}, {"HAKMEM_FOREIGN": "abort"},
                      {"HAKMEM_MAGAZINE_BLOCKS": "0"}):
        outcome = scenario.run("clean", **variables)
        need(outcome.ending() == "exit 0" and not outcome.lines,
             f"{variables}\n" + outcome.describe())


def checks_of(name):
    """The checks of one test: a case, or a group."""
    if name == "clean":
        return [check_clean]
    if name == "stack":
        def stack(scenario):
            """The name of the misuse is on the stack."""
            for case, variables in (("double_free_large", {}), ("wild_16", {}),
                                    ("inner_free_large", {}),
                                    ("double_free_tiny", {"HAKMEM_HARDENED": "1"}),
                                    ("sized_delete_small", {"HAKMEM_HARDENED": "1"})):
                check_stack(scenario, case, **variables)
        return [stack]
    if name == "handler":
        def handler(scenario):
            """A handler of SIGABRT that allocates, frees and forks comes to its end."""
            for case in ("double_free_tiny", "double_free_mid", "double_free_other_thread",
                         "double_free_large", "inner_free_small", "sized_delete_small"):
                check_handler(scenario, case, HAKMEM_HARDENED="1")
            for case in ("double_free_tiny", "double_free_two_threads"):
                check_handler(scenario, case)
        return [handler]
    if name in FOREIGN_BLOCKS:
        return [lambda scenario: check_foreign(scenario, name)]
    if name == "foreign_policy":
        def policy(scenario):
            """HAKMEM_FOREIGN is obeyed by free and by realloc."""
            check_foreign_abort(scenario, "foreign_free_once")
            check_foreign_abort(scenario, "foreign_realloc_once")
            check_foreign_ignore(scenario, "foreign_free_once")
            check_foreign_ignore(scenario, "foreign_realloc_once")
        return [policy]

    def by_default(scenario):
        """Found by the stock library."""
        check_misuse(scenario, name, False)

    def hardened(scenario):
        """Found by the very call with HAKMEM_HARDENED=1."""
        check_misuse(scenario, name, True)
    return [by_default, hardened]


TESTS = [*MISUSES, *FOREIGN_BLOCKS, "foreign_policy", "clean", "stack",
         "handler"]


def main():
    """Runs one test, or lists them for CMake."""
    arguments = drive.parser(__doc__)
    arguments.add_argument("--list", action="store_true", help="list the tests")
    arguments.add_argument("test", nargs="*", help="tests to run; all if none is named")
    given = arguments.parse_args()
    if given.list:
        print("\n".join(TESTS))
        return 0
    scenario = drive.Scenario(given.program, given.preload)
    status = 0
    for test in given.test or TESTS:
        print(f"{test}:")
        status |= drive.run_checks(scenario, checks_of(test))
    return status


if __name__ == "__main__":
    sys.exit(main())
