"""A light reading of C++: enough to see includes, functions and what lies inside them.

No compiler stands behind this. It relies on the style that clang-format keeps, and the tests of the
rules that use it show what it sees.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

_INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(["<])([^">]+)[">]', re.MULTILINE)
_CONDITION = re.compile(r"^[ \t]*#[ \t]*(if|ifdef|ifndef)\b", re.MULTILINE)
_DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", re.MULTILINE)
_ATTRIBUTE = re.compile(
    r"\[\[.*?\]\]"
    r"|\b(?:alignas|__attribute__|requires|decltype|noexcept)\s*\((?:[^()]|\([^()]*\))*\)"
    r"|\b(?:HAK_\w+)\s*\([^()]*\)",
    re.DOTALL,
)
_TEMPLATE = re.compile(r"^\s*template\s*<(?:[^<>]|<[^<>]*>)*>\s*")
_ACCESS = re.compile(r"^\s*(?:public|private|protected)\s*:")
_CLASS = re.compile(r"^\s*(?:typedef\s+|inline\s+|static\s+|const(?:expr)?\s+)*"
                    r"(?:class|struct|union|enum)\b")
_FUNCTION_END = re.compile(
    r"\)\s*(?:const|noexcept|override|final|volatile|&&?|->[^{}]*|HAK_\w+(?:\([^()]*\))?|\s)*$"
)
_NAME = re.compile(r"(operator\s*(?:\(\)|[^\s\w(]+|\w+(?:\[\])?)|~?[A-Za-z_]\w*(?:::~?\w+)*)\s*\(")
_LITERAL = re.compile(
    r"//[^\n]*"
    r"|/\*.*?\*/"
    r'|\bu?8?R"(?P<mark>[^()\\ ]{0,16})\(.*?\)(?P=mark)"'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'",
    re.DOTALL,
)


def _blank(text: str) -> str:
    """The same shape, lines and columns, of nothing."""
    return re.sub(r"[^\n]", " ", text)


def without_comments(text: str) -> str:
    """The text with its comments blanked; every line and column stays where it was."""
    return _LITERAL.sub(
        lambda m: _blank(m.group()) if m.group().startswith(("//", "/*")) else m.group(), text
    )


def code(text: str) -> str:
    """The text with comments and the insides of literals blanked."""
    return _LITERAL.sub(
        lambda m: _blank(m.group())
        if m.group().startswith(("//", "/*"))
        else m.group()[0] + _blank(m.group()[1:-1]) + m.group()[-1],
        text,
    )


def line_of(text: str, offset: int) -> int:
    """The number of the line in which an offset lies."""
    return text.count("\n", 0, offset) + 1


@dataclasses.dataclass(frozen=True)
class Include:
    """One #include."""

    line: int
    target: str
    is_system: bool


def includes(text: str) -> list[Include]:
    """Every #include that is not in a comment."""
    plain = without_comments(text)
    return [
        Include(line_of(plain, match.start(1)), match.group(2), match.group(1) == "<")
        for match in _INCLUDE.finditer(plain)
    ]


@dataclasses.dataclass(frozen=True)
class Function:
    """A function with a body, outside all others."""

    name: str
    head: str
    first_line: int
    last_line: int
    body: str
    body_start: int  # offset in the text
    body_end: int

    @property
    def lines(self) -> int:
        """From its head to its closing brace, both counted."""
        return self.last_line - self.first_line + 1


def _scope_of(head: str) -> str:
    """What a brace after this head opens: a scope, a function or an initialiser."""
    plain = _ATTRIBUTE.sub(" ", _TEMPLATE.sub("", _ACCESS.sub("", head)))
    if re.search(r"\b(?:namespace)\b", plain) or re.fullmatch(r'\s*extern\s+"[^"]*"\s*', plain):
        return "scope"
    if _CLASS.match(plain) and not _FUNCTION_END.search(plain.rstrip()):
        return "scope"
    if "(" not in plain:
        return "initialiser"
    if re.search(r"\)\s*:[^:].*\w\s*$", plain, re.DOTALL) and not plain.rstrip().endswith(")"):
        return "initialiser"  # a member in a constructor's list
    return "function" if _FUNCTION_END.search(plain) or ":" in plain else "initialiser"


def functions(text: str) -> list[Function]:
    """The functions of a file, outermost only: a lambda belongs to the function around it."""
    plain = code(text)
    # Directives would disturb the heads; their lines and columns stay.
    plain = _DIRECTIVE.sub(lambda m: _blank(m.group()), plain)
    found: list[Function] = []
    stack: list[str] = []
    head_start = 0
    opened_at = 0
    opened_head = (0, "")
    depth_of_function = 0
    for match in re.finditer(r"[{};]", plain):
        at, sign = match.start(), match.group()
        if depth_of_function:
            if sign == "{":
                depth_of_function += 1
            elif sign == "}":
                depth_of_function -= 1
                if not depth_of_function:
                    found.append(_function(plain, opened_head, opened_at, at))
                    head_start = at + 1
            continue
        if sign == "{":
            head = plain[head_start:at]
            kind = "initialiser" if "initialiser" in stack[-1:] else _scope_of(head)
            if kind == "function":
                opened_head, opened_at, depth_of_function = (head_start, head), at, 1
                continue
            stack.append(kind)
            if kind == "scope":
                head_start = at + 1
        elif sign == "}":
            if not stack or stack.pop() == "scope":
                head_start = at + 1
        elif "initialiser" not in stack[-1:]:
            head_start = at + 1
    return found


def _function(plain: str, head: tuple[int, str], start: int, end: int) -> Function:
    offset, text = head
    access = _ACCESS.match(text)
    if access:
        offset, text = offset + access.end(), text[access.end() :]
    first = offset + len(text) - len(text.lstrip())
    name = _NAME.search(_ATTRIBUTE.sub(" ", _TEMPLATE.sub("", text)))
    return Function(
        name.group(1) if name else "?",
        " ".join(text.split()),
        line_of(plain, first),
        line_of(plain, end),
        plain[start : end + 1],
        start,
        end,
    )


def conditions(text: str) -> Iterator[tuple[int, int]]:
    """Each #if, #ifdef and #ifndef outside comments, as (offset, line)."""
    plain = code(text)
    for match in _CONDITION.finditer(plain):
        yield match.start(1), line_of(plain, match.start(1))
