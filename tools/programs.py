#!/usr/bin/python3
"""Runs ordinary programs under LD_PRELOAD and says, a line each, whether they work.

Each program runs on glibc's malloc first and then on HAKMEM. It is ok when it ends as it should,
writes the same output (and the same files) where its output is determined, and when the loader's
own log shows the library in its processes. What is not installed is said to be so; it is no
failure.
"""

import argparse
import dataclasses
import os
import pathlib
import re
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORKLOADS = ROOT / "tools" / "workloads"
sys.path.insert(0, str(WORKLOADS))
import measure  # noqa: E402

ON_GLIBC, ON_HAKMEM = "glibc", "hakmem"


@dataclasses.dataclass
class Step:
    """One command of a program's run."""
    command: list
    standard_input: str = "/dev/null"
    environment: dict = dataclasses.field(default_factory=dict)
    compared: bool = True       # its output is determined
    must_say: str = ""          # a regular expression that its output must match


@dataclasses.dataclass
class Program:
    name: str
    needs: list
    steps: list
    files: list = dataclasses.field(default_factory=list)  # made by the steps, to be compared
    seconds: float = 60.0       # for each step
    both: bool = True           # run on glibc too
    prepare: object = None      # called with the folder before the steps


def prepare_git(directory):
    (directory / "tree" / "deep").mkdir(parents=True)
    for i in range(300):
        folder = directory / "tree" / ("deep" if i % 3 else ".")
        (folder / f"file{i}.txt").write_text("".join(
            f"line {j} of file {i}: {j * i * 7919 % 10007}\n" for j in range(i % 200)))


def git_steps():
    environment = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
                   "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
                   "GIT_COMMITTER_NAME": "C", "GIT_COMMITTER_EMAIL": "c@example.org",
                   "GIT_AUTHOR_DATE": "1000000000 +0000",
                   "GIT_COMMITTER_DATE": "1000000000 +0000"}
    git = ["git", "-C", "tree", "-c", "gc.autoDetach=false", "-c", "maintenance.auto=false"]
    return [Step(command, environment=environment) for command in (
        ["git", "init", "-q", "-b", "main", "tree"],
        git + ["add", "-A"],
        git + ["commit", "-q", "-m", "All files"],
        git + ["rm", "-q", "-r", "deep"],
        git + ["commit", "-q", "-m", "Fewer files"],
        git + ["log", "--stat", "-p", "--format=fuller"],
        git + ["gc", "-q", "--aggressive", "--prune=now"],
        git + ["fsck", "--full", "--strict"],
        ["git", "clone", "-q", "--no-hardlinks", "tree", "clone"],
        ["git", "-C", "clone", "diff", "--stat", "HEAD~1"])]


def programs(quick):
    python = [measure.PYTHON, "-S"]
    stress_seconds = "3" if quick else "8"
    return [
        Program("python3", [measure.PYTHON], [
            Step(python + [WORKLOADS / "python_session.py"],
                 environment={"PYTHONMALLOC": "malloc"})]),
        Program("perl", ["perl"], [Step(["perl", WORKLOADS / "perl_session.pl"])]),
        Program("sqlite3", ["sqlite3"], [
            Step(["sqlite3", "-batch", ":memory:"], str(WORKLOADS / "orders.sql"))]),
        Program("git", ["git"], git_steps(), prepare=prepare_git),
        Program("gcc", ["gcc"], [
            Step(["gcc", "-O2", "-Wall", "-o", "small", WORKLOADS / "small.c"]),
            Step(["./small"], must_say="words")], files=["small"]),
        Program("g++", ["g++"], [
            Step(["g++", "-O1", "-pthread", "-o", "small", WORKLOADS / "small.cpp"]),
            Step(["./small"], must_say="500")], files=["small"]),
        Program("clang", ["clang++"], [
            Step(["clang++", "-O1", "-pthread", "-o", "small", WORKLOADS / "small.cpp"]),
            Step(["./small"], must_say="500")], files=["small"]),
        Program("cmake+ninja", ["cmake", "ninja", "g++"], [
            Step(["cmake", "-S", ROOT, "-B", "build", "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                  "-DHAKMEM_TESTS=OFF", "-DHAKMEM_BENCH=OFF"], compared=False),
            Step(["ninja", "-C", "build", "-j2", "hakmem"], compared=False, must_say="Linking")],
            files=["build/lib/libhakmem.so"], seconds=300.0, both=not quick),
        Program("node", ["node"], [Step(["node", WORKLOADS / "node_session.js"])]),
        Program("java", ["java"], [Step(["java", "-version"])]),
        Program("redis", ["redis-server", "redis-benchmark", "redis-cli"], [
            Step(python + [WORKLOADS / "redis_session.py", "3000" if quick else "20000"])],
            seconds=150.0),
        Program("stress-ng", ["stress-ng"], [
            Step(["stress-ng", "--malloc", "2", "--malloc-bytes", "16m", "--malloc-pthreads", "2",
                  "--verify", "--timeout", stress_seconds, "--temp-path", "."],
                 compared=False, must_say="successful run"),
            Step(["stress-ng", "--malloc", "2", "--malloc-bytes", "1k", "--malloc-max", "20000",
                  "--malloc-touch", "--malloc-zerofree", "--verify", "--timeout", stress_seconds,
                  "--temp-path", "."], compared=False, must_say="successful run")],
            both=False),
    ]


@dataclasses.dataclass
class Session:
    """A program's run on one malloc."""
    runs: list
    files: list
    processes: int  # in which the loader's log names the library
    fault: str = ""

    def total(self, field):
        return sum(getattr(run, field) for run in self.runs)

    def peak_kib(self):
        return max((run.peak_kib for run in self.runs), default=0)


def processes_with(library, logs):
    """How many processes initialised the library, by the logs that the loader wrote for each."""
    line = re.compile(rb"calling init: " + re.escape(str(library).encode()) + rb"\s*$", re.M)
    return sum(1 for log in logs.iterdir() if line.search(log.read_bytes()))


def run_steps(launcher, program, directory, environment, library):
    """Runs all steps in a folder that was prepared; the first that fails is the last one."""
    session = Session([], [], 0)
    for step in program.steps:
        run = launcher.run(step.command, directory=directory, preload=library,
                           environment=environment | step.environment,
                           standard_input=step.standard_input, seconds=program.seconds)
        session.runs.append(run)
        said = run.output + run.errors
        fault = run.fault()
        if fault is None and step.must_say and not re.search(step.must_say.encode(), said):
            fault = f"its output does not say '{step.must_say}'"
        if fault is not None:
            words = " ".join(str(word) for word in step.command)
            session.fault = f"{fault}: {words}\n{said.decode(errors='replace')[-1500:]}"
            return session
    session.files = [(directory / name).read_bytes() for name in program.files]
    return session


def run_session(launcher, program, base, library):
    """Runs all steps in a fresh folder that has the same path each time."""
    directory, logs = base / "run", base / "loader"
    for folder in (directory, logs):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
    if program.prepare:
        program.prepare(directory)
    environment = measure.clean_environment(directory)
    if library:
        environment |= {"LD_DEBUG": "libs", "LD_DEBUG_OUTPUT": str(logs / "log")}
    session = run_steps(launcher, program, directory, environment, library)
    if library and not session.fault:
        session.processes = processes_with(library, logs)
        if session.processes < len(program.steps):
            session.fault = (f"only {session.processes} processes loaded the library, for "
                             f"{len(program.steps)} commands")
    return session


def difference(program, one, other):
    """What two sessions differ in; empty when nothing."""
    for step, a, b in zip(program.steps, one.runs, other.runs):
        if step.compared and (a.output != b.output or a.errors != b.errors):
            return "another output than on glibc: " + " ".join(str(word) for word in step.command)
    for name, a, b in zip(program.files, one.files, other.files):
        if a != b:
            return f"another {name} than on glibc"
    return ""


def examine(launcher, program, base, library):
    """Runs a program on both; the session on HAKMEM, its fault filled in, and the one on glibc."""
    reference = run_session(launcher, program, base, None) if program.both else None
    if reference is not None and reference.fault:
        reference.fault = "fails on glibc too: " + reference.fault
        return reference, reference
    session = run_session(launcher, program, base, library)
    if reference is not None and not session.fault:
        session.fault = difference(program, reference, session)
    return session, reference


def line_of(program, session, reference):
    state = "FAILED" if session.fault else "ok"
    text = (f"{state:14}{program.name:13}{session.total('user') + session.total('system'):8.2f} s"
            f"{session.peak_kib() / 1024:9.1f} MiB{session.processes:10} ")
    if reference is not None:
        text += (f"{reference.total('user') + reference.total('system'):10.2f} s"
                 f"{reference.peak_kib() / 1024:9.1f} MiB")
    return text


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release",
                        help="build folder whose lib/libhakmem.so is used")
    parser.add_argument("--lib", type=pathlib.Path, help="that library itself")
    parser.add_argument("--quick", action="store_true", help="shorter runs")
    parser.add_argument("--only", action="append", metavar="NAME", help="this program; repeatable")
    arguments = parser.parse_args()
    arguments.lib = (arguments.lib or arguments.build / "lib" / "libhakmem.so").resolve()
    return arguments


def main():
    arguments = parse_arguments()
    if not measure.can_be_preloaded(arguments.lib):
        sys.exit(f"programs.py: {arguments.lib} is missing or cannot be preloaded")
    chosen = [program for program in programs(arguments.quick)
              if not arguments.only or program.name in arguments.only]
    if not chosen:
        sys.exit("programs.py: no such program")
    print(f"{'':27}{'processor':>10}{'peak':>13}{'processes':>10}{'on glibc':>12}", flush=True)
    faults = []
    with tempfile.TemporaryDirectory(prefix="hakmem-programs-") as folder, \
            measure.Launcher() as launcher:
        base = pathlib.Path(folder).resolve()
        for program in chosen:
            missing = [name for name in program.needs if shutil.which(name) is None]
            if missing:
                print(f"{'not installed':14}{program.name:13} {', '.join(missing)}", flush=True)
                continue
            session, reference = examine(launcher, program, base, arguments.lib)
            print(line_of(program, session, reference), flush=True)
            if session.fault:
                faults.append(f"{program.name}: {session.fault}")
    for fault in faults:
        print(f"\n{fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
