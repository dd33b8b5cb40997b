"""What operations share with other threads, from a trace of every access to memory.

The program is bench/programs/operations.cpp, in which one thread runs at a time, and says which.
The tool is valgrind's lackey: a line of its trace is an instruction or an access, and its address.

    I  0401ab70,4         an instruction
     L 1ffefff0a8,8       a load; S is a store, M both

What counts are the instructions of the library alone. A call begins where malloc or free is
entered, or the end of a thread, and belongs to the first kind whose functions it enters. Whatever
else the library exports begins a call too, which is of no kind and counts nowhere: its instructions
are not those of the call before. For each kind there is the mean over its calls of

    instructions  that were executed
    locked        those that lock the line which they write: lock-prefixed, or an exchange
    shared        cache lines that another thread accesses in the same scene, and some thread writes
    moved         lines that had to come from the processor of another thread, or be taken away from
                  it, if each thread has a processor of its own with a cache without end

Threads that follow each other share nothing, though what the first one leaves moves to the next.
Since threads take turns of hundreds of calls, a line moves once a turn at most. Where they run at
the same time a shared line may move at every call that has it. What is neither locked nor shared
costs the same however many processors there are.
"""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import re
import subprocess
from collections.abc import Iterable

LINE_BITS = 6  # cache lines of 64 bytes
WRITES = ("S", "M")
ACCESSES = ("L", *WRITES)

# What a call is, by the functions that it enters; "locked" is in it when it locks a line.
FUNCTIONS = {
    "refill": "ThreadHeap::refill(",
    "flush": "ThreadHeap::flush(",
    "pool": "shared_pool::acquire_slab(",
    "release": "ThreadHeap::release(",
    "drop": "shared_pool::release_slab(",
    "remote": "ThreadHeap::release_remote(",
    "merge": "ThreadHeap::merged(",
    "map": "large::allocate(",
    "unmap": "large::release(",
    "adopt": "orphan_heaps::adopt(",
    "end": "front::detach_thread(",
}
KINDS = {
    "thread_end": "end",
    "thread_begin": "adopt",
    "malloc_pool": "malloc refill pool",
    "malloc_merge": "malloc refill merge",
    "malloc_refill": "malloc refill",
    "malloc_large": "malloc map",
    "malloc_hit": "malloc",
    "free_remote_sent": "free remote locked",
    "free_remote": "free remote",
    "free_pool": "free flush drop",
    "free_flush": "free flush",
    "free_grow": "free release",
    "free_large": "free unmap",
    "free_hit": "free",
}
OTHER = "other"  # any function that the library exports, but malloc and free
BEGINNINGS = ("malloc", "free", "end", OTHER)


def said(*command: str) -> str:
    """What a program prints."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@dataclasses.dataclass(frozen=True)
class Library:
    """Where things are in a library, from its first byte on."""

    end: int
    entries: dict[int, str]  # function: its name in FUNCTIONS, malloc, free or other
    locked: frozenset[int]

    @classmethod
    def read(cls, path: pathlib.Path) -> Library:
        """Reads symbols and code."""
        entries: dict[int, str] = {}
        symbols = re.findall(r"^([0-9a-f]+) ([tTwW]) (.*)$", said("nm", "-C", str(path)),
                             re.MULTILINE)
        for address, binding, symbol in symbols:
            if binding.isupper():
                entries.setdefault(int(address, 16), OTHER)  # malloc may have a second name
            if symbol in ("malloc", "free"):
                entries[int(address, 16)] = symbol
            for name, function in FUNCTIONS.items():
                if f"::{function}" in symbol and "clone" not in symbol:
                    entries[int(address, 16)] = name
        if missing := {"malloc", "free", *FUNCTIONS} - set(entries.values()):
            raise ValueError(f"{path.name} has no function for {', '.join(sorted(missing))}")
        code = re.findall(r"^ +([0-9a-f]+):\t(\S+) *(.*)$",
                          said("objdump", "-d", "--no-show-raw-insn", str(path)), re.MULTILINE)
        locked = (int(address, 16) for address, mnemonic, operands in code
                  if mnemonic == "lock" or (mnemonic.startswith("xchg") and "(" in operands))
        return cls(max(int(address, 16) for address, _, _ in code) + 1, entries, frozenset(locked))


@dataclasses.dataclass
class Call:
    """What one call did."""

    scene: int
    thread: str
    entered: set[str]
    instructions: int = 0
    locked: int = 0
    lines: set[int] = dataclasses.field(default_factory=set)
    moved: set[int] = dataclasses.field(default_factory=set)


def calls_of(trace: Iterable[str], library: Library,
             marks: dict[str, int]) -> tuple[list[Call], dict]:
    """The calls of all scenes, and who reads and who writes each line in each scene."""
    start = marks["malloc"] - next(a for a, name in library.entries.items() if name == "malloc")
    entries = {start + address: name for address, name in library.entries.items()}
    locked = {start + address for address in library.locked}
    turns = {marks[name]: name for name in ("first", "second", "another")}
    end, scene, successor = start + library.end, 0, 0
    thread, holder, inside, playing = "", ("", 0), False, False
    call = Call(0, "", set())
    calls: list[Call] = []
    uses: dict = collections.defaultdict(lambda: (set(), set()))
    holders: dict[int, set[tuple[str, int]]] = collections.defaultdict(set)
    for text in trace:
        kind, address = text[:2].strip(), text[3:].partition(",")[0]
        if kind == "I":
            place = int(address, 16)
            inside = start <= place < end
            if place in turns:
                thread = turns[place]
                successor += thread == "another"
                holder = thread, successor if thread == "another" else 0
            elif place in (marks["scene"], marks["no_scene"]):
                playing = place == marks["scene"]
                scene += playing
            elif inside and playing:
                name = entries.get(place)
                if name in BEGINNINGS:
                    call = Call(scene, thread, set())
                    calls.append(call)
                if name:
                    call.entered.add(name)
                call.instructions += 1
                if place in locked:
                    call.locked += 1
                    call.entered.add("locked")
        elif inside and kind in ACCESSES:
            line = int(address, 16) >> LINE_BITS
            holding, writes = holders[line], kind in WRITES
            if playing:
                if holding - {holder} and (writes or holder not in holding):
                    call.moved.add(line)
                call.lines.add(line)
                uses[scene, line][writes].add(thread)
            if writes:
                holding.clear()
            holding.add(holder)
    return calls, uses


def kind_of(call: Call) -> str:
    """The first kind whose functions it entered; none for what is neither malloc nor free."""
    if OTHER in call.entered:
        return ""
    return next((kind for kind, words in KINDS.items() if set(words.split()) <= call.entered), "")


def summarise(trace: Iterable[str], path: pathlib.Path, marks: dict[str, int]) -> dict[str, dict]:
    """The means of each kind that was traced."""
    calls, uses = calls_of(trace, Library.read(path), marks)
    sums: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    for call in calls:
        total = sums[kind_of(call)]
        total["calls"] += 1
        total["instructions"] += call.instructions
        total["locked"] += call.locked
        total["moved"] += len(call.moved)
        for line in call.lines:
            readers, writers = uses[call.scene, line]
            total["shared"] += bool(writers and (readers | writers) - {call.thread})
    return {kind: {name: total[name] if name == "calls" else total[name] / total["calls"]
                   for name in ("locked", "shared", "moved", "instructions", "calls")}
            for kind, total in sums.items() if kind}
