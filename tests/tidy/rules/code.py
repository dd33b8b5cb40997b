"""What the code of src/ may contain."""

from __future__ import annotations

import re
from collections.abc import Iterator

import cpp
from engine import Raw, Tree, rule

FUNCTION_LINES = 70
FAST_LINES = 20
HEADER_LINES = 400

# Headers whose types allocate, lock through libpthread or pull streams in.
_ALLOCATING = {
    "iostream", "fstream", "sstream", "ostream", "istream", "string", "vector", "map", "set",
    "unordered_map", "unordered_set", "list", "deque", "memory", "functional", "mutex", "thread",
    "condition_variable", "shared_mutex", "future", "regex", "format", "locale", "any",
    "stdexcept", "memory_resource", "shared_ptr", "queue", "stack",
}  # fmt: skip
_SYSTEM = re.compile(r"sys/.*|linux/.*|asm/.*|unistd\.h|fcntl\.h|dlfcn\.h|sched\.h|time\.h|ctime|"
                     r"execinfo\.h|link\.h|pthread\.h|signal\.h|csignal")
# What abi needs to be called at fork and by a signal.
_HOOKS = {"pthread.h", "signal.h", "csignal"}
_FORBIDDEN = re.compile(r"\b(throw|dynamic_cast|typeid|try|catch)\b")
# What stands before the name tells a call from a declaration: no type ends in a sign or `return`.
_ALLOCATION = re.compile(
    r"(?:(?<=[^\w\s*&.:>\]])|(?<=&&)|\b(?:return|else|do)\b)\s*"
    r"(?:\(void\)\s*)?(?:std::|::)?"
    r"\b(malloc|calloc|realloc|aligned_alloc|posix_memalign|memalign|strdup)\s*\("
)
_NEW = re.compile(r"(?<!operator )\bnew\s+(?!\()[A-Za-z_:]")
_LOOP = re.compile(r"\b(for|while|do|goto)\b")


@rule
def conditional_code(tree: Tree) -> Iterator[Raw]:
    """No #if stands inside a function.

    A function with n of them is two-to-the-n functions, of which the reader sees a sum and
    the tests see one. What varies is a policy type, an `if constexpr` or another file.
    """
    for path in tree.files(".hpp", ".cpp", ".h", ".c", under="src"):
        text = tree.text(path)
        bodies = cpp.functions(text)
        for offset, line in cpp.conditions(text):
            inside = [f for f in bodies if f.body_start < offset < f.body_end]
            if inside:
                yield path, line, f"#if inside {inside[0].name}"


@rule
def function_length(tree: Tree) -> Iterator[Raw]:
    """A function has at most 70 lines.

    It then fits on a screen, and its outline can be seen without remembering its beginning.
    """
    for path in tree.files(".hpp", ".cpp", ".h", ".c", under="src"):
        for function in cpp.functions(tree.text(path)):
            if function.lines > FUNCTION_LINES:
                limit = f"{FUNCTION_LINES} is the limit"
                message = f"{function.name} has {function.lines} lines; {limit}"
                yield path, function.first_line, message


@rule
def fast_path(tree: Tree) -> Iterator[Raw]:
    """A HAK_FAST function is short and has no loop.

    It is inlined into malloc and free, whose instructions are counted. Whatever may take longer
    is called as a HAK_SLOW function, at the end.
    """
    for path in tree.files(".hpp", ".cpp", under="src"):
        for function in cpp.functions(tree.text(path)):
            if "HAK_FAST" not in function.head.split():
                continue
            lines = function.body.count("\n") - 1
            if lines > FAST_LINES:
                message = f"HAK_FAST {function.name} has {lines} lines; {FAST_LINES} is the limit"
                yield path, function.first_line, message
            loop = _LOOP.search(function.body)
            if loop:
                line = function.last_line - function.body.count("\n", loop.start())
                yield path, line, f"HAK_FAST {function.name} has a loop: {loop.group()}"


@rule
def header_length(tree: Tree) -> Iterator[Raw]:
    """A header has at most 400 lines.

    A longer one is usually two boxes.
    """
    for path in tree.files(".hpp", ".h", ".inc", under="src"):
        count = tree.text(path).count("\n")
        if count > HEADER_LINES:
            yield path, HEADER_LINES + 1, f"{count} lines; {HEADER_LINES} is the limit"


@rule
def forbidden(tree: Tree) -> Iterator[Raw]:
    """No exceptions, no RTTI, no streams, and nothing that allocates.

    HAKMEM is what malloc calls. Code that would call malloc comes back to itself, and before main
    or in a C program the C++ runtime is not there. Only abi speaks of malloc by that name.
    """
    for path in tree.files(".hpp", ".cpp", ".h", ".c", under="src"):
        text = tree.text(path)
        plain = cpp.code(text)
        for include in cpp.includes(text):
            if include.is_system and include.target in _ALLOCATING:
                yield path, include.line, f"<{include.target}> allocates or needs the C++ runtime"
        for match in _FORBIDDEN.finditer(plain):
            yield path, cpp.line_of(plain, match.start()), f"{match.group()} is not used in src/"
        if path.startswith("src/abi/"):
            continue
        for match in _ALLOCATION.finditer(plain):
            line = cpp.line_of(plain, match.start(1))
            yield path, line, f"{match.group(1)} is called; memory comes from back/meta_arena"
        for match in _NEW.finditer(plain):
            line = cpp.line_of(plain, match.start())
            yield path, line, "new allocates; only placement new is used"


@rule
def system_headers(tree: Tree) -> Iterator[Raw]:
    """Only src/os includes the system's headers.

    Every system call stands in one folder: a test can make any of them fail, and the documented
    list of calls is the list of that folder. abi alone registers with the process besides: for
    fork and for a signal.
    """
    for path in tree.files(".hpp", ".cpp", ".h", ".c", ".inc", under="src"):
        if path.startswith("src/os/"):
            continue
        for include in cpp.includes(tree.text(path)):
            if not include.is_system or not _SYSTEM.fullmatch(include.target):
                continue
            if not path.startswith("src/abi/") or include.target not in _HOOKS:
                yield path, include.line, f"<{include.target}> belongs to src/os"
