"""Runs the models of the concurrent protocols, and keeps them and the code together.

A model is a Promela file. Spin explores every order in which its processes can take their steps,
and reports the first that breaks a property. The head of the file says, a line each,

    mirrors FILE FUNCTION SUM       which code the model repeats, and what that code looked like
    run NAME [-DMACRO ...]          in which sizes it is explored
    mutant MACRO RUN PROPERTY: ...  a mistake that it must notice, in which run, by which property

A model that cannot fail proves nothing, hence the mutants; a model of last month's code proves
nothing either, hence the sums.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT / "tests" / "tidy"))

import cpp  # noqa: E402  (the light reading of C++ that the tidy rules stand on)

DEPTH = 8_000_000  # steps of the longest path; a search that needs more is not complete and fails
SECONDS = 300
SUM_DIGITS = 16

_HEAD = re.compile(r"^ \* (mirrors|run|mutant) (.*)$", re.MULTILINE)
_PROPERTY = re.compile(r"/\* (P\d+) \*/")
_UNREACHED = re.compile(r'^\t\S+?:(\d+), state \d+, "(.*)"$', re.MULTILINE)


class Broken(Exception):
    """The model, its head or a tool is not as it should be."""


@dataclasses.dataclass(frozen=True)
class Mirror:
    """A function that the model repeats."""

    file: str
    function: str
    sum: str


@dataclasses.dataclass(frozen=True)
class Mutant:
    """A mistake that one run must notice by one property."""

    macro: str
    run: str
    property: str
    sentence: str


@dataclasses.dataclass
class Model:
    """A Promela file with what its head says."""

    path: pathlib.Path
    text: str
    mirrors: list[Mirror]
    runs: dict[str, list[str]]
    mutants: list[Mutant]

    @property
    def liveness(self) -> set[str]:
        """The properties that are formulas over whole runs."""
        return set(re.findall(r"^ltl (P\d+)", self.text, re.MULTILINE))


def read(path: pathlib.Path) -> Model:
    """Reads a model, and sees that its head and its body speak of the same mutants."""
    text = path.read_text(encoding="utf-8")
    model = Model(path, text, [], {}, [])
    for kind, rest in _HEAD.findall(text):
        words = rest.split()
        if kind == "mirrors" and len(words) == 3:
            model.mirrors.append(Mirror(*words))
        elif kind == "run" and words:
            model.runs[words[0]] = words[1:]
        elif kind == "mutant" and len(words) > 3 and words[2].endswith(":"):
            model.mutants.append(Mutant(words[0], words[1], words[2][:-1], " ".join(words[3:])))
        else:
            raise Broken(f"{path.name}: not understood: {kind} {rest}")
    if not model.mirrors or not model.runs or not model.mutants:
        raise Broken(f"{path.name}: the head must name what is mirrored, runs and mutants")
    declared = {mutant.macro for mutant in model.mutants}
    switches = set(re.findall(r"\b(?:ifdef|ifndef|defined)\b[ (]*(\w+)", text))
    parameters = set(re.findall(r"-D(\w+)", " ".join(sum(model.runs.values(), []))))
    for name in sorted(declared ^ (switches - parameters)):
        raise Broken(f"{path.name}: {name} stands in the head or in the body, not in both")
    properties = set(re.findall(r"^ \*   (P\d+)  ", text, re.MULTILINE))
    for name in sorted(properties ^ {mutant.property for mutant in model.mutants}):
        raise Broken(f"{path.name}: {name} is no property, or no mutant breaks it")
    return model


# ---- spin -------------------------------------------------------------------------------------


def _call(command: list[str], folder: pathlib.Path) -> str:
    try:
        result = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise Broken(f"{command[0]} is missing") from error
    except subprocess.TimeoutExpired as error:
        raise Broken(f"{' '.join(command)}: no end after {SECONDS} s") from error
    if result.returncode != 0:
        raise Broken(f"{' '.join(command)}:\n{result.stdout}{result.stderr}")
    return result.stdout


@dataclasses.dataclass
class Result:
    """What one exploration found."""

    broken: str  # a property's name, or nothing
    states: int
    unreached: set[tuple[str, str, str]]  # process, line, statement
    trace: str


class Exploration:
    """A model, made executable for one set of macros."""

    def __init__(
        self, model: Model, macros: list[str], formula: str, folder: pathlib.Path, compiler: str
    ) -> None:
        self.model, self.macros, self.formula = model, macros, formula
        self.folder, self.compiler = folder, compiler
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(model.path, folder)
        _call(["spin", *macros, "-a", model.path.name], folder)

    def explore(self, shortest: bool) -> Result:
        """Goes through all orders, or by breadth until one breaks a property."""
        name = "pan_shortest" if shortest else "pan"
        search = ["-DNFAIR=3"] if self.formula else ["-DSAFETY", "-DNOCLAIM"]
        options = ["-a", "-f", "-N", self.formula] if self.formula else []
        if shortest and not self.formula:
            search.append("-DBFS")
        level = "-O0" if shortest else "-O2"  # short searches end before a compiler would
        # What spin writes is not ours to warn about.
        _call([self.compiler, level, "-w", "-o", name, *search, "pan.c"], self.folder)
        (self.folder / f"{self.model.path.name}.trail").unlink(missing_ok=True)
        report = _call([f"./{name}", f"-m{DEPTH}", *options], self.folder)
        (self.folder / f"{name}.txt").write_text(report, encoding="utf-8")
        for limit in ("max search depth too small", "out of memory", "MEMLIM bound", "VECTORSZ"):
            if limit in report:
                raise Broken(f"the search is not complete: {limit}\n{report}")
        errors = re.search(r"errors: (\d+)", report)
        states = re.search(r"(\d+) states, stored", report)
        if errors is None or states is None:
            raise Broken(f"not a report of spin:\n{report}")
        broken, trace = "", ""
        if errors.group(1) != "0":
            broken, trace = self._property(report)
        return Result(broken, int(states.group(1)), self._unreached(report), trace)

    def _property(self, report: str) -> tuple[str, str]:
        """Which property an error breaks, and how it came to that."""
        replay = _call(["spin", *self.macros, "-t", "-p", "-g", self.model.path.name], self.folder)
        if "pan:1: acceptance cycle" in report:
            return self.formula, replay
        if "pan:1: invalid end state" in report:
            return "deadlock", replay
        failed = re.search(r"^spin: \S+?:(\d+), Error: assertion violated", replay, re.MULTILINE)
        if failed is None:
            return "?", report + replay
        line = self.model.text.splitlines()[int(failed.group(1)) - 1]
        label = _PROPERTY.search(line)
        return (label.group(1) if label else f"line {failed.group(1)}"), replay

    def _unreached(self, report: str) -> set[tuple[str, str, str]]:
        found: set[tuple[str, str, str]] = set()
        for part in report.split("unreached in ")[1:]:
            process = part.split("\n", 1)[0]
            places = [place for place in _UNREACHED.findall(part) if place[1] != "-end-"]
            found |= {(process, *place) for place in places}
        return found


def _formula(model: Model, macros: list[str]) -> str:
    """The formula that a run checks: a run with one checks nothing else."""
    if "-DLIVENESS" not in macros:
        return ""
    (formula,) = model.liveness
    return formula


def check(model: Model, build: pathlib.Path, compiler: str) -> list[str]:
    """Explores every run of a model; none may break a property, no step may stay unused."""
    problems: list[str] = []
    unreached: list[set[tuple[str, str, str]]] = []
    for name, macros in model.runs.items():
        formula = _formula(model, macros)
        folder = build / model.path.stem / name
        exploration = Exploration(model, macros, formula, folder, compiler)
        result = exploration.explore(shortest=False)
        verdict = f"breaks {result.broken}" if result.broken else "holds"
        print(f"{model.path.stem}: {name}: {verdict}, {result.states} states")
        if result.broken:
            if not formula:
                result = exploration.explore(shortest=True)
            print(result.trace)
            problems.append(f"{model.path.name}: {name} breaks {result.broken}; the trace is above")
        if not formula:
            unreached.append(result.unreached)
    for process, line, statement in sorted(set.intersection(*unreached)) if unreached else []:
        problems.append(f"{model.path.name}:{line}: no run reaches {statement} in {process}")
    return problems


def check_mutants(model: Model, build: pathlib.Path, compiler: str) -> list[str]:
    """Plants each mistake; each must break the property that the head says."""
    problems: list[str] = []
    for mutant in model.mutants:
        macros = [*model.runs[mutant.run], f"-D{mutant.macro}"]
        folder = build / model.path.stem / mutant.macro
        exploration = Exploration(model, macros, _formula(model, macros), folder, compiler)
        result = exploration.explore(shortest=True)
        print(f"{model.path.stem}: {mutant.macro}: breaks {result.broken or 'nothing'}")
        if result.broken != mutant.property:
            problems.append(
                f"{model.path.name}: the mutant {mutant.macro} ({mutant.sentence}) breaks"
                f" {result.broken or 'nothing'}; it must break {mutant.property}"
            )
    return problems


# ---- code that is mirrored ----------------------------------------------------------------------


def normalised(text: str, function: str) -> str:
    """A function's code without comments and without its layout."""
    plain = cpp.without_comments(text)
    found = [f for f in cpp.functions(text) if f.name.split("::")[-1] == function]
    if len(found) != 1:
        raise Broken(f"{len(found)} functions are called {function}")
    body = plain[found[0].body_start : found[0].body_end + 1]
    words = " ".join(f"{found[0].head} {body}".split())
    return re.sub(r"(?<=\W) | (?=\W)", "", words)


def sum_of(text: str, function: str) -> str:
    """The sum by which a change of a function is noticed."""
    return hashlib.sha256(normalised(text, function).encode()).hexdigest()[:SUM_DIGITS]


def check_mirrors(model: Model, root: pathlib.Path = ROOT) -> list[str]:
    """Compares each mirrored function with its sum."""
    problems: list[str] = []
    for mirror in model.mirrors:
        name = model.path.name
        try:
            text = (root / mirror.file).read_text(encoding="utf-8")
            actual = sum_of(text, mirror.function)
        except (Broken, FileNotFoundError) as error:
            problems.append(f"{name}: {mirror.file} {mirror.function}: {error}")
            continue
        if actual != mirror.sum:
            problems.append(
                f"{name}: {mirror.function} in {mirror.file} is not the code that was modelled.\n"
                "  Read it beside the model. Change the model where their steps differ, and think\n"
                "  of a mutant for what is new. When the model's tests pass, write the new sums:\n"
                f"      /usr/bin/python3 tests/interleaving/models.py update {model.path.stem}"
            )
    return problems


def update(model: Model, root: pathlib.Path = ROOT) -> list[str]:
    """Writes the sums of the code as it is."""
    text = model.text
    for mirror in model.mirrors:
        new = sum_of((root / mirror.file).read_text(encoding="utf-8"), mirror.function)
        old_line = f" * mirrors {mirror.file} {mirror.function} {mirror.sum}\n"
        text = text.replace(old_line, old_line.replace(f" {mirror.sum}\n", f" {new}\n"))
    model.path.write_text(text, encoding="utf-8")
    return []


def main() -> int:
    """The command line; see the text at the top of this file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("action", choices=("check", "mutants", "mirrors", "update"))
    parser.add_argument("models", nargs="*", help="names of models; all by default")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "interleaving")
    parser.add_argument("--compiler", default="cc")
    arguments = parser.parse_args()
    paths = [HERE / f"{name}.pml" for name in arguments.models] or sorted(HERE.glob("*.pml"))
    problems: list[str] = []
    for path in paths:
        try:
            model = read(path)
            if arguments.action == "check":
                problems += check(model, arguments.build, arguments.compiler)
            elif arguments.action == "mutants":
                problems += check_mutants(model, arguments.build, arguments.compiler)
            else:
                problems += {"mirrors": check_mirrors, "update": update}[arguments.action](model)
        except Broken as error:
            problems.append(f"{path.name}: {error}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
