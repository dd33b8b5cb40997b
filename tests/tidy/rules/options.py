"""Whether options.inc and its page agree."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Iterator

from engine import Raw, Tree, rule

TABLE = "src/base/options.inc"
PAGE = "docs/options.rst"

# The program that renders the page: what it would write is what the page must say.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3] / "docs"))
import options_table  # noqa: E402


@rule
def options_page(tree: Tree) -> Iterator[Raw]:
    """The page of options shows exactly the table from which the parser is compiled.

    A user who sets an option that was renamed gets nothing, and no message that he reads in time.
    """
    if not tree.exists(TABLE):
        return
    try:
        options = options_table.parse(tree.text(TABLE))
    except options_table.OptionsError as error:
        yield TABLE, 1, str(error)
        return
    page = tree.text(PAGE)
    try:
        fresh = options_table.page_with(page, options_table.render(options))
    except options_table.OptionsError as error:
        yield PAGE, 1, str(error).splitlines()[0]
        return
    pairs = zip([*page.splitlines(), ""], [*fresh.splitlines(), ""], strict=False)
    for number, (found, wanted) in enumerate(pairs, 1):
        if found != wanted:
            message = f"differs from {TABLE}; run docs/options_table.py --write"
            yield PAGE, number, message
            return
