"""The structure rules hold here, and each of them can fail."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

import engine
import rules  # noqa: F401  registers the rules

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BAD = HERE / "bad"
BUILD = os.environ.get("HAKMEM_BUILD")
FIXTURES = sorted(path.name for path in BAD.iterdir())


@pytest.fixture(scope="session")
def repository() -> engine.Tree:
    """This repository, with the build that the environment names."""
    return engine.Tree(ROOT, pathlib.Path(BUILD) if BUILD else None)


@pytest.mark.parametrize("name", sorted(engine.RULES.keys() - {"allow_list"}))
def test_repository_keeps(repository: engine.Tree, name: str) -> None:
    """The rule finds nothing here that is not on the allow-list."""
    findings = engine.run(repository, [name])
    assert not findings, "\n" + "\n".join(map(str, findings))


def test_repository_keeps_allow_list(repository: engine.Tree) -> None:
    """Whether an exception is needed is known only after all rules have run."""
    findings = [f for f in engine.run(repository) if f.rule == "allow_list"]
    assert not findings, "\n" + "\n".join(map(str, findings))


def test_every_rule_has_a_bad_fixture() -> None:
    """A rule that no fixture breaks could be one that cannot fail; the other way round, a fixture
    without a rule checks nothing."""
    assert FIXTURES == sorted(engine.RULES)


def build_of(fixture: pathlib.Path, folder: pathlib.Path) -> pathlib.Path | None:
    """Compiles library.c of a fixture, where there is one."""
    source = fixture / "library.c"
    if not source.exists():
        return None
    (folder / "lib").mkdir()
    library = folder / "lib" / "libhakmem.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-fno-builtin", "-nostdlib", "-o", library, source], check=True
    )
    return folder


@pytest.mark.parametrize("name", FIXTURES)
def test_bad_fixture_fails(name: str, tmp_path: pathlib.Path) -> None:
    """The rule finds exactly what expected.txt says: no less, and nothing that is in order."""
    fixture = BAD / name
    tree = engine.Tree(fixture / "tree", build_of(fixture, tmp_path))
    wanted = None if name == "allow_list" else [name]
    found = [str(f).removesuffix(f" [{name}]") for f in engine.run(tree, wanted)]
    expected = (fixture / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert found == expected
