"""What the tests of the documentation share: a repository and a documentation in small."""

import os
import pathlib
import subprocess
import sys
import textwrap

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("HAKMEM_BUILD", ROOT / "build" / "release"))
sys.path.insert(0, str(ROOT / "docs"))
sys.path.insert(0, str(ROOT / "docs" / "_ext"))

HEADER = '''\
/**
 * @file shelf.hpp
 * @box shelf — where counted things stand
 *
 * An essay about `count` and base/count, with **strong** words and *soft* ones:
 *
 *     shelf  | a | b | c |
 *
 * - first point,
 *   continued
 * - second point
 *
 * 1. one
 * 2. two
 *
 * @owns      the things
 * @calls     base/count
 * @threads   any
 * @invariant I1 there are never more things
 *            than places
 * @invariant I2 no place is used twice
 * @failure   says so
 * @cost      little; bench: shelf
 * @phase     introduced in 16
 */
#pragma once

#include "base/count.hpp"

namespace demo {

/** A shelf. */
struct Shelf {
    int places;  ///< How many.
};

// [put]
/**
 * Puts a thing down.
 * @param thing The thing.
 * @return Whether there was room.
 */
bool put(int thing);
// [/put]

/**
 * Puts two things down.
 * @param thing The one.
 * @param other The other.
 * @return Whether there was room.
 */
bool put(int thing, int other);

}  // namespace demo
'''

SOURCE = '''\
#include "back/shelf.hpp"

namespace demo {

const char* validate(const Shelf& shelf) {
    if (shelf.places < 0) return "shelf I1";
    return nullptr;
}

}  // namespace demo
'''

TEST = '''\
TEST(Shelf, NeverHoldsMoreThanItHasPlaces) {
    EXPECT_EQ(nullptr, validate(shelf));  // I1
}

TEST(Shelf, I2NoPlaceTwice) {
    EXPECT_TRUE(true);
}

TEST(Shelf, I12IsAnotherInvariant) {
}
'''

COUNT = '''\
/**
 * @file count.hpp
 * @box count — numbers of things
 *
 * Nothing to see.
 *
 * @owns      nothing
 * @calls     —
 * @threads   any
 * @invariant none
 * @failure   none
 * @cost      none
 * @phase     introduced in 16
 */
#pragma once
'''

PICTURE = '''\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10">
  <title>A square</title>
  <style>.s-panel { fill: red; }</style>
  <!-- the square -->
  <rect class="s-panel" width="10" height="10"/>
</svg>
'''


@pytest.fixture
def tree(tmp_path):
    """A repository in small: two boxes, a test, a drawing."""
    files = {
        "src/LAYERS": "# top to bottom\nabi\nback\nbase\n",
        "src/abi/door.cpp": '#include "back/shelf.hpp"\n',
        "src/back/shelf.hpp": HEADER,
        "src/back/shelf.cpp": SOURCE,
        "src/base/count.hpp": COUNT,
        "tests/back/shelf_test.cpp": TEST,
        "docs/_static/square.svg": PICTURE,
        "docs/boxes/base/count.rst": "base/count\n==========\n\n.. box-essay:: base/count\n",
        "docs/boxes/abi/door.rst": "abi/door\n========\n\nA door.\n",
    }
    for path, text in files.items():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return tmp_path


class SmallDocs:
    """Builds one page of a tree with the extension under test."""

    def __init__(self, tree: pathlib.Path) -> None:
        self.tree = tree
        self.out = tree / "out"
        docs = tree / "docs"
        (docs / "index.rst").write_text(
            "Top\n===\n\n.. toctree::\n   :glob:\n\n   boxes/*/*\n", encoding="utf-8")
        (docs / "conf.py").write_text(textwrap.dedent(f"""\
            import sys
            sys.path.insert(0, {str(ROOT / "docs" / "_ext")!r})
            project = "small"
            extensions = ["breathe", "hakmem_docs", "hakmem_bench", "hakmem_peers"]
            breathe_projects = {{"small": {str(tree / "doxygen" / "xml")!r}}}
            breathe_default_project = "small"
            hakmem_root = {str(tree)!r}
            hakmem_xml = {str(tree / "doxygen" / "xml")!r}
            hakmem_generated = {str(tree / "generated")!r}
            html_theme = "basic"
            nitpick_ignore = [("cpp:identifier", "demo")]
            """), encoding="utf-8")

    def doxygen(self) -> None:
        """Runs Doxygen with the project's own settings."""
        text = (ROOT / "docs" / "Doxyfile").read_text(encoding="utf-8")
        source = self.tree / "src"
        text += (f"\nINPUT={source}\nSTRIP_FROM_PATH={source}\nINCLUDE_PATH={source}\n"
                 f"OUTPUT_DIRECTORY={self.tree / 'doxygen'}\n")
        (self.tree / "doxygen").mkdir(exist_ok=True)
        subprocess.run(["doxygen", "-"], input=text, text=True, check=True)

    def build(self, page: str) -> tuple[str, str]:
        """Renders a page; returns its HTML and Sphinx's warnings."""
        path = self.tree / "docs" / "boxes" / "back" / "shelf.rst"
        path.parent.mkdir(parents=True, exist_ok=True)
        title = "back/shelf\n==========\n\n"
        path.write_text(title + textwrap.dedent(page), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "sphinx", "-E", "-n", "-q", "-b", "html",
             str(self.tree / "docs"), str(self.out)],
            capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        html = (self.out / "boxes" / "back" / "shelf.html").read_text(encoding="utf-8")
        return html, done.stderr


@pytest.fixture
def small_docs(tree):
    """A small documentation of a small repository."""
    return SmallDocs(tree)
