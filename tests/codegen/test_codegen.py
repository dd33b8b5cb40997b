"""What codegen.py notices: each check, on something that is bad on purpose."""

from __future__ import annotations

import os
import pathlib

import codegen
import pytest

BAD = pathlib.Path(os.environ["HAKMEM_CODEGEN_BAD"])

PROFILE = """# callgrind format
desc: Timerange: Basic block 1 - 2
desc: Trigger: Client Request: c 16

positions: line
events: Ir
summary: 230

ob=/lib/other.so
fl=a.c
fn=pair
0 50
cob=/lib/mine.so
cfi=b.c
cfn=free
calls=10 54
0 220

ob=/lib/mine.so
fl=b.c
fn=free
54 100
fi=c.h
+3 20
cfn=check
calls=10 7
60 100

fn=check
7 100

totals: 270
"""


def row(function: str, instructions: int) -> dict[str, str | int]:
    """What was counted for one function."""
    return {"kind": "c", "function": function, "request_bytes": 16, "instructions": instructions}


def test_a_profile_is_read() -> None:
    """A function costs what its own lines and those of its calls say."""
    profile = codegen.parse_profile(PROFILE)
    assert profile.label == "c 16"
    assert profile.calls["free"] == 10
    assert profile.instructions["free"] == 220
    assert profile.objects["free"] == "/lib/mine.so"
    assert profile.objects["pair"] == "/lib/other.so"


def test_a_cost_above_the_bar_is_found() -> None:
    """With and without a lock for the compiler."""
    bars = {"free": 22}
    assert not codegen.judge_hits([row("free", 22)], bars, {})
    (problem,) = codegen.judge_hits([row("free", 23)], bars, {})
    assert "the bar is 22" in problem


def test_a_cost_that_is_not_the_locked_one_is_found() -> None:
    """More is a regression; less is a lock that holds nothing."""
    assert not codegen.judge_hits([row("free", 20)], {}, {"free": 20})
    assert "20 are locked" in codegen.judge_hits([row("free", 21)], {}, {"free": 20})[0]
    assert "lower its 20" in codegen.judge_hits([row("free", 19)], {}, {"free": 20})[0]
    assert "was not counted" in codegen.judge_hits([], {}, {"free": 20})[0]


def test_thread_local_data_is_counted() -> None:
    """The bad library has more of it than is allowed."""
    found = codegen.tls_bytes(BAD)
    assert found == 128
    assert len(codegen.judge_tls(found, {"tls_bytes": 64}, {"tls_bytes": 14})) == 2
    assert not codegen.judge_tls(14, {"tls_bytes": 64}, {"tls_bytes": 14})
    assert codegen.judge_tls(13, {"tls_bytes": 64}, {"tls_bytes": 14})


def test_a_good_body_is_good() -> None:
    """It reads a thread-local variable and leaves by ret or to the library's own code."""
    assert not codegen.judge_body(BAD, "good")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("calls", "only the slow path may"),
        ("saves_a_register", "only the slow path may"),
        ("uses_the_stack", "the stack is not for the fast path"),
        ("can_be_interposed", "leaves the library's code"),
        ("jumps_anywhere", "leaves the library's code"),
        ("reads_a_global", "reads R_X86_64_GLOB_DAT from the global offset table"),
        ("not_there", "no such function"),
    ],
)
def test_a_bad_body_is_found(function: str, message: str) -> None:
    """Each flaw by what it is."""
    problems = codegen.judge_body(BAD, function)
    assert problems
    assert message in problems[0]


def test_a_missing_tool_is_an_error() -> None:
    """Not a reason to pass."""
    with pytest.raises(codegen.Broken, match="is missing"):
        codegen.call("no-such-tool-anywhere")
