"""Runs clang-tidy 14 over the sources of src/, several at a time.

    /usr/bin/python3 tests/tidy/clang_tidy.py --build DIR [FILE ...]

DIR is a configured build: its compile_commands.json says how each file is compiled. Checks and
their reasons stand in .clang-tidy. Exits with 1 when there is a finding, or when nothing was
looked at.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys

TOOL = "clang-tidy-14"
ROOT = pathlib.Path(__file__).resolve().parents[2]
# What gcc understands and clang does not is no finding about the code.
LENIENT = [
    "--extra-arg=-Wno-unknown-warning-option",
    "--extra-arg=-Qunused-arguments",
    "--extra-arg=-Wno-ignored-optimization-argument",
]


def sources(build: pathlib.Path) -> list[str]:
    """The compiled files of src/, each once."""
    commands = json.loads((build / "compile_commands.json").read_text(encoding="utf-8"))
    here = str(ROOT / "src") + os.sep
    return sorted({entry["file"] for entry in commands if entry["file"].startswith(here)})


def look_at(build: pathlib.Path, path: str) -> tuple[int, str]:
    """What clang-tidy says about one file."""
    result = subprocess.run(
        [TOOL, "--quiet", f"-p={build}", *LENIENT, path],
        check=False,
        capture_output=True,
        text=True,
    )
    noise = ("warnings generated", "Suppressed ", "Use -header-filter")
    said = [
        line for line in result.stderr.splitlines() if not any(word in line for word in noise)
    ]
    return result.returncode, "\n".join([*result.stdout.splitlines(), *said])


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path, required=True, help="a configured build")
    parser.add_argument("file", nargs="*", help="files to look at; all of src/ by default")
    given = parser.parse_args()
    if shutil.which(TOOL) is None:
        print(f"{TOOL} is missing", file=sys.stderr)
        return 1
    paths = [str(pathlib.Path(name).resolve()) for name in given.file] or sources(given.build)
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for path, (code, said) in zip(
            paths, pool.map(lambda p: look_at(given.build, p), paths), strict=True
        ):
            print(f"{'finding' if code else 'clean':8}{os.path.relpath(path, ROOT)}", flush=True)
            if code:
                bad += 1
                print(said)
    print(f"{len(paths)} files, {bad} with findings")
    return 1 if bad or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
