"""The documentation as a reader's browser shows it, and a checker that is known to find faults.

HAKMEM_BUILD names the build folder. Its docs/html is what test_pages.py has built; this test builds
nothing.
"""

import browser
import hakmem_results as results
import pytest

from conftest import BUILD, ROOT

HTML = BUILD / "docs" / "html"


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    """One browser for all tests."""
    with browser.chromium(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pages(window):
    """What the browser saw of every page."""
    assert (HTML / "index.html").exists(), (
        f"{HTML} has no pages: run ctest -R docs.pages in {BUILD} first, which builds them")
    return browser.look_at_all(window, HTML)


def sources():
    """The source of each written page, by the name of the page that it becomes."""
    docs = ROOT / "docs"
    return {path.relative_to(docs).with_suffix(".html").as_posix():
            path.read_text(encoding="utf-8") for path in sorted(docs.rglob("*.rst"))}


def found(pages, check):
    """The faults of all pages, each with the name of its page."""
    return [f"{name}: {fault}" for name, page in pages.items() for fault in check(page)]


# ---- the pages of this repository ---------------------------------------------------------------


def test_every_written_page_was_looked_at(pages):
    assert set(sources()) - set(pages) == set()
    assert len(sources()) > 50


def test_no_page_has_an_error_in_its_console(pages):
    assert found(pages, browser.console_faults) == []


def test_every_link_leads_to_a_page_and_a_place(pages):
    assert found(pages, lambda page: browser.link_faults(page, pages, HTML)) == []


def test_every_image_is_shown(pages):
    assert found(pages, browser.image_faults) == []


def test_every_promised_table_and_figure_is_shown(pages):
    promised = {name: browser.promises(text) for name, text in sources().items()}
    # Were nothing promised, nothing could be missing.
    kinds = set().union(*promised.values())
    assert kinds == set(browser.PROMISED)
    assert found(pages, lambda page: browser.table_faults(page, promised.get(page.name, {}))) == []


def test_every_page_can_be_read_on_a_phone(pages):
    assert found(pages, browser.size_faults) == []


def phase_pages(pages):
    """The records of phases, without the index and the stories around them."""
    shown = {name: page for name, page in pages.items() if name.startswith("phases/phase_")}
    assert len(shown) >= 5
    return shown


def test_phase_pages_name_the_commit_and_the_processor(pages):
    run = results.load(ROOT)
    assert run.files, "no run is recorded below bench/results"
    for name, page in phase_pages(pages).items():
        words = " ".join(page.content["words"].split())
        assert any(f"at commit {about['commit']}" in words and about["processor"] in words
                   for about in (data["context"] for data in run.files.values())), name


def test_phase_pages_show_figures_of_the_recorded_run(pages):
    without = [name for name, page in phase_pages(pages).items() if not page.content["figures"]]
    assert without == [], "take a run that has the libraries of these phases: make bench-docs"


# Between them they have everything that pages are made of.
COLOURED = ("index", "benchmarks", "phases/phase_15", "options", "misuse", "boxes/index",
            "boxes/back/slab", "boxes/abi/hakmem", "source/src/back/slab.cpp")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_words_stand_out_in_light_and_dark_colours(window, scheme):
    with browser.served(HTML) as (base, _):
        faults = {name: browser.colour_faults(window, f"{base}{name}.html", scheme)
                  for name in COLOURED}
    assert {name: fault for name, fault in faults.items() if fault} == {}


# ---- the checker itself -------------------------------------------------------------------------

PAGE = """\
<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>A page</title>
<meta name="viewport" content="width=device-width">{head}</head>
<body style="font-size: 16px"><article><h1 id="top">A page</h1><p>Words.</p>
<table class="docutils bench-table"><tr><td>16 B</td></tr></table>
{body}</article></body></html>
"""
TABLE = '<table class="docutils bench-table">{}</table>'
GOOD = """\
<p><a href="#top">top</a> <a href="image.html#top">there</a> <a href="note.txt">a file</a>
<a href="https://example.org/nowhere">elsewhere</a></p>
<img alt="" src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>">
<div style="overflow-x: auto"><pre style="width: 900px">code</pre></div>
"""
# What each page has wrong, and what must be said of it.
BAD = {
    "console": ("<script>console.error('no room')</script>", "no room"),
    "exception": ("<script>nothing.there()</script>", "nothing is not defined"),
    "rejection": ("<script>Promise.reject(new Error('late'))</script>", "late"),
    "script": ('<script src="gone.js"></script>', "not there: /gone.js (404)"),
    "style": ('<link rel="stylesheet" href="gone.css">', "not there: /gone.css (404)"),
    "foreign": ('<script src="https://example.org/x.js"></script>', "ERR_NAME_NOT_RESOLVED"),
    "image": ('<img alt="" src="gone.png">', "not shown: "),
    "no-image": ('<img alt="" src="note.txt">', "not shown: "),
    "link": ('<a href="gone.html">x</a>', "no page gone.html"),
    "place": ('<a href="good.html#gone">x</a>', "no place good.html#gone"),
    "place-here": ('<a href="#gone">x</a>', "no place place-here.html#gone"),
    "wide": ('<p style="width: 500px">wide</p>', "pixels wide on a phone"),
    "wide-desk": ('<p style="width: 1400px">wide</p>', "pixels wide on a desk"),
    "cut-off": ('<div style="overflow-x: hidden"><p style="width: 500px">x</p></div>',
                "wider than a phone: p"),
    "small-text": ('<p style="font-size: 12px">small print</p>', "12.0 pixels high: small print"),
    "small-note": ('<p><small style="font-size: 8px">tiny</small></p>', "8.0 pixels high: tiny"),
    "small-drawing": ('<svg width="50" height="50" viewBox="0 0 100 100"><text y="50" '
                      'font-size="12">shrunk</text></svg>', "6.0 pixels high: shrunk"),
    "no-table": ("", "1 of 2 bench-table"),
    "no-row": (TABLE.format("<thead><tr><th>Head</th></tr></thead>"), "1 of 2 bench-table"),
    "no-words": (TABLE.format("<tr><td></td></tr>"), "shown empty or not at all: table"),
    "hidden": (f'<div style="display: none">{TABLE.format("<tr><td>x</td></tr>")}</div>',
               "1 of 2 bench-table"),
    "no-figure": ('<figure class="picture plot"><svg width="9" height="9"></svg></figure>',
                  "0 of 1 bench-plot"),
}
PROMISES = {"no-table": {"bench-table": 2}, "no-row": {"bench-table": 2},
            "hidden": {"bench-table": 2}, "no-figure": {"bench-plot": 1}}


@pytest.fixture(scope="module")
def small(window, tmp_path_factory):
    """A folder of one good page and many bad ones, and what is found in each."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "note.txt").write_text("A file.\n", encoding="utf-8")
    for name, (body, _) in {"good": (GOOD, ""), **BAD}.items():
        (folder / f"{name}.html").write_text(PAGE.format(head="", body=body), encoding="utf-8")
    (folder / "no-viewport.html").write_text(
        PAGE.format(head="", body="").replace("width=device-width", ""), encoding="utf-8")
    pages = browser.look_at_all(window, folder)

    def faults(name):
        page = pages[f"{name}.html"]
        return [*browser.console_faults(page), *browser.link_faults(page, pages, folder),
                *browser.image_faults(page), *browser.size_faults(page),
                *browser.table_faults(page, PROMISES.get(name, {"bench-table": 1}))]
    return faults


def test_a_good_page_has_no_fault(small):
    assert small("good") == []


@pytest.mark.parametrize("name", BAD)
def test_a_bad_page_is_found(small, name):
    faults = small(name)
    assert any(BAD[name][1] in fault for fault in faults), faults


def test_a_page_that_phones_show_shrunk_is_found(small):
    assert any("wide on a phone" in fault for fault in small("no-viewport"))


@pytest.mark.parametrize(("style", "fault"), [
    ("color: #999", "contrast 2.8, light: p: Pale."),
    ("background: #111; color: #555", "contrast 2.5, light: p: Pale."),
    ("color: rgb(0 0 0 / 0.4)", "contrast 2.8, light: p: Pale."),
])
def test_pale_words_are_found(window, tmp_path, style, fault):
    body = f'<p style="{style}">Pale.</p>'
    (tmp_path / "pale.html").write_text(PAGE.format(head="", body=body), encoding="utf-8")
    with browser.served(tmp_path) as (base, _):
        assert browser.colour_faults(window, f"{base}pale.html", "light") == [fault]


def test_a_page_that_stays_light_is_found(window, tmp_path):
    (tmp_path / "light.html").write_text(PAGE.format(head="", body=""), encoding="utf-8")
    with browser.served(tmp_path) as (base, _):
        assert browser.colour_faults(window, f"{base}light.html", "light") == []
        assert browser.colour_faults(window, f"{base}light.html", "dark") == [
            "not dark where the system is"]


def test_directives_of_examples_promise_nothing():
    text = """\
Title
=====

.. code-block:: rst

   .. bench-table:: shown as text

      .. list-table::

.. bench-table:: one
   :cases: 16

As text::

   .. list-table::

.. list-table::

   * - cell

     .. bench-plot:: two
.. unknown:: three
"""
    assert browser.promises(text) == {"bench-table": 1, "list-table": 1, "bench-plot": 1}


def test_a_missing_browser_is_an_error_that_names_the_package(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(browser.BrowserError, match="package chromium"), \
            browser.chromium(tmp_path):
        pass
