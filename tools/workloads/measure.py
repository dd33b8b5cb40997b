"""Runs programs on an allocator of choice and measures them."""

import dataclasses
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"
KEPT_VARIABLES = ("PATH", "TMPDIR", "JAVA_HOME")


@dataclasses.dataclass
class Run:
    """One program that has ended: how, what it wrote and what it used."""
    status: int
    late: bool
    user: float
    system: float
    wall: float
    peak_kib: int
    minor_faults: int
    major_faults: int
    output: bytes
    errors: bytes

    def fault(self):
        """Why this is no success; None when it is one."""
        if self.late:
            return "did not end in time"
        if self.status < 0:
            return f"ended by signal {-self.status}"
        return f"exit status {self.status}" if self.status else None

    def usage(self):
        """What was measured, for a record: the output left out."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)
                if field.name not in ("output", "errors")}


def clean_environment(home):
    """The same small environment for every program: no setting of the user's reaches it."""
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return environment | {"HOME": str(home), "LC_ALL": "C", "TZ": "UTC",
                          "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}


class Launcher:
    """Runs programs one after the other through launcher.py; a context manager."""

    def __enter__(self):
        self._files = pathlib.Path(tempfile.mkdtemp(prefix="hakmem-run-"))
        self._process = subprocess.Popen(
            [PYTHON, "-I", "-S", str(HERE / "launcher.py")], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(timeout=30)
        shutil.rmtree(self._files, ignore_errors=True)

    def run(self, command, *, directory, environment, preload=None, standard_input="/dev/null",
            seconds=120.0):
        environment = dict(environment)
        if preload:
            environment["LD_PRELOAD"] = str(preload)
        output, errors = self._files / "output", self._files / "errors"
        request = {"command": [str(word) for word in command], "directory": str(directory),
                   "environment": environment, "stdin": str(standard_input),
                   "stdout": str(output), "stderr": str(errors), "seconds": seconds}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Run(**answer, output=output.read_bytes(), errors=errors.read_bytes())


def can_be_preloaded(library):
    """Would the loader put this library into a program? It says no on the error output only."""
    done = subprocess.run(["/bin/true"], capture_output=True, text=True, check=False,
                          env={"LD_PRELOAD": str(library), "LD_TRACE_LOADED_OBJECTS": "1"})
    return str(library) in done.stdout and "cannot be preloaded" not in done.stderr
