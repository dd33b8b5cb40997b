"""The documentation as readers get it: built, complete, and without a link into the void.

HAKMEM_BUILD names the build folder; the pages are built into its docs/.
"""

import collections
import html.parser
import os
import pathlib
import re
import subprocess
import sys
import urllib.parse
import xml.etree.ElementTree as ElementTree

import hakmem_sources as sources
import options_table
import pytest

from conftest import BUILD, ROOT

STATIC = ROOT / "docs" / "_static"


@pytest.fixture(scope="module")
def site():
    """Builds everything once, as `make docs` does."""
    out = BUILD / "docs"
    command = [sys.executable, str(ROOT / "docs" / "build.py"), "--out", str(out),
               "--build", str(BUILD)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr
    return out


class Page(html.parser.HTMLParser):
    """What a page links to, what can be linked to in it, what it shows."""

    def __init__(self, path: pathlib.Path) -> None:
        super().__init__()
        self.path = path
        self.links: list[str] = []
        self.images: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.words: list[str] = []
        self.headings = 0
        self._silent: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.anchors.update(given[key] for key in ("id", "name") if given.get(key))
        if tag == "a" and given.get("href"):
            self.links.append(given["href"])
        if tag == "img":
            self.images.append(given["src"])
            assert given.get("alt"), f"{self.path}: a picture without words: {given['src']}"
        elsewhere = given.get("rel") in ("search", "index", "next", "prev")
        if tag in ("link", "script") and not elsewhere:
            self.loaded += [given[key] for key in ("href", "src") if given.get(key)]
        if tag == "h1":
            self.headings += 1
        declares = tag == "dt" and "sig" in (given.get("class") or "").split()
        if declares or tag in ("script", "style", "code", "pre", "svg"):
            self._silent.append(tag)

    def handle_endtag(self, tag):
        if self._silent and self._silent[-1] == tag:
            self._silent.pop()

    def handle_data(self, data):
        if not self._silent:
            self.words.append(data)


@pytest.fixture(scope="module")
def pages(site):
    """All pages, parsed, by their path below html/."""
    root = site / "html"
    found = {path.relative_to(root).as_posix(): Page(path) for path in root.rglob("*.html")}
    return {name: page for name, page in found.items() if not name.startswith("_static/")}


def own(pages):
    """The pages that are written, without those that show a source file and those of the search."""
    made = ("source/", "search.html", "genindex.html")
    return {name: page for name, page in pages.items() if not name.startswith(made)}


def test_every_internal_link_leads_somewhere(pages):
    broken = []
    for name, page in pages.items():
        for link in page.links + page.images + page.loaded:
            target = urllib.parse.urlsplit(link)
            if target.scheme or target.netloc:
                continue
            path = urllib.parse.unquote(target.path)
            file = (page.path.parent / path).resolve() if path else page.path
            if not file.exists():
                broken.append(f"{name}: {link}")
            elif target.fragment and file.suffix == ".html":
                other = next((p for p in pages.values() if p.path == file), None)
                if other and urllib.parse.unquote(target.fragment) not in other.anchors:
                    broken.append(f"{name}: {link} (no such place)")
    assert broken == []


def test_pages_load_nothing_from_elsewhere(pages):
    foreign = [f"{name}: {link}" for name, page in pages.items()
               for link in page.loaded + page.images if urllib.parse.urlsplit(link).netloc]
    assert foreign == []


def test_scripts_are_ones_that_a_page_from_disk_may_run(site):
    for path in (site / "html" / "_static").rglob("*.js"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^(import|export)\b", text, re.MULTILINE), path.name


def test_no_markup_is_left_in_the_text(pages):
    left = re.compile(r"``|\*\*|:(?:box|src|doc|cpp:func|envvar):|\.\. \w|@(?:param|return|p|c) ")
    found = [f"{name}: {match.group()}" for name, page in own(pages).items()
             if (match := left.search("".join(page.words)))]
    assert found == []


def test_every_page_has_one_title(pages):
    assert {name: page.headings for name, page in own(pages).items() if page.headings != 1} == {}


def test_every_page_can_be_reached_from_the_first(pages):
    reached, waiting = set(), ["index.html"]
    while waiting:
        name = waiting.pop()
        if name in reached:
            continue
        reached.add(name)
        page = pages[name]
        for link in page.links:
            path = urllib.parse.urlsplit(link).path
            if not path or urllib.parse.urlsplit(link).netloc:
                continue
            file = (page.path.parent / path).resolve()
            root = pages["index.html"].path.parent
            if file.suffix == ".html" and file.is_relative_to(root):
                waiting.append(file.relative_to(root).as_posix())
    assert set(own(pages)) - reached == set()


# ---- symbols ------------------------------------------------------------------------------------


def documented_symbols(site):
    """Every public symbol that Doxygen found: its id and its name."""
    symbols, private = {}, set()
    definitions = []
    for path in (site / "doxygen" / "xml").glob("*.xml"):
        if path.name not in ("index.xml", "Doxyfile.xml"):
            definitions += ElementTree.parse(path).getroot().findall("compounddef")
    for definition in definitions:
        inner = definition.findall("innerclass")
        private.update(other.get("refid") for other in inner if other.get("prot") == "private")
    for definition in definitions:
        if definition.get("id") not in private:
            if definition.get("kind") in ("struct", "class", "union"):
                symbols[definition.get("id")] = definition.findtext("compoundname")
            for member in definition.iter("memberdef"):
                if member.get("prot") != "private" and member.get("kind") != "friend":
                    symbols[member.get("id")] = member.findtext("name")
    return symbols


def test_every_symbol_stands_on_exactly_one_page(site, pages):
    places = collections.defaultdict(list)
    for name, page in pages.items():
        for anchor in page.anchors:
            places[anchor].append(name)
    symbols = documented_symbols(site)
    assert len(symbols) > 200
    wrong = {f"{text} ({symbol})": places[symbol] for symbol, text in symbols.items()
             if len(places[symbol]) != 1}
    assert wrong == {}


def test_every_function_of_the_header_is_on_its_page(pages):
    text = (ROOT / "src/abi/hakmem.h").read_text(encoding="utf-8")
    functions = set(re.findall(r"^[\w* ]+?\b(hakmem_\w+)\(", text, re.MULTILINE))
    assert len(functions) > 15
    shown = "".join((ROOT / "docs/boxes/abi/hakmem.rst").read_text(encoding="utf-8"))
    assert "header-api:: abi/hakmem.h" in shown
    body = pages["boxes/abi/hakmem.html"].path.read_text(encoding="utf-8")
    assert [name for name in functions if f">{name}<" not in body] == []


def test_names_that_may_stay_unlinked_all_need_it(site, tmp_path):
    conf = f"""
__file__ = {str(ROOT / "docs" / "conf.py")!r}
exec(compile(open(__file__).read(), __file__, "exec"))
nitpick_ignore = []
"""
    (tmp_path / "conf.py").write_text(conf, encoding="utf-8")
    environment = dict(os.environ, HAKMEM_DOCS_OUT=str(site), PYTHONDONTWRITEBYTECODE="1")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-b", "dummy", "-E", "-n", "-q", "-c", str(tmp_path),
         str(ROOT / "docs"), str(tmp_path / "out")],
        capture_output=True, text=True, check=False, env=environment)
    needed = set(re.findall(r"WARNING: (\S+) reference target not found: (.*)", done.stderr))
    text = (ROOT / "docs" / "unlinked_names.txt").read_text(encoding="utf-8")
    lines = [line.split("#")[0].split(maxsplit=1) for line in text.splitlines()]
    listed = {(role, name.strip()) for role, name in filter(None, lines)}
    assert listed == needed


# ---- boxes --------------------------------------------------------------------------------------


def test_every_box_has_a_page_with_every_part(pages):
    missing = []
    for name in sources.boxes(ROOT):
        phase = name.startswith("phases/")
        page = ROOT / "docs" / f"{name if phase else 'boxes/' + name}.rst"
        text = page.read_text(encoding="utf-8")
        for part in ("essay", "contract", "neighbours", "invariants", "api"):
            if f".. box-{part}:: {name}\n" not in text:
                missing.append(f"{page.name}: box-{part}")
        for part in (f".. bench:: {name}", "When not to use it\n---"):
            if part not in text:
                missing.append(f"{page.name}: {part}")
    assert missing == []


def test_regions_that_are_shown_and_marked_are_the_same():
    marked, shown = set(), set()
    for path in sorted((ROOT / "src").rglob("*.[hc]pp")):
        relative = path.relative_to(ROOT).as_posix()
        marked.update((relative, name) for name in sources.regions(path))
    for path in (ROOT / "docs").rglob("*.rst"):
        text = path.read_text(encoding="utf-8")
        shown.update(re.findall(r"^\.\. region:: (\S+) (.+)$", text, re.MULTILINE))
        shown.update(re.findall(r":src:`([^`#]+)#([^`]+)`", text))
    assert marked - shown == set(), "marked and shown nowhere"


# ---- generated parts ----------------------------------------------------------------------------


def test_the_options_page_equals_the_table(pages):
    assert options_table.is_fresh()
    options = options_table.parse(options_table.SOURCE.read_text(encoding="utf-8"))
    anchors = pages["options.html"].anchors
    assert {a for a in anchors if a.startswith("envvar-")} == {
        f"envvar-{option.variable}" for option in options}
    words = " ".join("".join(pages["options.html"].words).split())
    assert [option.name for option in options if option.sentence not in words] == []


def test_the_size_classes_are_the_compilers(site):
    text = (site / "html" / "size_classes.html").read_text(encoding="utf-8")
    header = (ROOT / "src/base/size_class.hpp").read_text(encoding="utf-8")
    count = int(re.search(r"class_count = (\d+)", header).group(1))
    assert text.count("<tr ") - 1 == count - 1


def test_messages_lead_to_a_section(pages):
    text = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "src").rglob("*.cpp"))
    kinds = set(re.findall(r"see docs: misuse#([a-z-]+)", text))
    assert len(kinds) >= 4
    assert kinds - pages["misuse.html"].anchors == set()


def test_records_of_phases_point_at_each_other():
    supersedes, superseded = set(), set()
    for path in (ROOT / "docs" / "phases").glob("phase_*.rst"):
        text = path.read_text(encoding="utf-8")
        assert text.count(".. decision::") == 1, path.name
        supersedes.update(
            (path.stem, old) for old in re.findall(r"^ +:supersedes: (\w+)$", text, re.MULTILINE))
        later = re.findall(r"^ +:superseded-by: (\w+)$", text, re.MULTILINE)
        superseded.update((new, path.stem) for new in later)
    assert supersedes == superseded


# ---- drawings -----------------------------------------------------------------------------------


def drawings():
    """All drawings, by name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted(STATIC.glob("*.svg"))}


def style_of(text):
    return re.search(r"<style>(.*?)</style>", text, re.DOTALL).group(1)


def test_drawings_are_well_formed_and_share_one_style():
    styles = set()
    for text in drawings().values():
        ElementTree.fromstring(text)
        styles.add(style_of(text))
    assert len(styles) == 1


def test_drawings_use_only_classes_that_both_styles_know():
    sheet = (STATIC / "hakmem.css").read_text(encoding="utf-8")
    for name, text in drawings().items():
        used = set(" ".join(re.findall(r'class="([^"]+)"', text)).split())
        assert used - set(re.findall(r"\.([st](?:-\w+)*)\b", style_of(text))) == set(), name
        assert used - set(re.findall(r"\.([st](?:-\w+)*)\b", sheet)) == set(), name


def test_both_styles_have_the_same_colours():
    sheet = (STATIC / "hakmem.css").read_text(encoding="utf-8")
    here = re.findall(r"(--hak-[\w-]+): (#\w+);", style_of(next(iter(drawings().values()))))
    there = re.findall(r"(--hak-[\w-]+): (#\w+);", sheet)
    assert here and set(here) == set(there)


def test_drawings_stay_inside_their_frame():
    for name, text in drawings().items():
        root = ElementTree.fromstring(text)
        _, _, width, height = (float(v) for v in root.get("viewBox").split())
        for element in root.iter("{http://www.w3.org/2000/svg}rect"):
            assert float(element.get("x", 0)) + float(element.get("width")) <= width, name
            assert float(element.get("y", 0)) + float(element.get("height")) <= height, name
        for element in root.iter("{http://www.w3.org/2000/svg}text"):
            assert 0 < float(element.get("x")) < width, f"{name}: {element.text}"
            assert 0 < float(element.get("y")) < height, f"{name}: {element.text}"


def test_every_drawing_is_shown():
    pages = "".join(p.read_text(encoding="utf-8") for p in (ROOT / "docs").rglob("*.rst"))
    assert [name for name in drawings() if f".. picture:: {name}" not in pages] == []


def test_the_architecture_names_every_layer_and_every_box():
    text = drawings()["architecture.svg"]
    words = set(re.findall(r">([a-z0-9_]+)</text>", text))
    boxes = set(sources.boxes(ROOT)) | set(sources.plain_sources(ROOT))
    expected = {name.split("/")[1] for name in boxes} | set(sources.layers(ROOT))
    # Words of the drawing that are neither: labels of arrows and of the legend.
    assert words - {"refill", "foreign", "free", "reads"} == expected


# ---- words --------------------------------------------------------------------------------------


def test_literals_are_written_with_two_backquotes():
    single = re.compile(r"(?<![`:\w])`[^`\n<]+`(?![`_])")
    found = [f"{path.name}: {match.group()}" for path in (ROOT / "docs").rglob("*.rst")
             for match in single.finditer(path.read_text(encoding="utf-8"))]
    assert found == []
