"""What the documentation reads out of the sources, without Sphinx.

A box header opens with one comment that carries its essay and its contract. This module takes
that comment apart, finds the marked regions of a source file and the places where an invariant is
checked. The Sphinx extension, docs/build.py and the tests share it, so that all of them agree on
what a contract is.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re

# Tags that take one text each, in the order in which pages show them.
TAGS = ("owns", "calls", "threads", "invariant", "failure", "cost", "phase")

_COMMENT = re.compile(r"/\*\*(.*?)\*/", re.DOTALL)
_TAG = re.compile(r"^@(\w+)\b\s*(.*)$")
_INVARIANT = re.compile(r"^(I\d+)\b[:.]?\s+(.*)$", re.DOTALL)
_REGION = re.compile(r"^\s*// \[(/?)([a-z0-9_]+(?: [a-z0-9_]+)*)\]$")
_INCLUDE = re.compile(r'^#include "([a-z0-9_]+/[a-z0-9_]+)\.\w+"', re.MULTILINE)
_NO_BOX = ("—", "-", "–", "nothing", "none", "")


class SourceError(Exception):
    """A source does not have the shape that the documentation relies on."""


@dataclasses.dataclass
class Invariant:
    """One numbered statement of a contract."""

    name: str
    text: str


@dataclasses.dataclass
class Box:
    """The first comment of a box header, taken apart."""

    layer: str
    name: str
    path: pathlib.Path
    summary: str
    essay: list[str]
    owns: str = ""
    calls: list[str] = dataclasses.field(default_factory=list)
    threads: str = ""
    invariants: list[Invariant] = dataclasses.field(default_factory=list)
    failure: str = ""
    cost: str = ""
    phase: str = ""

    @property
    def full_name(self) -> str:
        """The name by which pages and contracts call the box: layer/name."""
        return f"{self.layer}/{self.name}"


def layers(root: pathlib.Path) -> list[str]:
    """The folders of src/ from top to bottom, as src/LAYERS lists them."""
    text = (root / "src" / "LAYERS").read_text(encoding="utf-8")
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def comment_lines(comment: str) -> list[str]:
    """The text of a `/** … */` comment, without its decoration of leading stars."""
    lines = comment.splitlines()
    inner = [line for line in lines[1:] if line.strip()]
    starred = bool(inner) and all(line.lstrip().startswith("*") for line in inner)
    result = [lines[0].strip()]
    for line in lines[1:]:
        if starred:
            line = line.lstrip()[1:]
            result.append(line[1:] if line.startswith(" ") else line)
        else:
            result.append(line)
    if not starred:
        indents = [len(line) - len(line.lstrip()) for line in result[1:] if line.strip()]
        cut = min(indents, default=0)
        result[1:] = [line[cut:] for line in result[1:]]
    return [line.rstrip() for line in result]


def read_box(path: pathlib.Path) -> Box | None:
    """Takes the contract of a header apart; None when the file has none."""
    text = path.read_text(encoding="utf-8")
    for match in _COMMENT.finditer(text):
        lines = comment_lines(match.group(1))
        if any(line.startswith("@box") for line in lines):
            return _parse_contract(path, lines)
    return None


def _parse_contract(path: pathlib.Path, lines: list[str]) -> Box:
    box = Box(path.parent.name, path.stem, path, "", [])
    tag = ""
    body: list[str] = []
    fenced = False

    def close() -> None:
        if tag:
            _store(box, tag, body)

    for line in lines:
        stripped = line.strip()
        if stripped.startswith(("```", "@verbatim", "@endverbatim", "@code", "@endcode")):
            fenced = not fenced
        match = None if fenced else _TAG.match(line)
        if match and match.group(1) in ("box", "file", "brief", *TAGS):
            close()
            tag, body = match.group(1), [match.group(2)]
        elif tag == "box" and not stripped and body:
            close()
            tag, body = "essay", []
        else:
            body.append(line)
    close()
    if not box.summary:
        raise SourceError(f"{path}: the line after @box has no text after the dash")
    return box


def _joined(body: list[str]) -> str:
    """A tag's text as one paragraph; blank lines stay as paragraph ends."""
    paragraphs = re.split(r"\n\s*\n", "\n".join(body).strip())
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _store(box: Box, tag: str, body: list[str]) -> None:
    if tag == "essay":
        while body and not body[0].strip():
            body = body[1:]
        while body and not body[-1].strip():
            body = body[:-1]
        box.essay = list(body)
        return
    text = _joined(body)
    if tag == "box":
        match = re.match(r"^(\S+)\s+(?:—|–|-)\s+(.*)$", text, re.DOTALL)
        if not match:
            raise SourceError(f"{box.path}: expected `@box name — one line`, found: {text}")
        if match.group(1) != box.name:
            raise SourceError(f"{box.path}: @box names {match.group(1)}, the file is {box.name}")
        box.summary = match.group(2)
    elif tag == "calls":
        box.calls = [] if text in _NO_BOX else re.split(r"[,\s]+", text)
    elif tag == "invariant":
        match = _INVARIANT.match(text)
        if text.rstrip(".") in _NO_BOX:
            return
        if not match:
            raise SourceError(f"{box.path}: expected `@invariant I<n> statement`, found: {text}")
        box.invariants.append(Invariant(match.group(1), match.group(2)))
    elif tag in ("owns", "threads", "failure", "cost", "phase"):
        setattr(box, tag, text)


def boxes(root: pathlib.Path) -> dict[str, Box]:
    """Every box under src/, keyed by layer/name, top layer first."""
    found: dict[str, Box] = {}
    for layer in layers(root):
        for path in sorted((root / "src" / layer).glob("*.hpp")):
            box = read_box(path)
            if box:
                found[box.full_name] = box
    return found


def plain_sources(root: pathlib.Path) -> dict[str, list[str]]:
    """Sources without a header of their own, such as abi/malloc, and what each includes."""
    found = {}
    for layer in layers(root):
        for path in sorted((root / "src" / layer).glob("*.cpp")):
            if not path.with_suffix(".hpp").exists():
                names = _INCLUDE.findall(path.read_text(encoding="utf-8"))
                found[f"{layer}/{path.stem}"] = names
    return found


def callers(all_boxes: dict[str, Box], plain: dict[str, list[str]], name: str) -> list[str]:
    """Who uses a box: the sources that include it, the boxes whose contract lists it."""
    users = [source for source, included in plain.items() if name in included]
    return users + [other.full_name for other in all_boxes.values() if name in other.calls]


def regions(path: pathlib.Path) -> dict[str, tuple[int, int]]:
    """The marked regions of a file: name to (line of its first marker, line of its last)."""
    result: dict[str, tuple[int, int]] = {}
    opened: dict[str, int] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = _REGION.match(line)
        if not match:
            continue
        closing, name = match.group(1) == "/", match.group(2)
        if not closing:
            if opened:
                outer = next(iter(opened))
                raise SourceError(f"{path}:{number}: [{name}] opens inside [{outer}]")
            if name in result:
                raise SourceError(f"{path}:{number}: [{name}] is marked twice")
            opened[name] = number
        elif name not in opened:
            raise SourceError(f"{path}:{number}: [/{name}] closes nothing")
        else:
            result[name] = (opened.pop(name), number)
    if opened:
        raise SourceError(f"{path}: [{next(iter(opened))}] is never closed")
    return result


@dataclasses.dataclass
class Check:
    """A place where an invariant is checked."""

    path: str
    line: int
    label: str


def test_of(root: pathlib.Path, box: Box) -> pathlib.Path | None:
    """The test of a box, if it has one of its own: unit tests, or a program of its name."""
    folder = root / "tests" / box.layer
    candidates = (folder / f"{box.name}_test.cpp", folder / f"{box.name}.cpp")
    return next((path for path in candidates if path.exists()), None)


def invariant_checks(root: pathlib.Path, box: Box) -> dict[str, list[Check]]:
    """Where the invariants of a box are checked: in its own sources and in its test.

    In the sources a check is a line that names the invariant outside the contract itself; in the
    test it is a test whose name or body mentions it.
    """
    result: dict[str, list[Check]] = {invariant.name: [] for invariant in box.invariants}
    for suffix in (".hpp", ".cpp"):
        path = box.path.with_suffix(suffix)
        if path.exists():
            _checks_in_source(root, path, result)
    if (test := test_of(root, box)) is not None:
        _checks_in_test(root, test, result)
    return result


def _note(found: list[Check], check: Check) -> None:
    if check not in found:
        found.append(check)


def _checks_in_source(root: pathlib.Path, path: pathlib.Path,
                      result: dict[str, list[Check]]) -> None:
    """Finds the invariants that a function called validate… names in a string."""
    relative = path.relative_to(root).as_posix()
    start, end = 0, "}"
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = re.match(r"^(\s*)[A-Za-z][\w:&*<> ]*\bvalidate\w*\(", line)
        if match and not start and not line.endswith(";"):
            start, end = number, match.group(1) + "}"
        elif line.startswith(end):
            start = 0
        if not start:
            continue
        for name, found in result.items():
            if re.search(rf"\b{name}\b", line):
                _note(found, Check(relative, start, "validate()"))


def _checks_in_test(root: pathlib.Path, path: pathlib.Path,
                    result: dict[str, list[Check]]) -> None:
    """Finds the tests whose name or body mentions an invariant."""
    relative = path.relative_to(root).as_posix()
    macros = "TEST|TEST_F|TEST_P|TYPED_TEST|RC_GTEST_PROP"
    head = re.compile(rf"^\s*(?:{macros})\(\s*(\w+)\s*,\s*(\w+)")
    test: Check | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        match = head.match(line)
        if match:
            test = Check(relative, number, f"{match.group(1)}.{match.group(2)}")
        elif line.startswith("}"):
            test = None
        if test is None:
            continue
        for name, found in result.items():
            if re.search(rf"(?<![A-Za-z0-9]){name}(?![0-9])", line):
                _note(found, test)
