"""Which file may include which."""

from __future__ import annotations

from collections.abc import Iterator

import cpp
from engine import Raw, Tree, rule

SOURCES = (".hpp", ".cpp", ".h", ".inc", ".c")


def _layer(path: str) -> str:
    return path.split("/")[1] if path.count("/") >= 2 else ""


@rule
def layers(tree: Tree) -> Iterator[Raw]:
    """A file includes only its own layer or lower ones.

    The folder list is the architecture: a reader who knows a folder knows everything that its code
    can depend on. src/LAYERS is the order; includes name the layer ("back/slab.hpp"), so that the
    direction is visible in each of them.
    """
    order = {layer: rank for rank, layer in enumerate(tree.layers)}
    for path in tree.files(*SOURCES, under="src"):
        own = _layer(path)
        if own not in order:
            yield path, 1, f"the folder {own or 'src'} is not in src/LAYERS"
            continue
        for include in cpp.includes(tree.text(path)):
            if include.is_system:
                continue
            target, slash, _ = include.target.partition("/")
            if not slash or target not in order:
                yield path, include.line, f'write "{include.target}" as "layer/box.hpp"'
            elif not tree.exists(f"src/{include.target}"):
                yield path, include.line, f"there is no src/{include.target}"
            elif order[target] < order[own]:
                yield path, include.line, f"{own} includes {include.target}, which lies above it"


@rule
def include_cycles(tree: Tree) -> Iterator[Raw]:
    """No header includes itself through others.

    Boxes of one layer may use each other, but in a circle none of them can be understood, tested or
    replaced alone: the circle is one box in several files.
    """
    edges = {
        path: [
            (f"src/{include.target}", include.line)
            for include in cpp.includes(tree.text(path))
            if not include.is_system
        ]
        for path in tree.files(".hpp", ".h", ".inc", under="src")
    }
    done: set[str] = set()

    def visit(path: str, trail: list[str]) -> Iterator[Raw]:
        for target, line in edges.get(path, []):
            if target in trail:
                circle = [*trail[trail.index(target) :], target]
                names = " -> ".join(name.removeprefix("src/") for name in circle)
                yield path, line, f"includes in a circle: {names}"
            elif target not in done:
                yield from visit(target, [*trail, target])
        done.add(path)

    for path in edges:
        if path not in done:
            yield from visit(path, [path])
