"""Sphinx directives that show the sources themselves: contracts, essays, regions, drawings.

    .. box-contract:: back/slab      the contract of a header as a table
    .. box-essay:: back/slab         the essay that opens the header
    .. box-neighbours:: back/slab    who uses the box and what it uses
    .. box-invariants:: back/slab    each invariant and the places that check it
    .. box-api:: back/slab           every public symbol of the header, in the order of the source
    .. box-index:: back              the boxes of a layer, a line each
    .. box-matrix::                  who uses whom, as a matrix
    .. region:: src/back/slab.cpp take    the code between // [take] and // [/take]
    .. picture:: slab.svg            a drawing that follows the theme
    .. size-classes::                the table that the compiler derived
    .. tidy-rules::                  the rules that tests/tidy enforces
    .. conformance::                 what the conformance program found
    .. decision::                    the head of a phase's record
    .. phase-index::                 all records with their outcomes

and the roles :box:`back/slab` and :src:`src/back/slab.cpp#take`. A name that does not exist is a
warning, and warnings are errors here. Nothing is copied from the sources into a page by hand.
"""

from __future__ import annotations

import html
import json
import pathlib
import re
import xml.etree.ElementTree as ElementTree

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.directives.code import LiteralInclude
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective, SphinxRole

import hakmem_sources as sources

logger = logging.getLogger(__name__)

_ITEM = re.compile(r"^(?:[-*+]|(\d+)[.)])\s+")
_SPAN = re.compile(
    r"`(?P<code>[^`]+)`|\*\*(?P<strong>[^*]+)\*\*|(?<![\w*])\*(?P<emphasis>[^*\s][^*]*)\*(?![\w*])"
    r"|[@\\][pc]\s+(?P<word>[\w:]+)|(?<!\w)::(?P<symbol>[A-Za-z_]\w+)"
    r"|(?<![\w/])(?P<box>[a-z]+/[a-z0-9_]+)(?![\w/])"
)


def root_of(env) -> pathlib.Path:
    """The folder that holds src/ and docs/."""
    return pathlib.Path(env.config.hakmem_root)


def boxes_of(env) -> dict[str, sources.Box]:
    """All boxes; read once a build."""
    if not hasattr(env.app, "_hakmem_boxes"):
        env.app._hakmem_boxes = sources.boxes(root_of(env))
    return env.app._hakmem_boxes


def has_page(env, name: str) -> bool:
    """Whether a name of the form layer/box has a page: every box, and some sources beside them."""
    page = root_of(env) / "docs" / "boxes" / f"{name}.rst"
    return name in boxes_of(env) or page.exists()


def source_page(path: str) -> str:
    """The page that shows a source file."""
    return f"source/{path}"


def source_uri(env, path: str, line: int = 0) -> str:
    """Where the page of a source file lies, seen from the page that is being read."""
    env.app._hakmem_shown.add(path)
    uri = env.app.builder.get_relative_uri(env.docname, source_page(path))
    return f"{uri}#L-{line}" if line else uri


def inline(env, text: str) -> list[nodes.Node]:
    """Text of a comment as nodes: `code`, **strong**, *emphasis*; the name of a box is a link."""
    result: list[nodes.Node] = []
    position = 0
    for match in _SPAN.finditer(text):
        if match.start() > position:
            result.append(nodes.Text(text[position : match.start()]))
        position = match.end()
        code = match.group("code") or match.group("word") or match.group("symbol")
        if match.group("box") and not has_page(env, match.group("box")):
            result.append(nodes.Text(match.group("box")))
            continue
        code = code or match.group("box")
        if code and has_page(env, code):
            result.append(box_reference(env, code))
        elif code:
            result.append(nodes.literal(code, code))
        elif match.group("strong"):
            result.append(nodes.strong(match.group("strong"), match.group("strong")))
        else:
            result.append(nodes.emphasis(match.group("emphasis"), match.group("emphasis")))
    if position < len(text):
        result.append(nodes.Text(text[position:]))
    return result


def box_page(name: str) -> str:
    """The page of a box; a phase is a box whose page is its decision record."""
    return name if name.startswith("phases/") else f"boxes/{name}"


def box_reference(env, name: str) -> nodes.Node:
    """A link to the page of a box."""
    reference = addnodes.pending_xref(
        name, refdomain="std", reftype="doc", reftarget=f"/{box_page(name)}", refexplicit=True,
        refwarn=True, refdoc=env.docname, classes=["box-link"],
    )
    reference += nodes.literal(name, name, classes=["box-name"])
    return reference


def blocks(env, lines: list[str]) -> list[nodes.Node]:
    """The text of a comment as block nodes: paragraphs, drawings, lists, tables."""
    result: list[nodes.Node] = []
    at = 0
    while at < len(lines):
        line = lines[at]
        stripped = line.strip()
        if not stripped:
            at += 1
        elif stripped.startswith(("```", "@verbatim", "@code")):
            close = "```" if stripped.startswith("```") else "@end" + stripped.split("{")[0][1:]
            end = at + 1
            while end < len(lines) and not lines[end].strip().startswith(close):
                end += 1
            result.append(_drawing(lines[at + 1 : end]))
            at = end + 1
        elif line.startswith("    "):
            end = at
            while end < len(lines) and (not lines[end].strip() or lines[end].startswith("    ")):
                end += 1
            result.append(_drawing(lines[at:end]))
            at = end
        elif stripped.startswith("|"):
            end = at
            while end < len(lines) and lines[end].strip().startswith("|"):
                end += 1
            result.append(_table(env, lines[at:end]))
            at = end
        elif _ITEM.match(stripped):
            at, node = _list(env, lines, at)
            result.append(node)
        elif stripped.startswith("#") or _is_underline(lines, at + 1):
            title = stripped.lstrip("# ")
            result.append(nodes.rubric(title, "", *inline(env, title)))
            at += 2 if _is_underline(lines, at + 1) else 1
        else:
            end = at
            while end < len(lines) and lines[end].strip() and (
                end == at or not _ITEM.match(lines[end].strip())
            ):
                end += 1
            text = " ".join(part.strip() for part in lines[at:end])
            result.append(nodes.paragraph(text, "", *inline(env, text)))
            at = end
    return result


def _is_underline(lines: list[str], at: int) -> bool:
    return at < len(lines) and bool(re.fullmatch(r"(-{3,}|={3,})", lines[at].strip()))


def _drawing(lines: list[str]) -> nodes.Node:
    indents = [len(line) - len(line.lstrip()) for line in lines if line.strip()]
    cut = min(indents, default=0)
    text = "\n".join(line[cut:] for line in lines).strip("\n")
    node = nodes.literal_block(text, text, classes=["drawing"])
    node["language"] = "none"
    return node


def _list(env, lines: list[str], at: int) -> tuple[int, nodes.Node]:
    first = _ITEM.match(lines[at].strip())
    indent = len(lines[at]) - len(lines[at].lstrip())
    node = nodes.enumerated_list(enumtype="arabic", suffix=".", start=int(first.group(1))) \
        if first.group(1) else nodes.bullet_list()
    while at < len(lines):
        stripped = lines[at].strip()
        here = len(lines[at]) - len(lines[at].lstrip())
        match = _ITEM.match(stripped)
        if not match or here != indent:
            break
        body = [stripped[match.end() :]]
        at += 1
        while at < len(lines):
            text = lines[at]
            if text.strip() and len(text) - len(text.lstrip()) <= indent:
                break
            if not text.strip() and not _continues(lines, at, indent):
                break
            body.append(text)
            at += 1
        rest = [len(text) - len(text.lstrip()) for text in body[1:] if text.strip()]
        cut = min(rest, default=0)
        content = [body[0]] + [text[cut:] for text in body[1:]]
        node += nodes.list_item("", *blocks(env, content))
        while at < len(lines) and not lines[at].strip() and _is_item(lines, at + 1, indent):
            at += 1
    return at, node


def _continues(lines: list[str], at: int, indent: int) -> bool:
    return at + 1 < len(lines) and bool(lines[at + 1].strip()) and (
        len(lines[at + 1]) - len(lines[at + 1].lstrip()) > indent
    )


def _is_item(lines: list[str], at: int, indent: int) -> bool:
    return at < len(lines) and len(lines[at]) - len(lines[at].lstrip()) == indent and bool(
        _ITEM.match(lines[at].strip())
    )


def _table(env, lines: list[str]) -> nodes.Node:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    ruled = [row for row in rows if not all(re.fullmatch(r":?-+:?", cell) for cell in row)]
    head = 1 if len(ruled) < len(rows) else 0
    return table(
        [[inline(env, cell) for cell in row] for row in ruled[:head]],
        [[inline(env, cell) for cell in row] for row in ruled[head:]],
    )


def table(head: list, body: list, classes: tuple[str, ...] = (), widths: list[int] | None = None):
    """A table of cells; a cell is a list of inline nodes or of block nodes."""
    columns = max(len(row) for row in head + body)
    node = nodes.table(classes=["hak-table", *classes])
    group = nodes.tgroup(cols=columns)
    node += group
    for column in range(columns):
        group += nodes.colspec(colwidth=widths[column] if widths else 1)

    def fill(parent: nodes.Element, rows: list) -> None:
        for cells in rows:
            row = nodes.row()
            for cell in cells:
                entry = nodes.entry()
                if cell and all(isinstance(part, (nodes.Inline, nodes.Text)) for part in cell):
                    entry += nodes.paragraph("", "", *cell)
                else:
                    entry += cell
                row += entry
            parent += row

    if head:
        thead = nodes.thead()
        fill(thead, head)
        group += thead
    tbody = nodes.tbody()
    fill(tbody, body)
    group += tbody
    return node


class BoxDirective(SphinxDirective):
    """Base of the directives whose one argument is a box."""

    required_arguments = 1
    has_content = False

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        box = boxes_of(self.env).get(name)
        if box is None:
            return [self.state.document.reporter.warning(
                f"there is no box {name} under src/", line=self.lineno)]
        for suffix in (".hpp", ".cpp"):
            path = box.path.with_suffix(suffix)
            if path.exists():
                self.env.note_dependency(str(path))
        return self.show(box)

    def show(self, box: sources.Box) -> list[nodes.Node]:
        raise NotImplementedError

    def text(self, value: str) -> list[nodes.Node]:
        """A tag's text; a blank line in it ends a paragraph."""
        return [nodes.paragraph(part, "", *inline(self.env, part)) for part in value.split("\n\n")]

    def link(self, label: str, path: str, line: int = 0) -> nodes.Node:
        """A link to a line of a source file."""
        reference = nodes.reference("", "", internal=True, refuri=source_uri(self.env, path, line),
                                    classes=["source-link"])
        reference += nodes.literal(label, label)
        return reference


class BoxContract(BoxDirective):
    """The contract as a table of two columns."""

    def show(self, box: sources.Box) -> list[nodes.Node]:
        rows: list = []

        def row(title: str, cell: list[nodes.Node]) -> None:
            rows.append([[nodes.strong(title, title)], cell])

        row("Owns", self.text(box.owns))
        calls: list[nodes.Node] = []
        for name in box.calls:
            if calls:
                calls.append(nodes.Text(" "))
            known = has_page(self.env, name)
            calls.append(box_reference(self.env, name) if known else nodes.literal(name, name))
        row("Calls", calls or [nodes.Text("nothing of HAKMEM’s")])
        row("Threads", self.text(box.threads))
        if box.invariants:
            items = nodes.bullet_list(classes=["invariants"])
            for invariant in box.invariants:
                label = nodes.strong(invariant.name, invariant.name, classes=["invariant-name"])
                item = nodes.list_item("", nodes.paragraph(
                    "", "", label, nodes.Text(" "), *inline(self.env, invariant.text)))
                items += item
            row("Invariants", [items])
        else:
            row("Invariants", [nodes.Text("none")])
        row("Failure", self.text(box.failure))
        row("Cost", self.text(box.cost))
        row("Phase", self.text(box.phase))
        source = [self.link(box.path.name, self.relative(box.path))]
        if box.path.with_suffix(".cpp").exists():
            path = box.path.with_suffix(".cpp")
            source += [nodes.Text(" "), self.link(path.name, self.relative(path))]
        row("Sources", source)
        return [table([], rows, ("contract",), [15, 85])]

    def relative(self, path: pathlib.Path) -> str:
        """A path as pages name it."""
        return path.relative_to(root_of(self.env)).as_posix()


class BoxEssay(BoxDirective):
    """The essay that opens the header."""

    def show(self, box: sources.Box) -> list[nodes.Node]:
        lead = nodes.paragraph(box.summary, "", *inline(self.env, _sentence(box.summary)),
                               classes=["box-summary"])
        container = nodes.container("", *blocks(self.env, box.essay), classes=["essay"])
        return [lead, container]


def _sentence(text: str) -> str:
    """A summary as a sentence of its own."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else text + "."


class BoxNeighbours(BoxDirective):
    """Three columns: who uses the box, the box, what it uses."""

    def show(self, box: sources.Box) -> list[nodes.Node]:
        plain = sources.plain_sources(root_of(self.env))
        users = sources.callers(boxes_of(self.env), plain, box.full_name)
        used = [name for name in box.calls if has_page(self.env, name)]
        columns = [
            self.column("Used by", users, "nobody: an entry point"),
            self.middle(box.full_name),
            self.column("Uses", used, "nothing of HAKMEM’s"),
        ]
        return [nodes.container("", *columns, classes=["neighbours"])]

    def column(self, title: str, names: list[str], none: str) -> nodes.Node:
        """A column of links."""
        column = nodes.container("", nodes.paragraph("", title, classes=["neighbours-title"]),
                                 classes=["neighbours-column"])
        if not names:
            column += nodes.paragraph("", none, classes=["neighbours-none"])
        for name in names:
            column += nodes.paragraph("", "", box_reference(self.env, name), classes=["neighbour"])
        return column

    def middle(self, name: str) -> nodes.Node:
        """The box itself."""
        return nodes.container("", nodes.paragraph(
            "", "", nodes.literal(name, name), classes=["neighbour", "neighbour-self"]),
            classes=["neighbours-column", "neighbours-self"])


class BoxInvariants(BoxDirective):
    """Each invariant with the places that check it."""

    def show(self, box: sources.Box) -> list[nodes.Node]:
        if not box.invariants:
            text = "The contract lists no invariant: there is no state that could be wrong."
            return [nodes.paragraph(text, text), *self.tests(box)]
        checks = sources.invariant_checks(root_of(self.env), box)
        rows = []
        for invariant in box.invariants:
            cells = nodes.bullet_list(classes=["checks"])
            for check in checks[invariant.name]:
                where = pathlib.PurePosixPath(check.path).name
                cells += nodes.list_item("", nodes.paragraph(
                    "", "", self.link(check.label, check.path, check.line),
                    nodes.Text(f" in {where}")))
            place = [cells] if len(cells) else [nodes.Text("checked by no test yet")]
            name = [nodes.strong("", invariant.name)]
            rows.append([name, inline(self.env, invariant.text), place])
        titles = ("", "What always holds", "Where it is checked")
        head = [[[nodes.Text(title)] for title in titles]]
        return [table(head, rows, ("invariant-table",), [6, 47, 47]), *self.tests(box)]

    def tests(self, box: sources.Box) -> list[nodes.Node]:
        """A line that names the box's test."""
        root = root_of(self.env)
        test = sources.test_of(root, box)
        if test is None:
            text = "Its own test is not written yet."
            return [nodes.paragraph(text, text)]
        path = test.relative_to(root).as_posix()
        return [nodes.paragraph("", "", nodes.Text("All of its tests: "), self.link(path, path),
                                nodes.Text("."))]


class BoxApi(BoxDirective):
    """Every documented public symbol of the header, in the order of the source."""

    def show(self, box: sources.Box) -> list[nodes.Node]:
        return self.symbols(f"{box.layer}/{box.path.name}", box)

    def symbols(self, header: str, box: sources.Box | None) -> list[nodes.Node]:
        """Leaves the rendering of each symbol to Breathe."""
        xml = pathlib.Path(self.env.config.hakmem_xml)
        found = file_symbols(xml, header)
        if not found:
            text = "The header declares nothing."
            return [nodes.paragraph(text, text)]
        lines: list[str] = []
        for symbol in found:
            lines += symbol.directive() + [""]
        container = nodes.container(classes=["api"])
        where = str(box.path) if box else header
        self.state.nested_parse(StringList(lines, source=where), self.content_offset, container)
        return [container]


class HeaderApi(BoxApi):
    """The symbols of a header that is no box: `.. header-api:: abi/hakmem.h`."""

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(root_of(self.env) / "src" / self.arguments[0]))
        return self.symbols(self.arguments[0], None)


class Symbol:
    """A symbol of Doxygen's index, and the Breathe directive that renders it."""

    KINDS = {
        "function": "doxygenfunction", "variable": "doxygenvariable", "typedef": "doxygentypedef",
        "enum": "doxygenenum", "define": "doxygendefine", "struct": "doxygenstruct",
        "class": "doxygenclass", "union": "doxygenunion", "concept": "doxygenconcept",
    }

    def __init__(self, kind: str, name: str, arguments: str, line: int, refid: str) -> None:
        self.kind, self.name, self.arguments = kind, name, arguments
        self.line, self.refid = line, refid

    def directive(self) -> list[str]:
        """The lines that render the symbol."""
        lines = [f".. {self.KINDS[self.kind]}:: {self.name}{self.arguments}"]
        if self.kind in ("struct", "class", "union"):
            lines += ["   :members:", "   :undoc-members:"]
        return lines


def file_symbols(xml: pathlib.Path, header: str) -> list[Symbol]:
    """The symbols that Doxygen documented in a header, in the order of the source."""
    index = ElementTree.parse(xml / "index.xml").getroot()
    symbols: list[Symbol] = []
    functions: dict[str, int] = {}
    seen: set[str] = set()
    for compound in index.findall("compound"):
        kind = compound.get("kind")
        if kind not in ("file", "namespace", "struct", "class", "union", "concept"):
            continue
        tree = ElementTree.parse(xml / f"{compound.get('refid')}.xml").getroot()
        definition = tree.find("compounddef")
        if kind in ("struct", "class", "union", "concept"):
            location = definition.find("location")
            nested = _is_nested(index, compound.findtext("name"))
            if location is not None and location.get("file") == header and not nested:
                symbols.append(Symbol(kind, compound.findtext("name"), "",
                                      int(location.get("line")), compound.get("refid")))
            continue
        for member in definition.iter("memberdef"):
            location = member.find("location")
            if member.get("kind") == "function":
                name = _qualified(member)
                if member.get("id") not in seen:
                    functions[name] = functions.get(name, 0) + 1
            if member.get("id") in seen or member.get("prot") == "private":
                continue
            seen.add(member.get("id"))
            if location is None or location.get("file") != header:
                continue
            if member.get("kind") not in Symbol.KINDS:
                continue
            symbols.append(Symbol(member.get("kind"), _qualified(member), "",
                                  int(location.get("line")), member.get("id")))
            symbols[-1].arguments = _parameters(member) if member.get("kind") == "function" else ""
    for symbol in symbols:
        if symbol.kind == "function" and functions.get(symbol.name, 1) == 1:
            symbol.arguments = ""
    return sorted(symbols, key=lambda symbol: symbol.line)


def _is_nested(index, name: str) -> bool:
    """Whether a class lies inside another one, which then renders it."""
    outer = name.rpartition("::")[0]
    return any(
        other.findtext("name") == outer and other.get("kind") in ("struct", "class", "union")
        for other in index.findall("compound")
    )


def _qualified(member) -> str:
    return member.findtext("qualifiedname") or member.findtext("name")


def _parameters(member) -> str:
    return member.findtext("argsstring") or "()"


class BoxIndex(SphinxDirective):
    """The boxes of a layer, a line each."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        layer = self.arguments[0]
        if layer not in sources.layers(root_of(self.env)):
            return [self.state.document.reporter.warning(
                f"src/LAYERS lists no layer {layer}", line=self.lineno)]
        rows = [
            [[box_reference(self.env, box.full_name)], inline(self.env, _sentence(box.summary))]
            for box in boxes_of(self.env).values() if box.layer == layer
        ]
        if not rows:
            text = "No box yet."
            return [nodes.paragraph(text, text)]
        return [table([], rows, ("box-index",), [30, 70])]


class BoxMatrix(SphinxDirective):
    """Who uses whom: a row uses a column. All marks lie on one side, as no box looks upward."""

    def run(self) -> list[nodes.Node]:
        all_boxes = boxes_of(self.env)
        names = list(all_boxes)
        uri = self.env.app.builder.get_relative_uri
        head = "".join(
            f'<th scope="col"><span>{all_boxes[name].name}</span></th>' for name in names)
        rows = []
        last = ""
        for name, box in all_boxes.items():
            cells = []
            for other in names:
                if other == name:
                    cells.append('<td class="self"></td>')
                elif other in box.calls:
                    title = f"{name} uses {other}"
                    cells.append(f'<td class="use" title="{title}">●</td>')
                else:
                    cells.append("<td></td>")
            start = ' class="layer-start"' if box.layer != last else ""
            last = box.layer
            link = uri(self.env.docname, box_page(name))
            rows.append(f'<tr{start}><th scope="row"><a href="{link}">{name}</a></th>'
                        f'{"".join(cells)}</tr>')
        text = (f'<div class="box-matrix"><table><thead><tr><td></td>{head}</tr></thead>'
                f'<tbody>{"".join(rows)}</tbody></table></div>')
        return [nodes.raw("", text, format="html")]


class Region(LiteralInclude):
    """The code between two markers: never a copy, never line numbers."""

    required_arguments = 2
    final_argument_whitespace = True
    option_spec = {"caption": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        path, name = self.arguments[0], self.arguments[1]
        file = root_of(self.env) / path
        warning = self.state.document.reporter.warning
        try:
            found = sources.regions(file)
        except (OSError, sources.SourceError) as error:
            return [warning(str(error), line=self.lineno)]
        if name not in found:
            return [warning(f"{path} has no region [{name}]", line=self.lineno)]
        caption = self.options.get("caption", "")
        source = f":src:`{path}#{name}`"
        self.arguments = [str(pathlib.PurePosixPath("/") / ".." / path)]
        self.options = {
            "start-after": f"[{name}]", "end-before": f"[/{name}]", "dedent": None,
            "language": "c++", "caption": f"{caption} — {source}" if caption else source,
        }
        return super().run()


class Picture(SphinxDirective):
    """A drawing of docs/_static, put into the page itself so that it follows the theme."""

    required_arguments = 1
    has_content = True
    option_spec = {"alt": directives.unchanged_required, "min-width": directives.positive_int}

    def run(self) -> list[nodes.Node]:
        path = root_of(self.env) / "docs" / "_static" / self.arguments[0]
        warning = self.state.document.reporter.warning
        if not path.exists():
            return [warning(f"there is no drawing {path.name}", line=self.lineno)]
        if "alt" not in self.options:
            problem = f"{path.name} needs :alt:, for those who cannot see it"
            return [warning(problem, line=self.lineno)]
        self.env.note_dependency(str(path))
        text = inlined_svg(path.read_text(encoding="utf-8"), self.options["alt"])
        width = self.options.get("min-width", 620)
        figure = nodes.raw(
            "", '<figure class="picture"><div class="picture-frame">'
            f'<div style="min-width:{width}px">{text}</div></div>', format="html")
        result: list[nodes.Node] = [figure]
        if self.content:
            caption = nodes.Element()
            self.state.nested_parse(self.content, self.content_offset, caption)
            result += [nodes.raw("", "<figcaption>", format="html"), *caption.children,
                       nodes.raw("", "</figcaption>", format="html")]
        return result + [nodes.raw("", "</figure>", format="html")]


def inlined_svg(text: str, alt: str) -> str:
    """An SVG file as part of a page: its own colours are left out, the page's take their place."""
    text = re.sub(r"<\?xml.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE.*?>\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<style>.*?</style>\s*", "", text, count=1, flags=re.DOTALL)
    text = re.sub(r"<title>.*?</title>\s*", "", text, count=1, flags=re.DOTALL)
    label = html.escape(alt, quote=True)
    return re.sub(r"<svg\b", f'<svg role="img" aria-label="{label}"', text, count=1)


class GeneratedTable(SphinxDirective):
    """Base of the tables that docs/build.py generates as JSON before Sphinx runs."""

    file = ""

    def run(self) -> list[nodes.Node]:
        path = pathlib.Path(self.env.config.hakmem_generated) / self.file
        if not path.exists():
            return [self.state.document.reporter.warning(
                f"{self.file} was not generated: run docs/build.py", line=self.lineno)]
        self.env.note_dependency(str(path))
        return self.show(json.loads(path.read_text(encoding="utf-8")))

    def show(self, data) -> list[nodes.Node]:
        raise NotImplementedError


class SizeClasses(GeneratedTable):
    """The size classes as the compiler derived them."""

    file = "size_classes.json"

    def show(self, data) -> list[nodes.Node]:
        titles = ["Class", "Block", "Requests", "Lost inside, at most", "Slab", "Blocks",
                  "Left at its end", "Aligned to"]
        head = [[[nodes.Text(title)] for title in titles]]
        body = []
        low = 0
        for row in data:
            size, span = row["block_bytes"], row["slab_units"] * row["unit_bytes"]
            body.append([[nodes.Text(cell)] for cell in (
                str(row["class"]), f"{size:,}", f"{low:,}–{size:,}",
                f"{100.0 * (size - low) / size:.1f} %" if low else f"{size - 1} bytes",
                f"{span // 1024} KiB", f"{row['blocks']:,}",
                f"{row['slab_slack']:,} ({100.0 * row['slab_slack'] / span:.1f} %)",
                f"{size & -size:,}")])
            low = size + 1
        return [table(head, body, ("numbers",))]


class TidyRules(SphinxDirective):
    """The rules that tests/tidy enforces, as that program lists them."""

    def run(self) -> list[nodes.Node]:
        path = pathlib.Path(self.env.config.hakmem_generated) / "tidy_rules.rst"
        if not path.exists():
            return [self.state.document.reporter.warning(
                "tidy_rules.rst was not generated: run docs/build.py", line=self.lineno)]
        self.env.note_dependency(str(path))
        container = nodes.container(classes=["tidy-rules"])
        lines = StringList(path.read_text(encoding="utf-8").splitlines(), source=str(path))
        self.state.nested_parse(lines, self.content_offset, container)
        return [container]


class Conformance(SphinxDirective):
    """What the conformance program found when it ran on the library; honest when it did not run."""

    def run(self) -> list[nodes.Node]:
        path = pathlib.Path(self.env.config.hakmem_generated) / "conformance.json"
        if not path.exists():
            text = " The program was not built when these pages were: no result is shown."
            return [nodes.paragraph("", "", nodes.strong("", "Not run."), nodes.Text(text),
                                    classes=["not-measured"])]
        data = json.loads(path.read_text(encoding="utf-8"))
        rows = []
        for row in data["table"]:
            verdict = "holds" if row["held"] else "fails"
            rows.append([inline(self.env, row["statement"]), [nodes.inline(
                verdict, verdict, classes=[f"verdict-{verdict}"])]])
        head = [[[nodes.Text("Statement")], [nodes.Text("On HAKMEM")]]]
        text = f"{data['rows'] - data['failed']} of {data['rows']} rows hold."
        return [nodes.paragraph(text, text), table(head, rows, ("conformance",), [85, 15])]


class Decision(SphinxDirective):
    """The head of a decision record: what came out, first."""

    option_spec = {
        "status": directives.unchanged_required, "outcome": directives.unchanged_required,
        "supersedes": directives.unchanged, "superseded-by": directives.unchanged,
    }

    def run(self) -> list[nodes.Node]:
        rows = []
        for title, key in (("Outcome", "outcome"), ("Status", "status")):
            if key not in self.options:
                return [self.state.document.reporter.warning(
                    f"a decision needs :{key}:", line=self.lineno)]
            parsed, messages = self.state.inline_text(self.options[key], self.lineno)
            rows.append([[nodes.strong("", title)], [*parsed, *messages]])
        for title, key in (("Supersedes", "supersedes"), ("Superseded by", "superseded-by")):
            if key in self.options:
                rows.append([[nodes.strong("", title)], [phase_reference(
                    self.env, self.options[key])]])
        return [table([], rows, ("decision",), [20, 80])]


def phase_reference(env, name: str) -> nodes.Node:
    """A link to a phase's record, named as its file is."""
    reference = addnodes.pending_xref(
        name, refdomain="std", reftype="doc", reftarget=f"/phases/{name}", refexplicit=False,
        refwarn=True, refdoc=env.docname)
    reference += nodes.inline(name, name)
    return reference


class PhaseIndex(SphinxDirective):
    """All records with their outcomes, the latest first."""

    def run(self) -> list[nodes.Node]:
        rows = []
        paths = sorted((root_of(self.env) / "docs" / "phases").glob("phase_*.rst"), reverse=True)
        for path in paths:
            match = re.search(r"^ {3}:outcome: (.*(?:\n {6}.*)*)$",
                              path.read_text(encoding="utf-8"), re.MULTILINE)
            outcome = " ".join(match.group(1).split()) if match else ""
            parsed, messages = self.state.inline_text(outcome, self.lineno)
            rows.append([[phase_reference(self.env, path.stem)], [*parsed, *messages]])
        if not rows:
            return [nodes.paragraph("", "No record yet.")]
        head = [[[nodes.Text("Phase")], [nodes.Text("Outcome")]]]
        return [table(head, rows, ("phase-index",), [25, 75])]


class BoxRole(SphinxRole):
    """:box:`back/slab`."""

    def run(self):
        if not has_page(self.env, self.text):
            message = self.inliner.reporter.warning(
                f"there is no box {self.text} under src/", line=self.lineno)
            return [nodes.literal(self.text, self.text)], [message]
        return [box_reference(self.env, self.text)], []


class SourceRole(SphinxRole):
    """:src:`src/back/slab.cpp`, :src:`src/back/slab.cpp#take`: a link to the source itself."""

    def run(self):
        path, _, region = self.text.partition("#")
        file = root_of(self.env) / path
        line = 0
        problem = "" if file.is_file() else f"there is no file {path}"
        if region and not problem:
            try:
                found = sources.regions(file)
                line = found[region][0] if region in found else 0
                problem = "" if region in found else f"{path} has no region [{region}]"
            except sources.SourceError as error:
                problem = str(error)
        if problem:
            return [nodes.literal(path, path)], [
                self.inliner.reporter.warning(problem, line=self.lineno)]
        reference = nodes.reference("", "", internal=True, refuri=source_uri(self.env, path, line),
                                    classes=["source-link"])
        reference += nodes.literal(path, path)
        return [reference], []


LANGUAGES = {".hpp": "c++", ".cpp": "c++", ".h": "c++", ".inc": "c++", ".py": "python",
             ".sh": "bash", ".txt": "cmake", ".cmake": "cmake"}


def source_pages(app):
    """A page for each source file that some page links to."""
    if app.builder.name not in ("html", "dirhtml"):
        return
    for path in sorted(app._hakmem_shown):
        file = pathlib.Path(app.config.hakmem_root) / path
        text = file.read_text(encoding="utf-8")
        body = app.builder.highlighter.highlight_block(
            text, LANGUAGES.get(file.suffix, "none"), linenos="inline", lineanchors="L",
            anchorlinenos=False)
        context = {"parents": [], "title": path,
                   "body": f'<h1>{html.escape(path)}</h1><div class="source-file">{body}</div>'}
        yield source_page(path), context, "page.html"


def start(app) -> None:
    """The builder is ready: nothing is shown yet."""
    app._hakmem_shown = set()


def setup(app):
    """Called by Sphinx."""
    app.add_config_value("hakmem_root", "", "env")
    app.add_config_value("hakmem_xml", "", "env")
    app.add_config_value("hakmem_generated", "", "env")
    for name, directive in (
        ("box-contract", BoxContract), ("box-essay", BoxEssay), ("box-neighbours", BoxNeighbours),
        ("box-invariants", BoxInvariants), ("box-api", BoxApi), ("header-api", HeaderApi),
        ("box-index", BoxIndex), ("box-matrix", BoxMatrix), ("region", Region),
        ("picture", Picture), ("size-classes", SizeClasses), ("tidy-rules", TidyRules),
        ("conformance", Conformance), ("decision", Decision), ("phase-index", PhaseIndex),
    ):
        app.add_directive(name, directive)
    app.add_role("box", BoxRole())
    app.add_role("src", SourceRole())
    app.connect("builder-inited", start)
    app.connect("html-collect-pages", source_pages)
    return {"version": "1", "parallel_read_safe": False, "parallel_write_safe": True}
