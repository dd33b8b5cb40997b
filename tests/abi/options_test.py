#!/usr/bin/python3
"""Options: a bad value keeps the default and says so, an unknown name is answered with the nearest.

Nothing is printed unless asked for or wrong; what is printed goes to descriptor 2, line by line
with the prefix.
"""

import errno
import pathlib
import random
import re
import sys

import drive
from drive import need

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "docs"))
import options_table  # noqa: E402


def alive(outcome):
    """The program ran to its end, and every line on stderr is HAKMEM's."""
    need(outcome.ending() == "exit 0" and "alive\n" in outcome.output, outcome.describe())
    for line in outcome.lines:
        need(line.startswith("hakmem: "), f"no prefix: {line}\n" + outcome.describe())


def table(scenario, **variables):
    """What hakmem_option_list says: name to (value, sentence)."""
    outcome = scenario.run("list", **variables)
    need(outcome.ending() == "exit 0", outcome.describe())
    rows = [line.split("\t") for line in outcome.output.splitlines() if "\t" in line]
    need(all(len(row) == 3 for row in rows) and len(rows) > 5, outcome.describe())
    return {name: (value, sentence) for name, value, sentence in rows}


def value_of(scenario, name, **variables):
    """The value in force, as hakmem_option_get has it."""
    outcome = scenario.run("get", name, **variables)
    need(outcome.ending() == "exit 0", outcome.describe())
    return outcome.output.splitlines()[0]


def one_complaint(outcome, *parts):
    """Exactly one line on stderr, which has all the parts; and the program went on."""
    alive(outcome)
    need(len(outcome.lines) == 1, "expected one line\n" + outcome.describe())
    for part in parts:
        need(part in outcome.lines[0], f"no {part} in: {outcome.lines[0]}")


def silent_by_default(scenario):
    """Nothing is printed without being asked."""
    outcome = scenario.run()
    alive(outcome)
    need(not outcome.lines, outcome.describe())


def names_have_the_prefix(scenario):
    """hakmem_option_list gives full names and one sentence each."""
    for name, (_, sentence) in table(scenario).items():
        need(re.fullmatch(r"HAKMEM_[A-Z0-9_]+", name), name)
        need(sentence.endswith(".") and sentence[0].isupper(), f"{name}: {sentence}")


def bad_values_keep_the_default(scenario):
    """A bad value of each option prints one line and leaves the default in force."""
    defaults = table(scenario)
    for bad in ("banana", "", "-1", "99999999999999999999999999", "5 apples"):
        # All at once, and one alone: a run costs more than a variable.
        outcome = scenario.run(**dict.fromkeys(defaults, bad))
        alive(outcome)
        need(len(outcome.lines) == len(defaults), outcome.describe())
        for name, (value, _) in defaults.items():
            said = [line for line in outcome.lines if re.search(rf"\b{name}\b", line)]
            need(len(said) == 1 and f"the default {value} stays" in said[0],
                 f"{name}: {said}\n" + outcome.describe())
        one_complaint(scenario.run(HAKMEM_DECAY=bad), "HAKMEM_DECAY",
                      f"the default {defaults['HAKMEM_DECAY'][0]} stays")
    need(table(scenario, **dict.fromkeys(defaults, "banana")) == defaults, "a value has changed")


def unknown_names_get_the_nearest(scenario):
    """A misspelt option is answered with the nearest name."""
    for wrong, right in (("HAKMEM_REPROT", "HAKMEM_REPORT"), ("HAKMEM_DECAYS", "HAKMEM_DECAY"),
                         ("HAKMEM_HARDEND", "HAKMEM_HARDENED"), ("HAKMEM_FORIGN", "HAKMEM_FOREIGN"),
                         ("HAKMEM_STRIKT", "HAKMEM_STRICT")):
        outcome = scenario.run(**{wrong: "1"})
        one_complaint(outcome, wrong, right)
        need(re.search(rf"\b{right}\b", outcome.lines[0].replace(wrong, "")), outcome.lines[0])


def several_complaints(scenario):
    """Each mistake gets its own line."""
    outcome = scenario.run(HAKMEM_TYPO="1", HAKMEM_DECAY="banana", HAKMEM_FOREIGN="nobody")
    alive(outcome)
    need(len(outcome.lines) == 3, outcome.describe())


def strict_makes_them_fatal(scenario):
    """With HAKMEM_STRICT=1 a mistake ends the process before the program begins."""
    for mistake in ({"HAKMEM_TYPO": "1"}, {"HAKMEM_DECAY": "banana"}, {"HAKMEM_REPORT": "7"}):
        outcome = scenario.run(HAKMEM_STRICT="1", **mistake)
        need(outcome.status != 0, outcome.describe())
        need("alive" not in outcome.output, outcome.describe())
        need(any(next(iter(mistake)) in line for line in outcome.lines), outcome.describe())
    outcome = scenario.run(HAKMEM_STRICT="1", HAKMEM_DECAY="100")
    alive(outcome)
    need(not outcome.lines, outcome.describe())
    # Strictness counts wherever it stands, and a strict that is misspelt is not strict.
    alive(scenario.run(HAKMEM_STRICT="0", HAKMEM_TYPO="1"))


def help_lists_them_all(scenario):
    """HAKMEM_HELP=1 lists each option with value, origin, range and sentence."""
    outcome = scenario.run(HAKMEM_HELP="1", HAKMEM_DECAY="2s")
    need(outcome.status == 0, outcome.describe())
    for line in outcome.lines:
        need(line.startswith("hakmem: "), line)
    for name, (value, sentence) in table(scenario, HAKMEM_DECAY="2s").items():
        at = next((i for i, line in enumerate(outcome.lines)
                   if re.search(rf"\b{name}\b", line)), None)
        need(at is not None, f"no {name}\n" + outcome.describe())
        text = " ".join(outcome.lines[at:at + 2])
        shown = "1" if name == "HAKMEM_HELP" else value
        need(re.search(rf"{name}\W+{re.escape(shown)}\b", text), f"{shown}: {text}")
        origin = "environment" if name in ("HAKMEM_HELP", "HAKMEM_DECAY") else "default"
        need(origin in text, f"{origin}: {text}")
        need(sentence in text, f"{sentence}: {text}")
        need(re.search(r" to | or |\|", text), f"no range: {text}")


def values_are_understood(scenario):
    """Sizes, times, truth values, words and signals are read as the contract has it."""
    for name, written, meant in (
            ("HAKMEM_DECAY", "2s", "2000ms"), ("HAKMEM_DECAY", "1500", "1500ms"),
            ("HAKMEM_DECAY", "1500ms", "1500ms"), ("HAKMEM_DECAY", "0", "0ms"),
            ("HAKMEM_LARGE_CACHE", "1GiB", "1GiB"), ("HAKMEM_LARGE_CACHE", "2048MiB", "2GiB"),
            ("HAKMEM_LARGE_CACHE", "65536", "64KiB"), ("HAKMEM_LARGE_CACHE", "3KiB", "3KiB"),
            ("HAKMEM_HARDENED", "true", "1"), ("HAKMEM_HARDENED", "on", "1"),
            ("HAKMEM_HARDENED", "1", "1"), ("HAKMEM_HARDENED", "false", "0"),
            ("HAKMEM_HARDENED", "off", "0"), ("HAKMEM_HARDENED", "0", "0"),
            ("HAKMEM_FOREIGN", "ignore", "ignore"), ("HAKMEM_FOREIGN", "abort", "abort"),
            ("HAKMEM_REPORT_SIGNAL", "USR2", "USR2"), ("HAKMEM_REPORT_SIGNAL", "SIGUSR2", "USR2"),
            ("HAKMEM_REPORT_SIGNAL", "12", "USR2")):
        got = value_of(scenario, name, **{name: written})
        need(got == meant, f"{name}={written} is {got}, not {meant}")


def documented_values_are_understood(scenario):
    """Each default and limit is read as docs/options.rst and hakmem(7) write it."""
    known = table(scenario)
    for option in options_table.parse(options_table.SOURCE.read_text(encoding="utf-8")):
        if option.variable not in known:
            continue
        for value in {option.default, option.minimum, option.maximum}:
            outcome = scenario.run(**{option.variable: option.text(value)})
            need(outcome.ending() == "exit 0", outcome.describe())
            need("the default" not in outcome.error, outcome.describe())


def option_get_names(scenario):
    """hakmem_option_get takes names with or without the prefix, in any case."""
    for name in ("HAKMEM_DECAY", "hakmem_decay", "decay", "DECAY", "Decay"):
        need(value_of(scenario, name, HAKMEM_DECAY="7s") == "7000ms", name)
    for name in ("", "HAKMEM_", "nothing", "decay2", "x" * 5000):
        need(value_of(scenario, name) == f"error {errno.ENOENT}", name[:20])


def bytes_of_any_kind(scenario):
    """Names and values of any bytes and any length are complained about, in printable text."""
    source = random.Random(1)
    names = [name.encode() for name in table(scenario)]
    values = [b"", b"\xff\xfe", b"%s%n%p%s%s%s", b"\x1b[31mred", b"1\n2", b"\r\nhakmem: forged",
              b"9" * 100000, b"A" * 100000, b" 1", b"1 ", b"\t", b"0" * 5000 + b"x", b"|", b"||",
              b"libc|abort", b"=", b"==1", b"SIG", b"-", b"+5", b"KiB", b"1KiBKiB", b"1kibb"]
    for _ in range(25):
        values.append(bytes(source.randrange(1, 256) for _ in range(source.randrange(1, 200))))
    # Many at once: a run costs more than a variable.
    while values:
        batch = {name: values.pop() for name in names if values}
        outcome = scenario.run(**{name.decode(): value for name, value in batch.items()
                                  if name not in (b"HAKMEM_STRICT", b"HAKMEM_HELP")})
        check_printable(outcome)
    unknown = {}
    for i in range(60):
        length = source.randrange(1, 300)
        name = b"HAKMEM_" + bytes(source.choice([byte for byte in range(1, 256) if byte != 61])
                                  for _ in range(length)) + str(i).encode()
        unknown[name.decode("utf-8", "surrogateescape")] = "1"
    outcome = scenario.run(**unknown)
    check_printable(outcome)
    need(len(outcome.lines) == len(unknown), f"{len(outcome.lines)} lines\n" + outcome.describe())
    check_printable(scenario.run(**{"HAKMEM_": "1", "HAKMEM_" + "X" * 100000: "1"}))


def check_printable(outcome):
    """Alive, and nothing on stderr that a terminal would obey."""
    alive(outcome)
    for byte in outcome.raw_error:
        need(byte == 10 or 32 <= byte < 127, f"byte {byte}\n" + outcome.describe())
    for line in outcome.lines:
        need(len(line) < 500, f"{len(line)} characters in one line")


def all_together(scenario):
    """Every option at its limits at once still runs."""
    alive(scenario.run(HAKMEM_MAGAZINE_BLOCKS="0", HAKMEM_DECAY="0", HAKMEM_LARGE_CACHE="0"))
    alive(scenario.run(HAKMEM_MAGAZINE_BLOCKS="65536", HAKMEM_MAGAZINE_BYTES="64MiB",
                       HAKMEM_MAGAZINE_TOTAL_BYTES="1024GiB",
                       HAKMEM_DECAY="3600s", HAKMEM_LARGE_CACHE="16GiB"))
    alive(scenario.run(HAKMEM_HARDENED="1", HAKMEM_DECAY="0"))
    alive(scenario.run(HAKMEM_PURGE_THREAD="1", HAKMEM_DECAY="0"))
    alive(scenario.run(HAKMEM_MAGAZINE_BLOCKS="1", HAKMEM_MAGAZINE_BYTES="0"))


CHECKS = [silent_by_default, names_have_the_prefix, bad_values_keep_the_default,
          unknown_names_get_the_nearest, several_complaints, strict_makes_them_fatal,
          help_lists_them_all, values_are_understood, documented_values_are_understood,
          option_get_names, bytes_of_any_kind, all_together]

if __name__ == "__main__":
    given = drive.parser(__doc__).parse_args()
    sys.exit(drive.run_checks(drive.Scenario(given.program, given.preload), CHECKS))
