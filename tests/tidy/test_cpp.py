"""What the light reading of C++ sees."""

from __future__ import annotations

import cpp


def names(text: str) -> list[tuple[str, int, int]]:
    """Each function with its first line and its number of lines."""
    return [(f.name, f.first_line, f.lines) for f in cpp.functions(text)]


def test_comments_and_literals_are_blanked_in_place() -> None:
    """Lines and columns stay, so that findings point at the right place."""
    text = 'int a = 1\'000;  // "x {"\nchar b = \'{\'; /* { \n } */ auto c = R"x({)x" "\\"{";\n'
    plain = cpp.code(text)
    assert len(plain) == len(text)
    assert plain.count("\n") == text.count("\n")
    assert "{" not in plain
    assert "1'000" in plain
    assert cpp.without_comments(text).count("{") == 3


def test_includes() -> None:
    """Those in comments are none; both kinds of brackets are told apart."""
    text = '#include <new>\n// #include <map>\n/*\n#include "x/a.hpp"\n*/\n  # include "y/b.hpp"\n'
    assert cpp.includes(text) == [cpp.Include(1, "new", True), cpp.Include(6, "y/b.hpp", False)]


def test_functions_in_scopes() -> None:
    """Namespaces, classes and attributes around a function are no part of it."""
    text = """
namespace a::b {
struct alignas(64) Box final : Base<int> {
    int field = 3;
    std::array<int, 2> both{{1, 2}};
  public:
    Box(int x) : field(x), both{{x, x}} {
        field++;
    }
    [[gnu::noinline]] int get() const noexcept { return field; }
};
enum class E : int { one, two };
template <class T, class U = std::array<T, 2>>
HAK_FAST auto make(T t) -> U
    requires(sizeof(T) > 1)
{
    if (t) { return {}; }
    auto f = [&](int x) { return x; };
    return f(1);
}
constexpr int table[] = {1, 2, 3};
}
extern "C" {
HAK_EXPORT void* malloc(size_t n) HAK_REQUIRES(lock) { return nullptr; }
}
bool operator==(A, B) { return true; }
"""
    assert names(text) == [
        ("Box", 7, 3),
        ("get", 10, 1),
        ("make", 13, 8),
        ("malloc", 24, 1),
        ("operator==", 26, 1),
    ]


def test_directives_do_not_disturb() -> None:
    """A directive is no part of the head of the function that follows it."""
    text = "#define BRACE {\n#if 1\n#endif\nint f() {\n#ifdef X\n    return 1;\n#endif\n}\n"
    assert names(text) == [("f", 4, 5)]
    assert [line for _, line in cpp.conditions(text)] == [2, 5]
