"""What stands at the top of each box header, and whether the code keeps it."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

import cpp
from engine import Raw, Tree, rule

TAGS = ("box", "owns", "calls", "threads", "invariant", "failure", "cost", "phase")
NOTHING = {"", "—", "none"}

_COMMENT = re.compile(r"/\*\*.*?\*/", re.DOTALL)
_TAG = re.compile(r"^[ \t]*\*?[ \t]*@(\w+)[ \t]*(.*)$")
_TEST = re.compile(r"^\s*(?:TEST|TEST_F|TEST_P|TYPED_TEST|RC_GTEST_PROP)\(\s*\w+,\s*(\w+)", re.M)


def contract(text: str) -> dict[str, list[tuple[int, str]]]:
    """The tags of the comment that holds @box: for each its lines and texts."""
    for comment in _COMMENT.finditer(text):
        if "@box" not in comment.group():
            continue
        tags: dict[str, list[tuple[int, str]]] = {}
        current = ""
        first = cpp.line_of(text, comment.start())
        for number, line in enumerate(comment.group().splitlines(), first):
            match = _TAG.match(line)
            rest = line.strip().removesuffix("*/").removeprefix("*").strip()
            if match:
                current = match.group(1)
                tags.setdefault(current, []).append((number, match.group(2).strip()))
            elif not rest:
                current = ""
            elif current:
                start, said = tags[current][-1]
                tags[current][-1] = start, f"{said} {rest}".strip()
        return tags
    return {}


def called(tree: Tree, header: str) -> set[str]:
    """The boxes that a header and its .cpp include, as layer/box."""
    own = header.removeprefix("src/").removesuffix(".hpp")
    source = header.removesuffix(".hpp") + ".cpp"
    targets = {
        include.target.rsplit(".", 1)[0]
        for path in (header, source)
        for include in cpp.includes(tree.text(path))
        if not include.is_system
    }
    return targets - {own}


def invariants(tags: dict[str, list[tuple[int, str]]]) -> list[tuple[int, str]]:
    """The numbers of the invariants, as (line, "I1")."""
    return [
        (line, said.split()[0].rstrip(":."))
        for line, said in tags.get("invariant", [])
        if said not in NOTHING and re.match(r"I\d+\b", said)
    ]


@rule
def contract_present(tree: Tree) -> Iterator[Raw]:
    """Each box header opens with its whole contract.

    Who may call it, what it owns, what holds at all times, what happens when memory runs out, what
    a call costs: a reader looks in one place, and a writer who cannot fill a line in has found
    a question that the code does not answer yet. "none" is an answer.
    """
    for path in tree.boxes:
        tags = contract(tree.text(path))
        if not tags:
            yield path, 1, "there is no contract: no comment with @box"
            continue
        for tag in TAGS:
            if tag not in tags:
                yield path, tags["box"][0][0], f"the contract lacks @{tag}"
        for tag, entries in tags.items():
            for line, said in entries:
                if tag in TAGS and not said:
                    yield path, line, f"@{tag} says nothing"
        line, said = tags["box"][0]
        name, dash, essence = said.partition(" — ")
        if name != pathlib.PurePath(path).stem or not dash or not essence:
            yield path, line, f"write @box as `{pathlib.PurePath(path).stem} — what it is`"
        numbers = [number for _, number in invariants(tags)]
        if numbers != [f"I{i}" for i in range(1, len(numbers) + 1)]:
            yield path, tags["invariant"][0][0], f"invariants are numbered {', '.join(numbers)}"
        for line, said in tags.get("invariant", []):
            if said and said not in NOTHING and not re.match(r"I\d+\b", said):
                yield path, line, "an invariant begins with its number: I1, I2, …"


@rule
def calls_are_includes(tree: Tree) -> Iterator[Raw]:
    """@calls names exactly the boxes that the header and its .cpp include.

    The line is read instead of the code: as a map, and by whoever wants to fake what lies below
    a box. One name too few hides a dependency, one too many sends the reader to the wrong place.
    """
    for path in tree.boxes:
        tags = contract(tree.text(path))
        if "calls" not in tags:
            continue
        line, said = tags["calls"][0]
        named = set() if said in NOTHING else set(re.split(r"[,\s]+", said))
        real = called(tree, path)
        for name in sorted(real - named):
            yield path, line, f"@calls lacks {name}, which is included"
        for name in sorted(named - real):
            yield path, line, f"@calls names {name}, which is not included"


@rule
def invariants_are_checked(tree: Tree) -> Iterator[Raw]:
    """Each invariant is checked by the code and by a test, under its number.

    An invariant that nobody checks is a hope. The box reports a violation as "box I1" (a string in
    its validate functions), and a test of the box carries I1 in its name, so that the sentence
    in the contract, the check and the test are found from one another by a search.
    """
    for path in tree.boxes:
        box = pathlib.PurePath(path).stem
        tags = contract(tree.text(path))
        source = path.removesuffix(".hpp") + ".cpp"
        plain = "".join(cpp.without_comments(tree.text(p)) for p in (path, source))
        test = "tests/" + path.removeprefix("src/").removesuffix(".hpp") + "_test.cpp"
        tests = _TEST.findall(tree.text(test))
        for line, number in invariants(tags):
            if not re.search(rf'"{box} {number}\b', plain):
                yield path, line, f'no validate function reports "{box} {number}"'
            if not any(number in name.split("_") for name in tests):
                yield path, line, f"no test in {test} has {number} in its name"
