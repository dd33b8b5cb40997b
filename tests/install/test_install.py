"""What is installed can be used: each way of README.md, from a prefix that held nothing else.

Each consumer proves that HAKMEM serves its allocations: one that knows hakmem.h asks about its own
blocks; one that does not is asked, through HAKMEM_REPORT, for a report at its end.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CONSUMER = HERE / "consumer"
BUILD = pathlib.Path(os.environ.get("HAKMEM_BUILD", ROOT / "build" / "release"))
VERSION = os.environ.get("HAKMEM_PROJECT_VERSION", "0.16.0")
LTO = os.environ.get("HAKMEM_LTO", "OFF") == "ON"
CC = os.environ.get("CC", "cc")
CXX = os.environ.get("CXX", "c++")

sys.path.insert(0, str(ROOT / "docs"))
import options_table  # noqa: E402


def run(*command: object, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in a clean environment; what it said is shown when it fails."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HAKMEM_", "LD_"))}
    result = subprocess.run(
        [str(word) for word in command],
        env=environment | variables,
        check=False,
        capture_output=True,
        text=True,
    )
    line = " ".join(map(str, command))
    assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
    return result


def serves_aware(program: pathlib.Path, **variables: str) -> None:
    """The program itself asks HAKMEM about its blocks."""
    assert run(program, **variables).stdout == "served by HAKMEM\n"


def serves_unaware(program: pathlib.Path, **variables: str) -> None:
    """HAKMEM reports when the program ends, and says nothing unless asked to."""
    silent = run(program, **variables)
    assert (silent.stdout, silent.stderr) == ("done\n", "")
    reporting = run(program, HAKMEM_REPORT="1", **variables)
    assert reporting.stdout == "done\n"
    assert re.search(r"^hakmem: ", reporting.stderr, re.MULTILINE), reporting.stderr


def files_below(folder: pathlib.Path) -> list[str]:
    """Every file and link below a folder."""
    return sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir()
    )


def expected_files() -> list[str]:
    """The list that is promised."""
    text = (HERE / "files.txt").read_text(encoding="utf-8")
    return sorted(text.replace("{version}", VERSION).split())


@pytest.fixture(scope="session")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An installation that was moved after it was made: nothing in it may know where it was."""
    first = tmp_path_factory.mktemp("first") / "prefix"
    run("cmake", "--install", BUILD, "--prefix", first)
    final = tmp_path_factory.mktemp("final") / "prefix"
    shutil.move(first, final)
    return final


@pytest.fixture(scope="session")
def cmake_consumers(prefix: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The consumers, built by way of find_package. The linker drops every library that it can."""
    build = tmp_path_factory.mktemp("consumers")
    run("cmake", "-S", CONSUMER, "-B", build, "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix}",
        "-DCMAKE_BUILD_TYPE=Release", "-DCMAKE_EXE_LINKER_FLAGS=-Wl,--as-needed")  # fmt: skip
    run("cmake", "--build", build)
    return build


def pkg_config(prefix: pathlib.Path, *arguments: str) -> list[str]:
    """What pkg-config answers about the installed package."""
    path = str(prefix / "lib" / "pkgconfig")
    return run("pkg-config", *arguments, "hakmem", PKG_CONFIG_PATH=path).stdout.split()


def test_installed_files(prefix: pathlib.Path) -> None:
    """Exactly the promised files."""
    assert files_below(prefix) == expected_files()


def test_destdir(tmp_path: pathlib.Path) -> None:
    """Packagers install below DESTDIR: the prefix follows it."""
    run("cmake", "--install", BUILD, "--prefix", "/usr/local", DESTDIR=str(tmp_path))
    assert files_below(tmp_path / "usr" / "local") == expected_files()


@pytest.mark.parametrize("way", ["hakmem", "static"])
@pytest.mark.parametrize("program", ["aware_c", "aware_cpp", "unaware_c", "unaware_cpp"])
def test_find_package(cmake_consumers: pathlib.Path, program: str, way: str) -> None:
    """hakmem::hakmem and hakmem::static, in C and C++."""
    serves = serves_aware if program.startswith("aware") else serves_unaware
    serves(cmake_consumers / f"{program}_{way}")


def test_static_program_needs_no_library(cmake_consumers: pathlib.Path) -> None:
    """hakmem::static leaves nothing to load; and a C program never loads the C++ runtime."""
    static = run("readelf", "-d", cmake_consumers / "aware_c_static").stdout
    shared = run("readelf", "-d", cmake_consumers / "aware_c_hakmem").stdout
    assert "libhakmem" in shared
    assert "libhakmem" not in static
    assert "libstdc++" not in static + shared


def test_core_links_the_c_library_alone(prefix: pathlib.Path) -> None:
    """The shared library needs the C library and nothing else."""
    needed = re.findall(
        r"NEEDED.*\[(.*)\]", run("readelf", "-d", prefix / "lib/libhakmem.so").stdout
    )
    assert set(needed) <= {"libc.so.6", "ld-linux-x86-64.so.2"}, needed


@pytest.mark.parametrize("source", ["aware.c", "unaware.c", "aware.cpp", "unaware.cpp"])
def test_pkg_config(prefix: pathlib.Path, tmp_path: pathlib.Path, source: str) -> None:
    """The shared library, by the flags of pkg-config; --as-needed must not drop it."""
    program = tmp_path / "program"
    compiler = CXX if source.endswith("cpp") else CC
    run(compiler, "-O2", CONSUMER / source, "-o", program, "-Wl,--as-needed",
        *pkg_config(prefix, "--cflags", "--libs"))  # fmt: skip
    serves = serves_aware if source.startswith("aware") else serves_unaware
    serves(program, LD_LIBRARY_PATH=str(prefix / "lib"))


@pytest.mark.parametrize("source", ["aware.c", "unaware.c", "aware.cpp", "unaware.cpp"])
def test_object_first(prefix: pathlib.Path, tmp_path: pathlib.Path, source: str) -> None:
    """hakmem.o before the program's own objects."""
    program = tmp_path / "program"
    compiler = CXX if source.endswith("cpp") else CC
    run(compiler, "-O2", prefix / "lib/hakmem.o", CONSUMER / source, "-o", program,
        *pkg_config(prefix, "--cflags"))  # fmt: skip
    serves = serves_aware if source.startswith("aware") else serves_unaware
    serves(program)


@pytest.mark.parametrize("source", ["aware.c", "unaware.c", "aware.cpp", "unaware.cpp"])
@pytest.mark.parametrize("way", ["pkg-config", "object"])
def test_fully_static(
    prefix: pathlib.Path, tmp_path: pathlib.Path, source: str, way: str
) -> None:
    """A program without a dynamic linker: the C library's own malloc is left out of it."""
    program = tmp_path / "program"
    compiler = CXX if source.endswith("cpp") else CC
    flags = pkg_config(prefix, "--cflags")
    if way == "object":
        run(compiler, "-O2", "-static", prefix / "lib/hakmem.o", CONSUMER / source, "-o", program,
            *flags)  # fmt: skip
    else:
        flags += pkg_config(prefix, "--static", "--libs")
        run(compiler, "-O2", "-static", CONSUMER / source, "-o", program, *flags)
    serves = serves_aware if source.startswith("aware") else serves_unaware
    serves(program)


@pytest.mark.parametrize("level", ["-O2", "-O3"])
@pytest.mark.parametrize(
    "source", ["aware.c", "unaware.c", "aware.cpp", "unaware.cpp", "throws.cpp"]
)
def test_link_time_optimization(
    prefix: pathlib.Path, tmp_path: pathlib.Path, source: str, level: str
) -> None:
    """The archive, whose functions the compiler may take apart; C does not come to need C++."""
    if not LTO:
        pytest.skip("configured without HAKMEM_LTO")
    archive = prefix / "lib/libhakmem.a"
    assert ".gnu.lto_" in run("readelf", "-SW", archive).stdout
    program = tmp_path / "program"
    run(CXX if source.endswith("cpp") else CC, level, "-flto=1", CONSUMER / source, "-o", program,
        *pkg_config(prefix, "--static", "--cflags"), archive, "-Wl,--undefined=malloc",
        "-Wl,--undefined=_Znwm", "-Wl,--undefined=hakmem_version")  # fmt: skip
    serves = serves_aware if source.startswith("aware") else serves_unaware
    serves(program)
    if source.endswith(".c"):
        assert "libstdc++" not in run("readelf", "-d", program).stdout


@pytest.mark.parametrize("source", ["unaware.c", "unaware.cpp"])
def test_preload(prefix: pathlib.Path, tmp_path: pathlib.Path, source: str) -> None:
    """LD_PRELOAD, under a program that was built without HAKMEM."""
    program = tmp_path / "program"
    run(CXX if source.endswith("cpp") else CC, "-O2", CONSUMER / source, "-o", program)
    serves_unaware(program, LD_PRELOAD=str(prefix / "lib/libhakmem.so"))


def test_the_proof_can_fail(tmp_path: pathlib.Path) -> None:
    """Without HAKMEM the same program reports nothing: the tests above tell the two apart."""
    run(CC, "-O2", CONSUMER / "unaware.c", "-o", tmp_path / "program")
    with pytest.raises(AssertionError):
        serves_unaware(tmp_path / "program")


def test_preload_serves_the_c_librarys_own_names(
    prefix: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """malloc_usable_size, looked up at run time, is HAKMEM's too."""
    source = tmp_path / "lookup.c"
    source.write_text(
        "#include <dlfcn.h>\n#include <malloc.h>\n#include <stdlib.h>\n"
        "int main(void) {\n"
        "    size_t (*usable)(const void*) = dlsym(RTLD_DEFAULT, \"hakmem_usable_size\");\n"
        "    char* block = malloc(1000);\n"
        "    if (!usable || !block) return 1;\n"
        "    return usable(block) >= 1000 && usable(block) == malloc_usable_size(block) ? 0 : 2;\n"
        "}\n",
        encoding="utf-8",
    )
    run(CC, "-O2", source, "-o", tmp_path / "lookup")
    run(tmp_path / "lookup", LD_PRELOAD=str(prefix / "lib/libhakmem.so"))


def test_version_is_checked(prefix: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A project that asks for a later major version is refused."""
    script = tmp_path / "CMakeLists.txt"
    script.write_text(
        "cmake_minimum_required(VERSION 3.16)\nproject(p NONE)\nfind_package(hakmem 99 QUIET)\n"
        "if(hakmem_FOUND)\n  message(FATAL_ERROR found)\nendif()\n",
        encoding="utf-8",
    )
    run("cmake", "-S", tmp_path, "-B", tmp_path / "b", f"-DCMAKE_PREFIX_PATH={prefix}")


def test_manual_pages(prefix: pathlib.Path) -> None:
    """They render without a complaint and name every option and function."""
    header = (prefix / "include/hakmem.h").read_text(encoding="utf-8")
    table = (ROOT / "src/base/options.inc").read_text(encoding="utf-8")
    functions = re.findall(r"^\w[\w *]*[ *](hakmem_\w+)\(", header, re.MULTILINE)
    variables = [option.variable for option in options_table.parse(table)]
    assert functions and variables
    for page, words in (("man3/hakmem.3", functions), ("man7/hakmem.7", variables)):
        path = prefix / "share/man" / page
        shown = run("groff", "-man", "-Tutf8", "-P-cbou", "-ww", path, LC_ALL="C.UTF-8")
        assert not shown.stderr
        assert not [word for word in words if word not in shown.stdout]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The Debian package."""
    folder = tmp_path_factory.mktemp("package")
    run("cpack", "-G", "DEB", "--config", BUILD / "CPackConfig.cmake", "-B", folder)
    found = list(folder.glob("hakmem_*.deb"))
    assert len(found) == 1
    return found[0]


def test_package(package: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """The package holds exactly the promised files and depends on the C library alone."""
    run("dpkg-deb", "--extract", package, tmp_path)
    assert files_below(tmp_path) == [f"usr/{name}" for name in expected_files()]
    fields = run("dpkg-deb", "--field", package, "Package", "Version", "Architecture", "Depends")
    assert fields.stdout.splitlines() == [
        "Package: hakmem",
        f"Version: {VERSION}",
        "Architecture: amd64",
        "Depends: libc6 (>= 2.34)",
    ]


def test_packaged_library_works(package: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Stripped as it is, the packaged library serves a program."""
    run("dpkg-deb", "--extract", package, tmp_path)
    run(CC, "-O2", CONSUMER / "unaware.c", "-o", tmp_path / "program")
    serves_unaware(tmp_path / "program", LD_PRELOAD=str(tmp_path / "usr/lib/libhakmem.so"))
