"""What every text file keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator

from engine import Raw, Tree, rule

TEXT = (
    ".hpp", ".cpp", ".h", ".c", ".inc", ".map", ".py", ".sh", ".cmake", ".txt", ".rst", ".md",
    ".toml", ".json", ".in", ".css", ".svg", ".pml", ".xml", "Makefile", "LAYERS", ".clang-format",
    ".clang-tidy", ".gitignore", ".ci/run", "Doxyfile",
)  # fmt: skip
CODE = (".hpp", ".cpp", ".h", ".c", ".py", ".sh", ".cmake", "CMakeLists.txt")
COLUMNS = 100
TASK = "CURRENT_TASK.md"
TASK_LINES = 60

# Folders in which people keep their own work; a checkout may lie in any of them.
_PLACES = "home|root|Users|mnt|media|srv|work|workspace|scratch|builds|farm"
_MACHINE = re.compile(rf"(?<![\w.$)}}\]-])/(?:{_PLACES})/\w")


@rule
def machine_paths(tree: Tree) -> Iterator[Raw]:
    """No file names a place of the machine on which it was written.

    Such a path works for its author and for nobody else. Scripts find the repository from their own
    place; documents speak of paths from the root of the repository.
    """
    here = str(tree.root)
    for path in tree.files(*TEXT):
        for number, line in tree.lines(path):
            match = _MACHINE.search(line)
            if match or here in line:
                place = match.group() if match else here
                yield path, number, f'a path of one machine: "{place}…"'


@rule
def whitespace(tree: Tree) -> Iterator[Raw]:
    """No blanks at a line's end, no tabs outside Makefiles, one newline at the end of a file.

    They are invisible, and each editor that corrects one adds a line to somebody's diff.
    """
    for path in tree.files(*TEXT):
        text = tree.text(path)
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                yield path, number, "blanks at the end of the line"
            if "\t" in line and not path.endswith("Makefile"):
                yield path, number, "a tab"
        if text and not text.endswith("\n"):
            yield path, text.count("\n") + 1, "no newline at the end of the file"
        if text.endswith("\n\n"):
            yield path, text.count("\n"), "blank lines at the end of the file"


@rule
def line_length(tree: Tree) -> Iterator[Raw]:
    """Code has at most 100 columns.

    Two files fit beside each other on a screen, which is how boxes are compared.
    """
    for path in tree.files(*CODE):
        for number, line in tree.lines(path):
            if len(line) > COLUMNS:
                yield path, number, f"{len(line)} columns; {COLUMNS} are the limit"


@rule
def current_task(tree: Tree) -> Iterator[Raw]:
    """CURRENT_TASK.md has at most 60 lines.

    It says where the work stands. What happened before stands in git log; a page that only grows
    is read by nobody.
    """
    count = tree.text(TASK).count("\n")
    if count > TASK_LINES:
        yield TASK, TASK_LINES + 1, f"{count} lines; {TASK_LINES} are the limit"
