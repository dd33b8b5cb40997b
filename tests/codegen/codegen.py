"""Holds the fast paths to their cost: instructions of a hit, what the bodies contain, static TLS.

Instructions are counted by callgrind, which runs the preloaded library as it is: unlike memcheck
it does not put a malloc of its own in its place, and this script makes sure of that by the names of
the objects in which the counted functions lie. A count is the same in each run and on each machine.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping

PAIRS = 10_000
KNOWN_INSTRUCTIONS = 4  # of the function that hits.cpp brings to measure the counting by

# Of each kind of pair in hits.cpp: the symbols, and the names under which their cost is locked.
KINDS = {
    "known": {"four_instructions": "known"},
    "c": {"malloc": "malloc", "free": "free"},
    "cpp": {"_Znwm": "operator_new", "_ZdlPv": "operator_delete"},
    "cpp_sized": {"_Znwm": "operator_new", "_ZdlPvm": "operator_delete_sized"},
}
# The same of linked.cpp, whose functions hold a call that was inlined, and a ret.
LINKED_KINDS = {
    "known": {"four_instructions": "known"},
    "malloc_constant": {"malloc_constant": "malloc"},
    "new_constant": {"new_constant": "operator_new"},
}
# Bodies that end by ret or by a jump, and do nothing else than hit.
LEAVES = ("malloc", "free", "_Znwm", "_Znam", "_ZdlPv", "_ZdaPv", "_ZdlPvm", "_ZdaPvm")
FRAME = re.compile(r"(call|push|pop|enter|leave)")
THREAD_OFFSET = "R_X86_64_TPOFF64"


class Broken(Exception):
    """A tool is missing, or says what this script does not understand."""


def call(*command: str, environment: Mapping[str, str] | None = None) -> str:
    """Runs a tool and returns what it prints."""
    if shutil.which(command[0]) is None:
        raise Broken(f"{command[0]} is missing")
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "LC_ALL": "C", **(environment or {})},
    )
    if result.returncode != 0:
        raise Broken(f"{' '.join(command)}:\n{result.stdout}{result.stderr}")
    return result.stdout


# ---- instructions -----------------------------------------------------------------------------


@dataclasses.dataclass
class Profile:
    """One dump of callgrind: per function its object, calls, and instructions with its callees'."""

    label: str = ""
    objects: dict[str, str] = dataclasses.field(default_factory=dict)
    calls: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    instructions: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


def parse_profile(text: str) -> Profile:
    """Reads callgrind's format, uncompressed."""
    profile = Profile()
    function, current_object = "", ""
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if line.startswith("desc: Trigger: Client Request: "):
            profile.label = line.rsplit(": ", 1)[1]
        elif key == "ob":
            current_object = value
        elif key == "fn":
            function = value
            profile.objects[function] = current_object
        elif key == "cfn":
            called = value
        elif key == "calls":
            profile.calls[called] += int(value.split()[0])
        elif function and re.fullmatch(r"[+*-]?\d+ \d+", line):
            # A line of its own, or that of a call: both are part of what the function cost.
            profile.instructions[function] += int(line.split()[1])
    return profile


def count_hits(
    program: pathlib.Path,
    library: pathlib.Path | None,
    folder: pathlib.Path,
    kinds: Mapping[str, Mapping[str, str]],
) -> list[dict[str, str | int]]:
    """Runs the pairs under callgrind and returns a row for each function and size.

    Without a library to preload, what is counted lies in the program itself.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Not every valgrind can read every compiler's debug information, and none is needed.
    plain = folder / "program"
    call("objcopy", "--strip-debug", str(program), str(plain))
    environment: dict[str, str] = {}
    home_of_hits = plain
    if library is not None:
        home_of_hits = folder / "libhakmem.so"
        call("objcopy", "--strip-debug", str(library), str(home_of_hits))
        environment["LD_PRELOAD"] = str(home_of_hits)
    call(
        "valgrind",
        "--tool=callgrind",
        "--compress-strings=no",
        "--compress-pos=no",
        "--demangle=no",
        f"--callgrind-out-file={folder / 'profile'}",
        str(plain),
        str(PAIRS),
        environment=environment,
    )
    rows: list[dict[str, str | int]] = []
    for path in sorted(folder.glob("profile.*"), key=lambda p: int(p.suffix[1:])):
        profile = parse_profile(path.read_text(encoding="utf-8"))
        if not profile.label:
            continue  # the rest of the run, which nobody asked for
        kind, size = profile.label.split()
        for symbol, name in kinds[kind].items():
            home = plain if kind == "known" else home_of_hits
            if pathlib.Path(profile.objects.get(symbol, "?")).resolve() != home.resolve():
                found = profile.objects.get(symbol)
                raise Broken(f"{symbol} was counted in {found}, not in {home}")
            if profile.calls[symbol] != PAIRS or profile.instructions[symbol] % PAIRS != 0:
                raise Broken(
                    f"{profile.label}: {profile.calls[symbol]} calls of {symbol},"
                    f" {profile.instructions[symbol]} instructions: not every one was a hit"
                )
            rows.append(
                {
                    "kind": kind,
                    "function": name,
                    "request_bytes": int(size),
                    "instructions": profile.instructions[symbol] // PAIRS,
                }
            )
    if {row["kind"] for row in rows} != set(kinds):
        raise Broken("the program did not dump all kinds of pairs")
    if {row["instructions"] for row in rows if row["kind"] == "known"} != {KNOWN_INSTRUCTIONS}:
        raise Broken("the counting counts wrongly: the known function has another cost")
    return [row for row in rows if row["kind"] != "known"]


def judge_hits(
    rows: list[dict[str, str | int]], bars: dict[str, int], locks: dict[str, int]
) -> list[str]:
    """Compares what was counted with what is allowed."""
    problems: list[str] = []
    for row in rows:
        what = f"{row['function']} of {row['request_bytes']} bytes"
        cost, bar = int(row["instructions"]), bars.get(str(row["function"]))
        lock = locks.get(str(row["function"]))
        if bar is not None and cost > bar:
            problems.append(f"{what}: {cost} instructions; the bar is {bar}")
        if lock is not None and cost > lock:
            problems.append(f"{what}: {cost} instructions; {lock} are locked in locks.toml")
        if lock is not None and cost < lock:
            problems.append(f"{what}: only {cost} instructions; lower its {lock} in locks.toml")
    for name in sorted(locks.keys() - {"tls_bytes", *(str(row["function"]) for row in rows)}):
        problems.append(f"{name} is locked in locks.toml and was not counted")
    return problems


# ---- bodies -----------------------------------------------------------------------------------


def relocations(library: pathlib.Path) -> dict[int, str]:
    """The kind of each dynamic relocation, by address."""
    text = call("readelf", "-rW", str(library))
    found = re.findall(r"^([0-9a-f]{16})\s+[0-9a-f]+\s+(R_\w+)", text, re.MULTILINE)
    return {int(address, 16): kind for address, kind in found}


def sections(library: pathlib.Path) -> dict[str, tuple[int, int]]:
    """The address range of each section."""
    found = re.findall(
        r"^\s*\[\s*\d+\]\s+(\S+)\s+\S+\s+([0-9a-f]{16})\s+[0-9a-f]+\s+([0-9a-f]+)",
        call("readelf", "-SW", str(library)),
        re.MULTILINE,
    )
    return {name: (int(start, 16), int(start, 16) + int(size, 16)) for name, start, size in found}


def body(library: pathlib.Path, function: str) -> list[tuple[int, str, str]]:
    """The instructions of a function: address, mnemonic, operands."""
    text = call("objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", str(library))
    lines = re.findall(r"^ +([0-9a-f]+):\t(\S+) *(.*)$", text, re.MULTILINE)
    return [(int(address, 16), mnemonic, operands) for address, mnemonic, operands in lines]


def judge_body(library: pathlib.Path, function: str) -> list[str]:
    """A body of a fast path calls nothing, keeps no frame, and reaches everything by itself.

    Its exits are jumps to the library's own code. Of the global offset table it reads nothing but
    the place of a thread-local variable: no loader puts another symbol in between.
    """
    problems: list[str] = []
    instructions = body(library, function)
    if not instructions:
        return [f"{function}: objdump shows no such function"]
    kinds = relocations(library)
    places = sections(library)
    text_start, text_end = places[".text"]
    got = [places[name] for name in (".got", ".got.plt") if name in places]
    for address, mnemonic, operands in instructions:
        where = f"{function}: {address:x}: {mnemonic} {operands}".rstrip()
        if FRAME.match(mnemonic):
            problems.append(f"{where}: only the slow path may")
        elif re.search(r"%[re]?sp\b", operands):
            problems.append(f"{where}: the stack is not for the fast path")
        elif mnemonic.startswith("j"):
            target = re.match(r"([0-9a-f]+)\b", operands)
            if target is None or not text_start <= int(target.group(1), 16) < text_end:
                problems.append(f"{where}: leaves the library's code")
        reference = re.search(r"# ([0-9a-f]+)", operands)
        if reference is not None:
            slot = int(reference.group(1), 16)
            in_table = any(start <= slot < end for start, end in got)
            if in_table and kinds.get(slot) != THREAD_OFFSET:
                problems.append(f"{where}: reads {kinds.get(slot)} from the global offset table")
    return problems


# ---- static TLS -------------------------------------------------------------------------------


def tls_bytes(library: pathlib.Path) -> int:
    """The size of the library's thread-local segment."""
    segment = re.search(
        r"^\s*TLS\s+\S+\s+\S+\s+\S+\s+\S+\s+0x([0-9a-f]+)", call("readelf", "-lW", str(library)),
        re.MULTILINE,
    )
    return int(segment.group(1), 16) if segment else 0


def judge_tls(found: int, bars: dict[str, int], locks: dict[str, int]) -> list[str]:
    """Compares the size of the thread-local segment with what is allowed."""
    problems: list[str] = []
    if found > bars["tls_bytes"]:
        problems.append(f"static TLS: {found} bytes; the bar is {bars['tls_bytes']}")
    if "tls_bytes" in locks and found != locks["tls_bytes"]:
        problems.append(f"static TLS: {found} bytes; {locks['tls_bytes']} are locked in locks.toml")
    return problems


def main() -> int:
    """Counts, judges, and leaves the figures where the documentation finds them."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--library", type=pathlib.Path, help="preloaded; without it, the program is linked.cpp"
    )
    parser.add_argument("--program", type=pathlib.Path, required=True, help="hits.cpp, built")
    parser.add_argument("--compiler", required=True, help="ID and version, such as GNU-12.2.0")
    parser.add_argument("--build", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    here = pathlib.Path(__file__).resolve().parent
    limits = tomllib.loads((here / "locks.toml").read_text(encoding="utf-8"))
    linked = arguments.library is None
    name = "codegen_linked" if linked else "codegen"
    compiler = arguments.compiler.split(".")[0]
    locks = limits.get(f"{compiler}-linked" if linked else compiler, {})
    try:
        hits = count_hits(
            arguments.program,
            arguments.library,
            arguments.build / "callgrind" / name,
            LINKED_KINDS if linked else KINDS,
        )
        problems = judge_hits(hits, limits["bars"], locks)
        results = {
            "compiler": arguments.compiler,
            "counted_by": call("valgrind", "--version").strip(),
            "pairs": PAIRS,
            "hits": hits,
            "bars": limits["bars"],
        }
        if not linked:
            results["tls_bytes"] = tls_bytes(arguments.library)
            problems += judge_tls(results["tls_bytes"], limits["bars"], locks)
            for function in LEAVES:
                problems += judge_body(arguments.library, function)
    except Broken as error:
        print(error, file=sys.stderr)
        return 1
    output = arguments.build / "results" / f"{name}.json"
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for row in hits:
        print(f"{row['function']:24}{row['request_bytes']:6} bytes{row['instructions']:5}")
    if not linked:
        print(f"static TLS: {results['tls_bytes']} bytes")
    if not locks:
        print(f"nothing is locked for {arguments.compiler}: only the bars hold")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
