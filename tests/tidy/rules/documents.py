"""What the documentation may say."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

import cpp
from engine import Raw, Tree, rule

_NUMBER = r"(?<![\w.])\d[\d.,]*"
_UNIT = (
    r"(?:ns|µs|us|ms|s|nanoseconds?|microseconds?|milliseconds?|seconds?|minutes?"
    r"|[KMG]i?B/s|[KMGk]?ops/s|%|per ?cent|instructions?|cycles?|cache misses"
    r"|page faults|faults)"
)
_MEASUREMENT = re.compile(
    rf"{_NUMBER}[ \u00a0-]?{_UNIT}(?![\w/])"
    rf"|{_NUMBER} ?(?:x|×|times) (?:as |faster|slower|smaller|larger|less|more|fewer|better|worse)",
)
_LITERAL = re.compile(r"``([^`\n]+)``")
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)")
_PATH = re.compile(r"(?:src|tests|tools|docs|bench|cmake)/[\w./-]*\w")
_FUNCTION = re.compile(r"(?:::)?([A-Za-z_]\w*(?:::~?[A-Za-z_]\w*)*)\(\)")
_QUALIFIED = re.compile(r"(?:::)?([A-Za-z_]\w*(?:::~?[A-Za-z_]\w*)+)")
_VARIABLE = re.compile(r"(HAKMEM_[A-Z0-9_]+)(?:=.*)?")


def _pages(tree: Tree) -> list[str]:
    return [*tree.files(".rst", under="docs"), *(p for p in tree.paths if p == "README.md")]


@rule
def measurements(tree: Tree) -> Iterator[Raw]:
    """No measured number is typed by hand.

    A number in a sentence outlives the code that it was measured on. Figures come from recorded
    runs, rendered by the documentation. Design constants are no measurements: where one looks
    like it, the allow-list says what decides it.
    """
    for path in _pages(tree):
        for number, line in tree.lines(path):
            for match in _MEASUREMENT.finditer(line):
                yield path, number, f'a figure typed by hand: "{match.group()}"'


@functools.lru_cache(maxsize=8)
def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[A-Za-z_]\w*", text))


def _known(tree: Tree) -> set[str]:
    """Every identifier of the code: comments do not count, they rot as pages do."""
    known: set[str] = set()
    for path in tree.files(".hpp", ".cpp", ".h", ".c", under=("src", "tests", "bench")):
        known |= _words(cpp.without_comments(tree.text(path)))
    for path in tree.files(".inc", ".map", ".py", ".sh", "CMakeLists.txt", ".cmake"):
        if not path.startswith("docs/"):
            known |= _words(tree.text(path))
    for option in re.findall(r"^HAKMEM_OPTION\((\w+)", tree.text("src/base/options.inc"), re.M):
        known.add(f"HAKMEM_{option.upper()}")
    return known


def _unknown(tree: Tree, known: set[str], literal: str) -> bool:
    if path := _PATH.fullmatch(literal):
        here = tree.root / path.group()
        return not here.exists() and not any(p.startswith(literal) for p in tree.paths)
    if variable := _VARIABLE.fullmatch(literal):
        return variable.group(1) not in known
    name = _FUNCTION.fullmatch(literal) or _QUALIFIED.fullmatch(literal)
    if name is None or name.group(1).startswith("std::"):
        return False
    return any(part.lstrip("~") not in known for part in name.group(1).split("::"))


@rule
def identifiers(tree: Tree) -> Iterator[Raw]:
    """Code that a page names exists.

    A literal that looks like a function, a qualified name, an environment variable or a path
    of this repository is looked up in the sources. What is spoken of as history goes on the
    allow-list.
    """
    known = _known(tree)
    for path in _pages(tree):
        for number, line in tree.lines(path):
            for literal in _LITERAL.findall(line):
                if _unknown(tree, known, literal):
                    yield path, number, f"there is no {literal} in the sources"


@rule
def links(tree: Tree) -> Iterator[Raw]:
    """What a Markdown page links to is there.

    The documentation's own build checks the links between its pages; nothing else reads README.md
    before its first visitor does.
    """
    for path in tree.files(".md"):
        folder = (tree.root / path).parent
        for number, line in tree.lines(path):
            for target in _LINK.findall(line):
                if not (folder / target).exists():
                    yield path, number, f"the link leads nowhere: {target}"
