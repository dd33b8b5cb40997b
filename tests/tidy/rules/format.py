"""Whether clang-format would change anything."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
from collections.abc import Iterator

from engine import Raw, Tree, rule

# One version only: each formats a little differently.
TOOL = "clang-format-14"
STYLE = pathlib.Path(__file__).resolve().parents[3] / ".clang-format"
_ERROR = re.compile(r"^(.*?):(\d+):\d+: error: code should be clang-formatted", re.MULTILINE)


@rule
def format(tree: Tree) -> Iterator[Raw]:
    """The sources look as .clang-format says.

    Nobody then spends a thought on where a brace goes, and no diff is about it.
    """
    paths = tree.files(".hpp", ".cpp", ".h", ".c", under=("src", "tests", "bench"))
    if not paths:
        return
    if shutil.which(TOOL) is None:
        yield paths[0], 1, f"{TOOL} is missing: nothing was looked at"
        return
    result = subprocess.run(
        [TOOL, "--dry-run", "-Werror", f"--style=file:{STYLE}", *paths],
        check=False,
        cwd=tree.root,
        capture_output=True,
        text=True,
    )
    first: dict[str, int] = {}
    for path, line in _ERROR.findall(result.stderr):
        first.setdefault(path, int(line))
    for path, line in first.items():
        yield path, line, f"{TOOL} would change this; run make format"
    if result.returncode and not first:
        yield paths[0], 1, f"{TOOL} failed: {result.stderr.strip().splitlines()[-1]}"
