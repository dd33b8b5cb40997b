"""What every structure rule stands on: the tree of files, the registry of rules, the allow-list.

A rule is a function that looks at a tree and yields what it dislikes as (path, line, message). Its
docstring says why the rule exists; the documentation prints it. The same function runs on this
repository, where it must find nothing, and on its bad fixture, where it must find exactly what the
fixture expects. A rule that cannot fail would be worse than none.
"""

from __future__ import annotations

import dataclasses
import functools
import pathlib
import tomllib
from collections.abc import Callable, Iterable, Iterator

ALLOW_LIST = "tests/tidy/allow.toml"
# Folders that are no part of the tree: what is built, what git keeps, and what is bad on purpose.
SKIPPED = {".git", "build", "__pycache__", ".cache", ".pytest_cache"}
FIXTURES = "tests/tidy/bad"

Raw = tuple[str, int, str]
Check = Callable[["Tree"], Iterable[Raw]]


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    """One thing that a rule dislikes."""

    path: str
    line: int
    message: str
    rule: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message} [{self.rule}]"


class Tree:
    """The files below a root, read once each. Paths are relative, with forward slashes."""

    def __init__(self, root: pathlib.Path, build: pathlib.Path | None = None) -> None:
        self.root = root
        self.build = build
        self._texts: dict[str, str] = {}

    @functools.cached_property
    def paths(self) -> list[str]:
        """Every file of the tree, sorted."""
        found: list[str] = []
        waiting = [self.root]
        while waiting:
            for path in waiting.pop().iterdir():
                relative = path.relative_to(self.root).as_posix()
                if path.is_symlink():
                    continue
                if path.is_dir():
                    if path.name not in SKIPPED and relative != FIXTURES:
                        waiting.append(path)
                elif path.is_file():
                    found.append(relative)
        return sorted(found)

    def files(self, *suffixes: str, under: str | tuple[str, ...] = "") -> list[str]:
        """The files below the folders `under` (all by default) that end in one of the suffixes."""
        folders = (under,) if isinstance(under, str) else under
        return [
            path
            for path in self.paths
            if any(not folder or path.startswith(folder + "/") for folder in folders)
            and path.endswith(suffixes or "")
        ]

    def exists(self, path: str) -> bool:
        """Whether there is such a file."""
        return (self.root / path).is_file()

    def text(self, path: str) -> str:
        """The text of a file; an empty one when there is no such file or it is no text."""
        if path not in self._texts:
            try:
                self._texts[path] = (self.root / path).read_bytes().decode("utf-8")
            except (UnicodeDecodeError, FileNotFoundError):
                self._texts[path] = ""
        return self._texts[path]

    def lines(self, path: str) -> Iterator[tuple[int, str]]:
        """The numbered lines of a file, without their ends."""
        return enumerate(self.text(path).splitlines(), 1)

    @functools.cached_property
    def layers(self) -> list[str]:
        """The folders of src/ from top to bottom, as src/LAYERS lists them."""
        lines = (line.strip() for line in self.text("src/LAYERS").splitlines())
        return [line for line in lines if line and not line.startswith("#")]

    @functools.cached_property
    def boxes(self) -> list[str]:
        """The headers of the boxes; those of abi hold no policy and are none."""
        below = {layer for layer in self.layers if layer != "abi"}
        return [p for p in self.files(".hpp", under="src") if p.split("/")[1] in below]


@dataclasses.dataclass(frozen=True)
class Rule:
    """A named check and the reason for it."""

    name: str
    check: Check

    @property
    def reason(self) -> str:
        """The docstring of the check."""
        lines = (self.check.__doc__ or "").strip().splitlines()
        return "\n".join(line.strip() for line in lines)


RULES: dict[str, Rule] = {}


def rule(check: Check) -> Check:
    """Registers a check under its own name."""
    if not check.__doc__:
        raise TypeError(f"the rule {check.__name__} gives no reason")
    RULES[check.__name__] = Rule(check.__name__, check)
    return check


@dataclasses.dataclass
class Allowance:
    """An entry of the allow-list: findings that are meant to be there."""

    rule: str
    path: str
    message: str
    reason: str
    line: int
    used: bool = False

    def covers(self, finding: Finding) -> bool:
        """Whether this entry speaks of that finding."""
        return (
            self.rule == finding.rule
            and self.path == finding.path
            and self.message in finding.message
        )


def allowances(tree: Tree) -> list[Allowance]:
    """The allow-list: rule, path, a part of the message (none for all of the path), reason."""
    text = tree.text(ALLOW_LIST)
    heads = [number for number, line in tree.lines(ALLOW_LIST) if line.strip() == "[[allow]]"]
    entries = tomllib.loads(text).get("allow", [])
    return [
        Allowance(
            entry.get("rule", ""),
            entry.get("path", ""),
            entry.get("message", ""),
            entry.get("reason", ""),
            line,
        )
        for line, entry in zip(heads, entries, strict=True)
    ]


def run(tree: Tree, names: Iterable[str] | None = None) -> list[Finding]:
    """What the named rules (all by default) find, less what the allow-list covers."""
    wanted = list(RULES) if names is None else list(names)
    allowed = allowances(tree)
    findings: list[Finding] = []
    for name in wanted:
        for path, line, message in RULES[name].check(tree):
            finding = Finding(path, line, message, name)
            covering = [entry for entry in allowed if entry.covers(finding)]
            for entry in covering:
                entry.used = True
            if not covering:
                findings.append(finding)
    if "allow_list" in wanted:
        findings += unneeded(allowed, wanted)
    return sorted(set(findings))


def unneeded(allowed: list[Allowance], ran: list[str]) -> Iterator[Finding]:
    """Entries of the allow-list that no finding needed, among the rules that ran."""
    for entry in allowed:
        if entry.rule in ran and not entry.used:
            message = f"nothing to allow: {entry.rule} finds no such thing in {entry.path}"
            yield Finding(ALLOW_LIST, entry.line, message, "allow_list")


@rule
def allow_list(tree: Tree) -> Iterator[Raw]:
    """An exception gives its reason and is still needed.

    tests/tidy/allow.toml names the findings that are meant to be there. An entry without a reason
    is an excuse, and an entry that matches nothing any more hides the next mistake at that place.
    """
    for entry in allowances(tree):
        if entry.rule not in RULES:
            yield ALLOW_LIST, entry.line, f"there is no rule {entry.rule}"
        if len(entry.reason.split()) < 3:
            yield ALLOW_LIST, entry.line, "this exception gives no reason"
