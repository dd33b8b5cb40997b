"""What the runner of the models notices, on a model of its own."""

from __future__ import annotations

import pathlib

import models
import pytest

CODE = """
namespace hakmem {
// Says why.
int Box::twice(int x) {
    return x + x;  // not x * 2
}
int once(int x) { return x; }
}
"""

MODEL = """
/*
 *   P1  the sum stays below two
 *
 * mirrors src/box.cpp twice SUM
 * run one -DSTEPS=1
 * mutant TWICE one P1: the step is taken twice
 */
byte sum;
active proctype step() {
    sum = sum + STEPS;
#ifdef TWICE
    sum = sum + STEPS;
#endif
    assert(sum < 2)  /* P1 */
}
"""


def write(folder: pathlib.Path, code: str = CODE, model: str = MODEL) -> pathlib.Path:
    """A tree with one source and a model that mirrors it."""
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src" / "box.cpp").write_text(code, encoding="utf-8")
    path = folder / "box.pml"
    path.write_text(model.replace("SUM", models.sum_of(CODE, "twice")), encoding="utf-8")
    return path


def test_a_model_that_holds(tmp_path: pathlib.Path) -> None:
    """The runs hold, the mutant breaks what it must, the code is the code that was modelled."""
    model = models.read(write(tmp_path))
    assert not models.check(model, tmp_path / "build", "cc")
    assert not models.check_mutants(model, tmp_path / "build", "cc")
    assert not models.check_mirrors(model, tmp_path)


def test_a_broken_property_is_found(tmp_path: pathlib.Path) -> None:
    """With its name and a trace."""
    model = models.read(write(tmp_path, model=MODEL.replace("STEPS=1", "STEPS=2")))
    (problem,) = models.check(model, tmp_path / "build", "cc")
    assert "one breaks P1" in problem


def test_a_deadlock_is_found(tmp_path: pathlib.Path) -> None:
    """A process that waits for ever is an error too."""
    stuck = MODEL.replace("sum = sum + STEPS;\n#", "sum = sum + STEPS;\n    sum == 7;\n#")
    model = models.read(write(tmp_path, model=stuck))
    assert "deadlock" in models.check(model, tmp_path / "build", "cc")[0]


def test_a_step_that_nobody_takes_is_found(tmp_path: pathlib.Path) -> None:
    """It would be a part of the code that was modelled and never explored."""
    branch = "    if\n    :: sum == 5 -> sum = 0\n    :: else\n    fi;\n"
    idle = MODEL.replace("    assert(", f"{branch}    assert(")
    model = models.read(write(tmp_path, model=idle))
    assert "no run reaches sum = 0" in models.check(model, tmp_path / "build", "cc")[0]


def test_a_mutant_that_survives_is_found(tmp_path: pathlib.Path) -> None:
    """The property was not able to fail."""
    model = models.read(write(tmp_path, model=MODEL.replace("sum < 2", "sum < 9")))
    (problem,) = models.check_mutants(model, tmp_path / "build", "cc")
    assert "breaks nothing; it must break P1" in problem


def test_code_that_changed_is_found(tmp_path: pathlib.Path) -> None:
    """The message says what to do; update() does it."""
    path = write(tmp_path, code=CODE.replace("x + x", "x - x"))
    (problem,) = models.check_mirrors(models.read(path), tmp_path)
    assert "twice in src/box.cpp is not the code that was modelled" in problem
    models.update(models.read(path), tmp_path)
    assert not models.check_mirrors(models.read(path), tmp_path)


@pytest.mark.parametrize(
    "code",
    [
        CODE.replace("// Says why.", ""),
        CODE.replace("not x * 2", "still not"),
        CODE.replace("x + x", "x\n        +  x"),
        CODE.replace("return x;", "return -x;"),
    ],
    ids=["comment above", "comment inside", "layout", "another function"],
)
def test_what_is_no_change(tmp_path: pathlib.Path, code: str) -> None:
    """Comments and layout may change, and so may the neighbours."""
    assert not models.check_mirrors(models.read(write(tmp_path, code=code)), tmp_path)


def test_a_function_that_is_gone_is_found(tmp_path: pathlib.Path) -> None:
    """So is a file that is gone."""
    model = models.read(write(tmp_path, code=CODE.replace("twice", "thrice")))
    assert "0 functions are called twice" in models.check_mirrors(model, tmp_path)[0]
    (tmp_path / "src" / "box.cpp").unlink()
    assert "No such file" in models.check_mirrors(model, tmp_path)[0]


@pytest.mark.parametrize(
    "model",
    [
        MODEL.replace("#ifdef TWICE", "#ifdef THRICE"),
        MODEL.replace(" * mutant TWICE one P1: the step is taken twice\n", ""),
        MODEL.replace("mutant TWICE one P1:", "mutant TWICE one P2:"),
        MODEL.replace("mutant TWICE one P1:", "mutant TWICE one"),
        MODEL.replace(" * run one", " * once one"),
    ],
    ids=["misspelt", "no mutant", "no such property", "no property", "no run"],
)
def test_a_head_that_does_not_fit_is_found(tmp_path: pathlib.Path, model: str) -> None:
    """A mutant that is never planted would pass for one that was."""
    with pytest.raises(models.Broken):
        models.read(write(tmp_path, model=model))
