"""What the shared library shows to the world."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

import cpp
from engine import Raw, Tree, rule

MAP = "src/abi/exports.map"
HEADER = "src/abi/hakmem.h"
LIBRARY = "lib/libhakmem.so"

_DECLARATION = re.compile(r"^\w[\w \t*]*[ \t*](hakmem_\w+)\s*\(", re.MULTILINE)
_LISTED = re.compile(r"^\s*(\w+);", re.MULTILINE)


def listed(tree: Tree) -> dict[str, int]:
    """The symbols of the version script, with their lines."""
    plain = cpp.without_comments(tree.text(MAP))
    public = plain.partition("local:")[0]
    return {m.group(1): cpp.line_of(plain, m.start(1)) for m in _LISTED.finditer(public)}


@rule
def exports_declared(tree: Tree) -> Iterator[Raw]:
    """The export list and hakmem.h name the same functions.

    A function that is declared and not exported fails at link time on somebody else's machine; one
    that is exported and not declared is an interface that nobody described.
    """
    if not tree.exists(MAP):
        return
    declarations = {
        m.group(1): cpp.line_of(tree.text(HEADER), m.start(1))
        for m in _DECLARATION.finditer(cpp.code(tree.text(HEADER)))
        if "typedef" not in m.group()
    }
    names = {name: line for name, line in listed(tree).items() if name.startswith("hakmem_")}
    for name in declarations.keys() - names.keys():
        yield HEADER, declarations[name], f"{name} is declared and not listed in {MAP}"
    for name in names.keys() - declarations.keys():
        yield MAP, names[name], f"{name} is listed and not declared in {HEADER}"


@rule
def exports_exact(tree: Tree) -> Iterator[Raw]:
    """The library exports its list and nothing else.

    The linker is silent about a listed name that no object defines, and a missing entry point
    crashes programs: their block comes from one allocator and goes back to another.
    Whatever is exported besides gets used, and can never be changed again.
    """
    library = tree.build / LIBRARY if tree.build else None
    if library is None or not library.exists():
        return
    result = subprocess.run(
        ["nm", "-D", "--defined-only", "--format=posix", str(library)],
        check=True,
        capture_output=True,
        text=True,
    )
    exported = {line.split()[0] for line in result.stdout.splitlines()}
    names = listed(tree)
    for name in sorted(names.keys() - exported):
        yield MAP, names[name], f"{name} is listed and the library does not export it"
    for name in sorted(exported - names.keys()):
        yield MAP, 1, f"the library exports {name}, which is not listed"
