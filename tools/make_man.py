#!/usr/bin/python3
"""Writes hakmem(3) and hakmem(7) from src/abi/hakmem.h and src/base/options.inc.

    tools/make_man.py --version VERSION --output DIR

The functions and the options are described once, where they are declared; a manual page written
beside them would only differ from them.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "docs"))
import options_table  # noqa: E402  one reader of options.inc for pages and manual

HEADER = ROOT / "src" / "abi" / "hakmem.h"
OPTIONS = ROOT / "src" / "base" / "options.inc"

_DOCUMENTED = re.compile(
    r"/\*\*(?P<comment>(?:(?!\*/).)*)\*/\s*"
    r"(?P<code>(?:#define[^\n]*)|[^;{]*(?:\{[^}]*\})?[^;{}]*;)",
    re.DOTALL,
)
_FIELD = re.compile(
    r"^\s*(?P<field>\w[^;=]*?)(?:\s*=\s*[^,;/]*)?[;,]?\s*/\*\*<\s*(?P<text>.*?)\s*\*/",
    re.MULTILINE,
)


class HeaderError(Exception):
    """hakmem.h does not have the shape that this program reads."""


@dataclasses.dataclass
class Entry:
    """One documented declaration of the header."""

    code: str
    brief: str
    details: str = ""
    parameters: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    returns: str = ""
    members: list[tuple[str, str]] = dataclasses.field(default_factory=list)

    @property
    def kind(self) -> str:
        """function, type or macro."""
        if self.code.startswith("#define"):
            return "macro"
        return "type" if re.match(r"(typedef|struct|enum)\b[^(]*[{(]", self.code) else "function"

    @property
    def name(self) -> str:
        """The name that is declared."""
        pattern = {
            "macro": r"#define (\w+)",
            "type": r"(?:struct|enum) (\w+) \{|\(\*(\w+)\)",
            "function": r"(\w+)\(",
        }[self.kind]
        match = re.search(pattern, self.code)
        if not match:
            raise HeaderError(f"no name in: {self.code}")
        return next(group for group in match.groups() if group)


def parse_header(text: str) -> list[Entry]:
    """Every declaration of the header with the comment before it."""
    entries = []
    start = text.index('extern "C" {')
    for match in _DOCUMENTED.finditer(text, start):
        entries.append(_entry(match.group("comment"), match.group("code").strip()))
    declared = set(re.findall(r"^\w[\w *]*[ *](hakmem_\w+)\(", text[start:], re.MULTILINE))
    missing = declared - {entry.name for entry in entries}
    if missing:
        raise HeaderError(f"declared and not documented: {', '.join(sorted(missing))}")
    return entries


def _entry(comment: str, code: str) -> Entry:
    plain = "\n".join(re.sub(r"^\s*\*? ?", "", line) for line in comment.strip().splitlines())
    head, *tagged = re.split(r"^@(?=\w)", "\n" + plain, flags=re.MULTILINE)
    entry = Entry(code, "", _joined(head))
    for part in tagged:
        tag, _, said = part.partition(" ")
        if tag == "brief":
            brief, _, details = said.partition("\n\n")
            entry.brief, entry.details = _joined(brief), _joined(details)
        elif tag == "param":
            name, _, meaning = said.partition(" ")
            entry.parameters.append((name, _joined(meaning)))
        elif tag == "return":
            entry.returns = _joined(said)
    if "{" in code:
        entry.members = [(m["field"], _joined(m["text"])) for m in _FIELD.finditer(code)]
    return entry


def _joined(text: str) -> str:
    """One paragraph a line."""
    return "\n".join(" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip())


def roff(text: str) -> str:
    """Text for troff: its own signs escaped, code in bold."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    text = re.sub(r"``?([^`]+)``?", r"\\fB\1\\fP", text)
    text = re.sub(r"(?<!\w)::(?=[A-Za-z])", "", text)
    return "\n".join("\\&" + line if line[:1] in ".'" else line for line in text.splitlines())


def paragraphs(text: str) -> list[str]:
    """Each paragraph of a joined text, a .PP before it."""
    return [line for part in text.splitlines() for line in (".PP", roff(part))]


def head(section: int, version: str, title: str) -> list[str]:
    """The lines with which each page begins."""
    return [
        '.\\" Written by tools/make_man.py; edit what it reads instead.',
        f'.TH HAKMEM {section} "" "hakmem {version}" "HAKMEM"',
        ".SH NAME",
        f"hakmem \\- {roff(title)}",
    ]


def prototype(code: str) -> str:
    """A declaration on one line, or as it stands when it has a body."""
    return code if "{" in code else " ".join(code.split())


def functions_page(entries: list[Entry], version: str) -> str:
    """hakmem(3)."""
    functions = [entry for entry in entries if entry.kind == "function"]
    others = [entry for entry in entries if entry.kind != "function"]
    lines = head(3, version, "the functions of HAKMEM beside malloc and free")
    lines += [".SH LIBRARY", roff("libhakmem (-lhakmem; pkg-config hakmem)"), ".SH SYNOPSIS",
              ".nf", "#include <hakmem.h>", ""]
    lines += [roff(prototype(entry.code)) for entry in functions]
    lines += [".fi", ".SH DESCRIPTION"]
    lines += [
        roff("These functions work on the heap of malloc and free: a block from one may be given "
             "to the other. Any thread may call them at any time; none may be called from "
             "a signal handler unless its text says so."),
    ]
    for entry in functions:
        lines += [f".SS {entry.name}()", roff(entry.brief), *paragraphs(entry.details)]
        for name, meaning in entry.parameters:
            lines += [".TP", f".I {name}", roff(meaning)]
        if entry.returns:
            lines += [".PP", "Returns: " + roff(entry.returns)]
    lines.append(".SH TYPES AND CONSTANTS")
    for entry in others:
        lines += [f".SS {entry.name}", roff(entry.brief), *paragraphs(entry.details)]
        if entry.members:
            for field, meaning in entry.members:
                lines += [".TP", f".B {roff(field)}", roff(meaning)]
        else:
            lines += [".PP", ".nf", roff(prototype(entry.code)), ".fi"]
    lines += [".SH SEE ALSO", ".BR hakmem (7),", ".BR malloc (3)"]
    return "\n".join(lines) + "\n"


def overview_page(options: list[options_table.Option], version: str) -> str:
    """hakmem(7)."""
    lines = head(7, version, "a malloc for Linux, told box by box")
    lines += [".SH SYNOPSIS", ".nf", roff("LD_PRELOAD=libhakmem.so program ..."),
              roff("cc ... $(pkg-config --libs hakmem)"), roff("cc ... hakmem.o ..."), ".fi",
              ".SH DESCRIPTION"]
    text = [
        "HAKMEM replaces malloc, free and their relatives, and the operators new and delete of "
        "C++, in a program that is started with the library preloaded, linked with it, or linked "
        "with `hakmem.o` before all other objects. The program need not be changed.",
        "All of HAKMEM's own data lies apart from the blocks of the program: writing beyond a "
        "block cannot damage the heap, and most misuse is found and named. A message begins with "
        "`hakmem:`, goes to file descriptor 2 and is written only when something is wrong or was "
        "asked for.",
    ]
    lines += [line for part in text for line in (".PP", roff(part))]
    lines += [".SH ENVIRONMENT",
              roff("Bytes may be followed by KiB, MiB or GiB, times by ms or s. A bad value keeps "
                   "the default and writes a line. Programs with raised privileges (AT_SECURE) "
                   "ignore all of these.")]
    for option in options:
        meaning = option.sentence
        if option.phases != "all":
            meaning += f" (In {options_table.spoken(option.phases)} alone.)"
        default = roff(option.text(option.default))
        lines += [".TP", f".BR {option.variable} \" (default {default})\"",
                  roff(meaning), ".br", "Values: " + roff(option.range) + "."]
    lines += [".SH SEE ALSO", ".BR hakmem (3),", ".BR malloc (3),", ".BR ld.so (8)"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--version", required=True, help="of HAKMEM")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="a folder")
    given = parser.parse_args()
    entries = parse_header(HEADER.read_text(encoding="utf-8"))
    options = options_table.parse(OPTIONS.read_text(encoding="utf-8"))
    given.output.mkdir(parents=True, exist_ok=True)
    for name, page in (
        ("hakmem.3", functions_page(entries, given.version)),
        ("hakmem.7", overview_page(options, given.version)),
    ):
        (given.output / name).write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
