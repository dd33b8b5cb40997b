#!/usr/bin/python3
"""Renders the table of docs/options.rst from src/base/options.inc, or checks that it is fresh.

    docs/options_table.py --check     exits with 1 when the page differs from the table
    docs/options_table.py --write     renders the page anew

The page keeps the rendered table between two comment lines, so that it can be read without
building the documentation; everything outside them is written by hand.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "base" / "options.inc"
PAGE = ROOT / "docs" / "options.rst"
BEGIN = ".. Rendered by docs/options_table.py from src/base/options.inc: begin"
END = ".. Rendered by docs/options_table.py from src/base/options.inc: end"

TYPES = {
    "BOOL": "0/1, true/false, on/off, yes/no",
    "COUNT": "a whole number",
    "BYTES": "bytes, or with KiB, MiB, GiB",
    "TIME": "a number of milliseconds, or with ms, s",
    "CHOICE": "one of",
    "SIGNAL": "a signal's name or number; 0 is none",
}


class OptionsError(Exception):
    """options.inc or the page does not have the shape that is expected."""


@dataclasses.dataclass
class Option:
    """One line of options.inc."""

    name: str
    type: str
    default: int
    minimum: int
    maximum: int
    unit: str
    phases: str
    sentence: str

    @property
    def variable(self) -> str:
        """The environment variable that sets the option."""
        return "HAKMEM_" + self.name.upper()

    @property
    def choices(self) -> list[str]:
        """The words of a CHOICE."""
        return self.unit.split("|")

    def text(self, value: int) -> str:
        """A value as HAKMEM reads it."""
        if self.type == "CHOICE":
            return self.choices[value]
        if self.type == "BYTES":
            for unit, factor in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
                if value and value % factor == 0:
                    return f"{value // factor}{unit}"
        return str(value)

    @property
    def range(self) -> str:
        """What may be written after the equals sign."""
        if self.type == "BOOL":
            return TYPES["BOOL"]
        if self.type == "CHOICE":
            return ", ".join(f"``{word}``" for word in self.choices)
        if self.type == "SIGNAL":
            return TYPES["SIGNAL"]
        limits = f"{self.text(self.minimum)} to {self.text(self.maximum)}"
        if self.type == "TIME":
            return f"{limits}, in milliseconds, or with ``ms`` or ``s`` behind the number"
        if self.type == "BYTES":
            return f"{limits}, in bytes, or with ``KiB``, ``MiB`` or ``GiB`` behind the number"
        return f"{limits} {self.unit}".rstrip()


_LINE = re.compile(
    r"^HAKMEM_OPTION\(\s*(\w+)\s*,\s*(\w+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*,"
    r'\s*"([^"]*)"\s*,\s*"([^"]*)"\s*,\s*"([^"]*)"\s*\)$'
)


def parse(text: str) -> list[Option]:
    """Reads the lines of options.inc; a line of another shape is an error."""
    options = []
    # A long line may be broken after a comma; comments go first, as they may end in one.
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("//"))
    for line in re.sub(r",\s*\n\s*", ", ", code).splitlines():
        line = line.strip()
        if not line:
            continue
        match = _LINE.match(line)
        if not match:
            raise OptionsError(f"not an option: {line}")
        name, kind, default, minimum, maximum, unit, phases, sentence = match.groups()
        if kind not in TYPES:
            raise OptionsError(f"{name}: unknown type {kind}")
        numbers = (int(default), int(minimum), int(maximum))
        option = Option(name, kind, *numbers, unit, phases, sentence)
        if not option.minimum <= option.default <= option.maximum:
            raise OptionsError(f"{name}: the default is out of range")
        if kind == "CHOICE" and len(option.choices) != option.maximum + 1:
            words, values = len(option.choices), option.maximum + 1
            raise OptionsError(f"{name}: {words} words for {values} values")
        if not sentence.endswith("."):
            raise OptionsError(f"{name}: its sentence has no end: {sentence}")
        if any(other.name == name for other in options):
            raise OptionsError(f"{name}: listed twice")
        options.append(option)
    if not options:
        raise OptionsError("the table is empty")
    return options


def spoken(phases: str) -> str:
    """The phases of an option as a sentence names them."""
    *first, last = phases.split()
    return f"phases {', '.join(first)} and {last}" if first else f"phase {last}"


def render(options: list[Option]) -> str:
    """The options as reStructuredText: one entry each, so that each can be linked to."""
    lines = []
    for option in options:
        phases = "" if option.phases == "all" else f" In {spoken(option.phases)} alone."
        lines += [
            f".. envvar:: {option.variable}",
            "",
            f"   {option.sentence}{phases}",
            "",
            f"   :Default: ``{option.text(option.default)}``",
            f"   :Values: {option.range}",
            "",
        ]
    return "\n".join(lines)


def page_with(page: str, table: str) -> str:
    """The page with its rendered part replaced."""
    head, begin, rest = page.partition(BEGIN + "\n")
    _, end, tail = rest.partition(END + "\n")
    if not begin or not end:
        raise OptionsError(f"the page has lost its comment lines:\n  {BEGIN}\n  {END}")
    return f"{head}{begin}\n{table}{end}{tail}"


def is_fresh(source: pathlib.Path = SOURCE, page: pathlib.Path = PAGE) -> bool:
    """Whether the page shows exactly the table."""
    text = page.read_text(encoding="utf-8")
    return page_with(text, render(parse(source.read_text(encoding="utf-8")))) == text


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument("--check", action="store_true", help="exit with 1 when the page is stale")
    action.add_argument("--write", action="store_true", help="render the page anew")
    parser.add_argument("--source", type=pathlib.Path, default=SOURCE, help="options.inc")
    parser.add_argument("--page", type=pathlib.Path, default=PAGE, help="options.rst")
    given = parser.parse_args(arguments)
    try:
        if given.write:
            text = given.page.read_text(encoding="utf-8")
            options = parse(given.source.read_text(encoding="utf-8"))
            given.page.write_text(page_with(text, render(options)), encoding="utf-8")
            return 0
        if is_fresh(given.source, given.page):
            return 0
        print(f"{given.page} differs from {given.source}: run docs/options_table.py --write",
              file=sys.stderr)
    except (OptionsError, OSError) as error:
        print(f"options_table: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
