#!/usr/bin/python3
"""Builds the documentation: Doxygen reads the headers, Sphinx renders the pages.

Any warning, any missing tool and any stale generated part is an error.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
BUILD = ROOT / "build" / "release"
sys.path.insert(0, str(HERE))

import options_table  # noqa: E402  (it lies beside this file)

# What each tool is for, and the Debian package that brings it.
PROGRAMS = {"doxygen": "doxygen", "g++": "g++"}
MODULES = {"sphinx": "python3-sphinx", "breathe": "python3-breathe", "furo": "furo",
           "matplotlib": "python3-matplotlib"}


class BuildError(Exception):
    """The documentation cannot be built; the text says why."""


def missing_packages() -> list[str]:
    """The packages whose tools are not there."""
    missing = [name for program, name in PROGRAMS.items() if not shutil.which(program)]
    missing += [name for module, name in MODULES.items() if not importlib.util.find_spec(module)]
    return missing


def check_tools(_: pathlib.Path) -> None:
    """Fails with the names of the packages to install."""
    missing = missing_packages()
    if missing:
        names = " ".join(missing)
        raise BuildError(f"missing packages: {names}\n  sh tools/bootstrap.sh docs installs them")


def run_doxygen(out: pathlib.Path) -> None:
    """Writes build/docs/doxygen/xml."""
    target = out / "doxygen"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    source = ROOT / "src"
    configuration = (HERE / "Doxyfile").read_text(encoding="utf-8") + (
        f'\nINPUT = "{source}"\nSTRIP_FROM_PATH = "{source}"\nINCLUDE_PATH = "{source}"\n'
        f'OUTPUT_DIRECTORY = "{target}"\n'
    )
    run(["doxygen", "-"], "Doxygen found undocumented or wrongly documented symbols", configuration)


def generate_size_classes(out: pathlib.Path) -> None:
    """Compiles a program that prints the table, so that the page shows what the library has."""
    target = out / "generated"
    target.mkdir(parents=True, exist_ok=True)
    program = target / "size_class_dump"
    run(["g++", "-std=c++20", "-O0", f"-I{ROOT / 'src'}", str(HERE / "size_class_dump.cpp"), "-o",
         str(program)], "docs/size_class_dump.cpp does not compile")
    table = subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout
    json.loads(table)
    (target / "size_classes.json").write_text(table, encoding="utf-8")


def generate_tidy_rules(out: pathlib.Path) -> None:
    """Asks the tidy program for its rules and their reasons."""
    target = out / "generated"
    target.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(ROOT / "tests" / "tidy"), "--rst"]
    rules = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    (target / "tidy_rules.rst").write_text(rules, encoding="utf-8")


def check_options(_: pathlib.Path) -> None:
    """The options page must equal src/base/options.inc."""
    try:
        if not options_table.is_fresh():
            raise BuildError("docs/options.rst differs from src/base/options.inc: "
                             "run docs/options_table.py --write")
    except options_table.OptionsError as error:
        raise BuildError(f"src/base/options.inc: {error}") from error


def run_sphinx(out: pathlib.Path) -> None:
    """Renders build/docs/html. Always from scratch: a page that is not read again warns no more."""
    shutil.rmtree(out / "html", ignore_errors=True)
    shutil.rmtree(out / "doctrees", ignore_errors=True)
    environment = dict(os.environ, HAKMEM_DOCS_OUT=str(out), PYTHONDONTWRITEBYTECODE="1")
    command = [sys.executable, "-m", "sphinx", "-b", "html", "-n", "-W", "--keep-going", "-q",
               "-d", str(out / "doctrees"), str(HERE), str(out / "html")]
    run(command, "Sphinx warned", environment=environment)


def bundle_theme_script(out: pathlib.Path) -> None:
    """Makes the theme's script one that browsers run.

    Debian ships furo's script as a module that imports another. A page that is opened from disk may
    load no modules, so the two are put together, as furo's own packages have them.
    """
    scripts = out / "html" / "_static" / "scripts"
    script = scripts / "furo.js"
    text = script.read_text(encoding="utf-8")
    first, _, rest = text.partition("\n")
    if first == 'import Gumshoe from "./gumshoe-patched.js";':
        imported = (scripts / "gumshoe-patched.js").read_text(encoding="utf-8")
        script.write_text(f"{imported}\n{rest}", encoding="utf-8")
    elif text.lstrip().startswith("import "):
        raise BuildError(f"furo's script imports something else: {first}")


def run(command: list[str], problem: str, text: str | None = None,
        environment: dict[str, str] | None = None) -> None:
    """Runs a tool whose output goes to the terminal; its failure ends the build."""
    result = subprocess.run(command, input=text, text=True, env=environment, check=False)
    if result.returncode != 0:
        raise BuildError(f"{problem} (exit {result.returncode}); its messages stand above")


def run_conformance(out: pathlib.Path) -> None:
    """Runs the conformance program on the library, where a build has both."""
    target = out / "generated" / "conformance.json"
    target.unlink(missing_ok=True)
    library = BUILD / "lib" / "libhakmem.so"
    program = BUILD / "bin" / "abi_conformance"
    if not library.exists() or not program.exists():
        print("     not built: the page will say so", flush=True)
        return
    environment = dict(os.environ, LD_PRELOAD=str(library), ABI_SUBJECT="hakmem")
    result = subprocess.run([str(program), "--json"], env=environment, text=True, check=False,
                            stdout=subprocess.PIPE)
    json.loads(result.stdout)
    target.write_text(result.stdout, encoding="utf-8")


STEPS = (
    ("tools", check_tools),
    ("options page against options.inc", check_options),
    ("symbols, by Doxygen", run_doxygen),
    ("size classes, by the compiler", generate_size_classes),
    ("rules, by the tidy program", generate_tidy_rules),
    ("conformance, by its program", run_conformance),
    ("pages, by Sphinx", run_sphinx),
    ("the theme's script", bundle_theme_script),
)


def build(out: pathlib.Path) -> None:
    """Runs the steps in order, saying what is being done."""
    for number, (title, step) in enumerate(STEPS, 1):
        print(f"docs [{number}/{len(STEPS)}] {title}", flush=True)
        begin = time.monotonic()
        step(out)
        seconds = time.monotonic() - begin
        if seconds >= 1:
            print(f"docs [{number}/{len(STEPS)}] done in {seconds:.0f} s", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """The command line."""
    global BUILD  # noqa: PLW0603  the steps share it
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "build" / "docs",
                        help="where everything is written (default: build/docs)")
    parser.add_argument("--build", type=pathlib.Path, default=BUILD,
                        help="the build whose programs are asked (default: build/release)")
    given = parser.parse_args(arguments)
    BUILD = given.build.resolve()
    out = given.out.resolve()
    try:
        build(out)
    except (BuildError, OSError, subprocess.CalledProcessError) as error:
        print(f"docs: error: {error}", file=sys.stderr)
        return 1
    print(f"docs: {out / 'html' / 'index.html'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
