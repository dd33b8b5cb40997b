"""UltraHot's magazines cost what the record says: 5 to 7 instructions a hit, in a straight line."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

OBJECT = os.environ["HAKMEM_CODEGEN_ULTRA_HOT"]
REPORTED = range(5, 8)


def straight_line(function: str) -> list[str]:
    """The instructions from a function's start to its first return, that one left out."""
    listing = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", OBJECT],
        capture_output=True, text=True, check=True).stdout
    lines = re.findall(r"^\s+[0-9a-f]+:\t(.+?)\s*$", listing, re.MULTILINE)
    mnemonics = [line.split()[0] for line in lines]
    assert "ret" in mnemonics, listing
    return lines[:mnemonics.index("ret")]


@pytest.mark.parametrize("function", ["ultra_hot_pop", "ultra_hot_push"])
def test_a_hit_is_five_to_seven_instructions(function: str) -> None:
    """Whatever the compiler, and with whatever a caller makes of the answer left out."""
    line = straight_line(function)
    assert len(line) in REPORTED, line
    # One way out of the line, for the miss, and no call.
    assert sum(text.startswith("j") for text in line) == 1, line
    assert not any(text.startswith("call") for text in line), line
