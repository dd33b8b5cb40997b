"""The modules that build the documentation, each on small inputs, and each where it must refuse."""

import html
import json
import re
import subprocess
import sys

import build
import hakmem_docs
import hakmem_sources as sources
import options_table
import pytest

from conftest import HEADER, ROOT


def text_of(page: str) -> str:
    """The visible words of a page."""
    body = re.sub(r"<(script|style).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


# ---- hakmem_sources -----------------------------------------------------------------------------


def test_layers_are_read_from_top_to_bottom(tree):
    assert sources.layers(tree) == ["abi", "back", "base"]


def test_a_contract_is_taken_apart(tree):
    box = sources.read_box(tree / "src/back/shelf.hpp")
    assert (box.full_name, box.summary) == ("back/shelf", "where counted things stand")
    assert (box.owns, box.calls, box.threads) == ("the things", ["base/count"], "any")
    assert [(i.name, i.text) for i in box.invariants] == [
        ("I1", "there are never more things than places"), ("I2", "no place is used twice")]
    assert (box.failure, box.cost) == ("says so", "little; bench: shelf")
    assert box.phase == "introduced in 16"
    assert box.essay[0].startswith("An essay about") and box.essay[-1] == "2. two"


def test_none_and_a_dash_mean_nothing(tree):
    box = sources.read_box(tree / "src/base/count.hpp")
    assert box.calls == [] and box.invariants == []


def test_tags_inside_a_drawing_belong_to_the_essay(tree):
    path = tree / "src/base/count.hpp"
    drawing = " * ```\n * @owns a label in a drawing\n * ```\n"
    path.write_text(path.read_text().replace(" * Nothing to see.\n", drawing))
    box = sources.read_box(path)
    assert box.owns == "nothing" and "@owns a label in a drawing" in box.essay


def test_a_header_without_a_box_is_none(tree):
    path = tree / "src/back/plain.hpp"
    path.write_text("/** @file plain.hpp */\n")
    assert sources.read_box(path) is None


@pytest.mark.parametrize(("wrong", "right", "message"), [
    ("@box rack — where", "@box shelf — where", "the file is shelf"),
    ("@box shelf where", "@box shelf — where", "one line"),
    ("@invariant 2 no", "@invariant I2 no", "@invariant I<n>"),
])
def test_a_malformed_contract_is_refused(tree, wrong, right, message):
    path = tree / "src/back/shelf.hpp"
    path.write_text(HEADER.replace(right, wrong))
    with pytest.raises(sources.SourceError, match=re.escape(message)):
        sources.read_box(path)


def test_comments_without_stars_are_read_too():
    assert sources.comment_lines("* a\n   b\n     c\n   ")[1:3] == ["b", "  c"]


def test_users_are_boxes_and_plain_sources(tree):
    boxes, plain = sources.boxes(tree), sources.plain_sources(tree)
    assert sources.callers(boxes, plain, "back/shelf") == ["abi/door"]
    assert sources.callers(boxes, plain, "base/count") == ["back/shelf"]


def test_regions_are_found(tree):
    path = tree / "src/back/shelf.hpp"
    first, last = sources.regions(path)["put"]
    lines = path.read_text().splitlines()
    assert (lines[first - 1], lines[last - 1]) == ("// [put]", "// [/put]")


@pytest.mark.parametrize(("text", "message"), [
    ("// [a]\n", "never closed"),
    ("// [/a]\n", "closes nothing"),
    ("// [a]\n// [b]\n// [/b]\n// [/a]\n", "opens inside"),
    ("// [a]\n// [/a]\n// [a]\n// [/a]\n", "twice"),
])
def test_broken_regions_are_refused(tree, text, message):
    path = tree / "src/back/broken.cpp"
    path.write_text(text)
    with pytest.raises(sources.SourceError, match=message):
        sources.regions(path)


def test_checks_of_invariants_are_found(tree):
    box = sources.read_box(tree / "src/back/shelf.hpp")
    checks = sources.invariant_checks(tree, box)
    assert [(c.label, c.path) for c in checks["I1"]] == [
        ("validate()", "src/back/shelf.cpp"),
        ("Shelf.NeverHoldsMoreThanItHasPlaces", "tests/back/shelf_test.cpp")]
    assert [c.label for c in checks["I2"]] == ["Shelf.I2NoPlaceTwice"]


def test_a_box_without_unit_tests_has_a_program_of_its_name_for_a_test(tree):
    box = sources.read_box(tree / "src/base/count.hpp")
    assert sources.test_of(tree, box) is None
    folder = tree / "tests/base"
    folder.mkdir()
    for name in ("count.cpp", "count_test.cpp"):  # the latter comes first once it is there
        (folder / name).write_text("int main() {}\n")
        assert sources.test_of(tree, box) == folder / name


# ---- options_table ------------------------------------------------------------------------------

OPTION = 'HAKMEM_OPTION(decay, TIME, 500, 0, 1000, "ms", "16", "How long it waits.")\n'


def test_an_option_is_read_and_rendered():
    (option,) = options_table.parse("// a comment,\n" + OPTION)
    assert (option.variable, option.default, option.maximum) == ("HAKMEM_DECAY", 500, 1000)
    rendered = options_table.render([option])
    assert ".. envvar:: HAKMEM_DECAY" in rendered and "How long it waits." in rendered
    assert ":Default: ``500``" in rendered and "0 to 1000, in milliseconds" in rendered


def test_an_option_may_be_broken_over_lines():
    broken = OPTION.replace(', "16"', ',\n              "16"')
    assert options_table.parse(broken) == options_table.parse(OPTION)


@pytest.mark.parametrize(("kind", "unit", "value", "text"), [
    ("BYTES", "bytes", 131072, "128KiB"), ("BYTES", "bytes", 0, "0"),
    ("BYTES", "bytes", 1000, "1000"), ("CHOICE", "libc|abort|ignore", 1, "abort"),
    ("SIGNAL", "signal", 0, "0"), ("BOOL", "", 1, "1"), ("COUNT", "blocks", 1024, "1024"),
])
def test_values_are_written_as_they_are_read(kind, unit, value, text):
    option = options_table.Option("x", kind, value, 0, 2**40, unit, "all", "It is.")
    assert option.text(value) == text


@pytest.mark.parametrize(("wrong", "message"), [
    ("HAKMEM_OPTION(a, TIME)\n", "not an option"),
    (OPTION.replace("TIME", "DATE"), "unknown type"),
    (OPTION.replace("500", "5000"), "out of range"),
    (OPTION.replace("waits.", "waits"), "no end"),
    (OPTION + OPTION, "twice"),
    (OPTION.replace("TIME, 500, 0, 1000, \"ms\"", "CHOICE, 0, 0, 2, \"a|b\""), "2 words for 3"),
    ("// nothing\n", "empty"),
])
def test_a_malformed_option_is_refused(wrong, message):
    with pytest.raises(options_table.OptionsError, match=message):
        options_table.parse(wrong)


def test_a_stale_page_is_found_and_mended(tmp_path):
    source, page = tmp_path / "options.inc", tmp_path / "options.rst"
    source.write_text(OPTION)
    page.write_text(f"Options\n\n{options_table.BEGIN}\nold\n{options_table.END}\n\ntail\n")
    arguments = ["--source", str(source), "--page", str(page)]
    assert options_table.main(["--check", *arguments]) == 1
    assert options_table.main(["--write", *arguments]) == 0
    assert options_table.main(["--check", *arguments]) == 0
    text = page.read_text()
    assert "old" not in text and "HAKMEM_DECAY" in text and text.endswith("tail\n")
    source.write_text(OPTION.replace("500", "600"))
    assert options_table.main(["--check", *arguments]) == 1


def test_a_page_without_its_marks_is_refused():
    with pytest.raises(options_table.OptionsError, match="comment lines"):
        options_table.page_with("Options\n", "")


# ---- the Sphinx extension -----------------------------------------------------------------------


def test_contract_essay_and_neighbours_are_rendered(small_docs):
    page, warnings = small_docs.build("""\
        .. box-essay:: back/shelf
        .. box-contract:: back/shelf
        .. box-neighbours:: back/shelf
        """)
    text = text_of(page)
    assert not warnings
    assert "Where counted things stand." in text
    assert "first point, continued" in text and "<li><p>two</p></li>" in page
    assert "shelf  | a | b | c |" in html.unescape(re.sub(r"<[^>]+>", "", page))
    assert "<strong>strong</strong>" in page and "<em>soft</em>" in page
    assert "I1 there are never more things than places" in text
    assert 'href="../base/count.html"' in page and 'href="../abi/door.html"' in page
    assert 'href="../../source/src/back/shelf.hpp.html"' in page


def test_invariants_lead_to_their_checks(small_docs):
    page, warnings = small_docs.build(".. box-invariants:: back/shelf\n")
    assert not warnings
    assert "Shelf.I2NoPlaceTwice" in page
    assert re.search(r'href="[./]*source/tests/back/shelf_test.cpp.html#L-5"', page)
    shown = (small_docs.out / "source/tests/back/shelf_test.cpp.html").read_text()
    assert 'id="L-5"' in shown or 'name="L-5"' in shown


def test_the_test_of_a_box_is_named_whichever_kind_it_is(small_docs):
    unit = small_docs.tree / "tests/back/shelf_test.cpp"
    unit.rename(unit.with_name("shelf.cpp"))
    page, warnings = small_docs.build(".. box-invariants:: back/shelf\n")
    assert not warnings
    assert "All of its tests: tests/back/shelf.cpp" in text_of(page)
    assert re.search(r'href="[./]*source/tests/back/shelf.cpp.html"', page)
    unit.with_name("shelf.cpp").unlink()
    assert "Its own test is not written yet." in text_of(
        small_docs.build(".. box-invariants:: back/shelf\n")[0])


def test_a_region_shows_exactly_the_code_between_its_marks(small_docs):
    page, warnings = small_docs.build(".. region:: src/back/shelf.hpp put\n   :caption: Put\n")
    text = text_of(page)
    assert not warnings
    assert "bool put(int thing);" in html.unescape(re.sub(r"<[^>]+>", "", page))
    assert "Puts two things down" not in text and "[put]" not in text and "[/put]" not in text


def test_symbols_are_rendered_in_the_order_of_the_source(small_docs):
    small_docs.doxygen()
    page, warnings = small_docs.build(".. box-api:: back/shelf\n")
    text = text_of(page)
    assert not warnings
    order = [text.index("A shelf."), text.index("Puts a thing"), text.index("Puts two things")]
    assert order == sorted(order)


def test_doxygen_refuses_a_parameter_without_words(small_docs):
    path = small_docs.tree / "src/back/shelf.hpp"
    path.write_text(HEADER.replace(" * @param other The other.\n", ""))
    with pytest.raises(subprocess.CalledProcessError):
        small_docs.doxygen()


def test_doxygen_refuses_a_symbol_without_words(small_docs):
    path = small_docs.tree / "src/back/shelf.hpp"
    path.write_text(HEADER.replace("/** A shelf. */\n", ""))
    with pytest.raises(subprocess.CalledProcessError):
        small_docs.doxygen()


def test_a_picture_takes_the_colours_of_the_page(small_docs):
    page, warnings = small_docs.build(".. picture:: square.svg\n   :alt: A red square\n\n   Red.\n")
    assert not warnings
    assert 'aria-label="A red square"' in page and 'class="s-panel"' in page
    assert "fill: red" not in page and "the square" not in page and "<figcaption>" in page


def test_a_program_that_was_not_run_says_so(small_docs):
    page, _ = small_docs.build(".. conformance::\n")
    assert "Not run." in text_of(page)


def test_results_of_the_conformance_program_are_rendered(small_docs):
    generated = small_docs.tree / "generated"
    generated.mkdir()
    verdicts = [{"held": True, "statement": "it holds"}, {"held": False, "statement": "it fails"}]
    (generated / "conformance.json").write_text(
        json.dumps({"rows": 2, "failed": 1, "table": verdicts}))
    page, warnings = small_docs.build(".. conformance::\n")
    assert not warnings
    assert "1 of 2 rows hold." in text_of(page) and "Not run" not in text_of(page)


def test_size_classes_are_rendered(small_docs):
    generated = small_docs.tree / "generated"
    generated.mkdir()
    common = {"slab_units": 1, "unit_bytes": 65536, "blocks": 1, "slab_slack": 64}
    rows = [{"class": 1, "block_bytes": 16, **common}, {"class": 2, "block_bytes": 24, **common}]
    (generated / "size_classes.json").write_text(json.dumps(rows))
    page, warnings = small_docs.build(".. size-classes::\n")
    text = text_of(page)
    assert not warnings
    assert "17–24" in text and f"{100 * 7 / 24:.1f} %" in text


@pytest.mark.parametrize(("page", "message"), [
    (".. box-contract:: back/none\n", "there is no box back/none"),
    (":box:`back/none`\n", "there is no box back/none"),
    (":src:`src/none.cpp`\n", "there is no file src/none.cpp"),
    (":src:`src/back/shelf.hpp#none`\n", "no region [none]"),
    (".. region:: src/back/shelf.hpp none\n", "no region [none]"),
    (".. region:: src/back/none.hpp put\n", "No such file"),
    (".. picture:: none.svg\n   :alt: x\n", "there is no drawing none.svg"),
    (".. picture:: square.svg\n", "needs :alt:"),
    (".. box-index:: roof\n", "no layer roof"),
    (".. size-classes::\n", "was not generated"),
    (".. tidy-rules::\n", "was not generated"),
    (".. decision::\n   :status: accepted\n", "needs :outcome:"),
])
def test_what_does_not_exist_is_a_warning(small_docs, page, message):
    _, warnings = small_docs.build(page)
    assert message in warnings


# ---- build.py -----------------------------------------------------------------------------------


def test_a_missing_tool_is_named_and_ends_the_build(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(build, "PROGRAMS", {"no-such-doxygen": "doxygen"})
    assert build.main(["--out", str(tmp_path)]) == 1
    assert "missing packages: doxygen" in capsys.readouterr().err


def test_a_stale_options_page_ends_the_build(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(options_table, "is_fresh", lambda: False)
    assert build.main(["--out", str(tmp_path)]) == 1
    assert "--write" in capsys.readouterr().err


def test_an_inlined_picture_is_still_an_svg():
    for path in sorted((ROOT / "docs" / "_static").glob("*.svg")):
        text = hakmem_docs.inlined_svg(path.read_text(encoding="utf-8"), "words")
        assert text.startswith("<svg role=") and "<style" not in text and "<title" not in text


def test_the_driver_prints_its_help():
    done = subprocess.run([sys.executable, str(ROOT / "docs" / "build.py"), "--help"],
                          capture_output=True, text=True, check=True)
    assert "--out" in done.stdout
