"""Whether each box has all its files."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterator

from engine import Raw, Tree, rule
from rules.contracts import contract

_BENCH = re.compile(r"\bbench:\s*(\w+)")


def _page(layer: str, box: str) -> str:
    if layer == "phases":
        return f"docs/phases/{box}.rst"
    return f"docs/boxes/{layer}/{box}.rst"


@rule
def quartet(tree: Tree) -> Iterator[Raw]:
    """Each box has a test, a page, and a bench where its contract promises one.

    One noun, one box, one set of files under one name: a reader never searches, and a box
    without a test or a page is seen at once. A page of a box that is gone is as wrong as
    a missing one.
    """
    for path in tree.boxes:
        layer, box = path.split("/")[1], pathlib.PurePath(path).stem
        test = f"tests/{layer}/{box}_test.cpp"
        page = _page(layer, box)
        if not tree.exists(test):
            yield path, 1, f"there is no {test}"
        if not tree.exists(page):
            yield path, 1, f"there is no {page}"
        for line, said in contract(tree.text(path)).get("cost", []):
            for name in _BENCH.findall(said):
                bench = f"bench/{layer}/{name}_bench.cpp"
                if not tree.exists(bench):
                    yield path, line, f"@cost names {name}, and there is no {bench}"
    for page in tree.files(".rst", under="docs/boxes"):
        source = page.replace("docs/boxes/", "src/").removesuffix(".rst")
        is_box = any(tree.exists(source + suffix) for suffix in (".hpp", ".h", ".cpp"))
        if not is_box and pathlib.PurePath(page).stem != "index":
            yield page, 1, "there is no such box"
