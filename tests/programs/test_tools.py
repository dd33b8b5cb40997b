"""tools/programs.py and tools/demo.py must be able to say no.

HAKMEM_CARELESS names a malloc that is broken on purpose, built beside this test.
"""

import os
import pathlib
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
CARELESS = os.environ["HAKMEM_CARELESS"]
LIBC = "/lib/x86_64-linux-gnu/libc.so.6"
sys.path.insert(0, str(ROOT / "tools"))
sys.path.insert(0, str(ROOT / "tools" / "workloads"))
import measure  # noqa: E402
import programs  # noqa: E402


def run(tool, *arguments):
    return subprocess.run(["/usr/bin/python3", ROOT / "tools" / tool, *arguments],
                          capture_output=True, text=True, timeout=300, check=False)


def is_running(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def launcher():
    with measure.Launcher() as opened:
        yield opened


def program_of(*commands, **options):
    return programs.Program("one", [], [programs.Step(list(command)) for command in commands],
                            **options)


def test_a_broken_malloc_is_a_failed_program():
    done = run("programs.py", "--quick", "--lib", CARELESS, "--only", "perl")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "FAILED        perl" in done.stdout


def test_a_broken_malloc_is_a_failed_demo():
    done = run("demo.py", "--quick", "--lib", CARELESS, "--only", "python")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "failed" in done.stdout
    assert "byte for byte" not in done.stdout


@pytest.mark.parametrize("tool", ["programs.py", "demo.py"])
def test_a_library_that_is_not_there_is_an_error(tool):
    done = run(tool, "--lib", "/nowhere/libhakmem.so")
    assert done.returncode not in (0, None)
    assert "cannot be preloaded" in done.stderr


def test_a_preload_that_did_not_happen_is_a_failure(launcher, tmp_path):
    # `env -i` drops LD_PRELOAD and all else, as a program that cleans its environment would.
    program = program_of(["env", "-i", "/bin/true"], ["true"])
    session, _ = programs.examine(launcher, program, tmp_path, measure.HERE / "no-such-library.so")
    assert "processes loaded the library" in session.fault


def test_another_output_is_a_failure(launcher, tmp_path):
    program = program_of(["sh", "-c", "echo ${LD_PRELOAD:-none}"])
    session, _ = programs.examine(launcher, program, tmp_path, pathlib.Path(LIBC))
    assert session.fault.startswith("another output than on glibc")


def test_another_file_is_a_failure(launcher, tmp_path):
    program = program_of(["sh", "-c", "echo ${LD_PRELOAD:-none} >made"], files=["made"])
    session, _ = programs.examine(launcher, program, tmp_path, pathlib.Path(LIBC))
    assert session.fault == "another made than on glibc"


def test_a_program_that_does_not_end_is_ended(launcher, tmp_path):
    program = program_of(["sh", "-c", "sleep 60 & sleep 60"], seconds=0.5)
    session, _ = programs.examine(launcher, program, tmp_path, pathlib.Path(LIBC))
    assert "did not end in time" in session.fault


def test_nothing_is_left_running(launcher, tmp_path):
    run_once = launcher.run(["sh", "-c", "sleep 60 & echo $!"], directory=tmp_path,
                            environment=measure.clean_environment(tmp_path))
    pid = run_once.output.decode().strip()
    assert pid.isdigit()
    for _ in range(100):  # it has been told to end; that takes a moment
        if not is_running(pid):
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} still runs")


def test_usage_is_that_of_the_program(launcher, tmp_path):
    code = "block = bytearray(200 << 20); [i for i in range(2000000)]"
    used = launcher.run([measure.PYTHON, "-S", "-c", code], directory=tmp_path,
                        environment=measure.clean_environment(tmp_path))
    idle = launcher.run(["true"], directory=tmp_path,
                        environment=measure.clean_environment(tmp_path))
    assert used.peak_kib > 200 << 10 > idle.peak_kib
    assert used.minor_faults > idle.minor_faults
    assert used.user > idle.user
