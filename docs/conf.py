"""Sphinx configuration; docs/build.py runs it and sets HAKMEM_DOCS_OUT."""

import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
OUT = pathlib.Path(os.environ.get("HAKMEM_DOCS_OUT", HERE.parent / "build" / "docs"))
sys.path.insert(0, str(HERE / "_ext"))

project = "HAKMEM"
author = "the HAKMEM authors"
copyright = author
_cmake = (HERE.parent / "CMakeLists.txt").read_text(encoding="utf-8")
release = re.search(r"project\(hakmem VERSION ([0-9.]+)", _cmake).group(1)

extensions = ["breathe", "hakmem_docs", "hakmem_bench", "hakmem_peers"]
exclude_patterns = ["_static/README*"]
primary_domain = "cpp"
highlight_language = "c++"
default_role = "literal"
nitpicky = True
add_module_names = False
numfig = False

breathe_projects = {"hakmem": str(OUT / "doxygen" / "xml")}
breathe_default_project = "hakmem"
breathe_show_include = False
breathe_order_parameters_first = True

hakmem_root = str(HERE.parent)
hakmem_xml = str(OUT / "doxygen" / "xml")
hakmem_generated = str(OUT / "generated")

html_theme = "furo"
html_title = "HAKMEM"
# Furo's own choice has strings and operators that are too pale on its grey.
pygments_style = "default"
html_static_path = ["_static"]
html_css_files = ["hakmem.css", "hakmem_bench.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

# Names in signatures that are not ours. Each is exact; the reason stands in the file.
_lines = (HERE / "unlinked_names.txt").read_text(encoding="utf-8").splitlines()
_entries = [line.split("#")[0].split(maxsplit=1) for line in _lines if line.split("#")[0].strip()]
nitpick_ignore = [(role, name.strip()) for role, name in _entries]


def complete_theme(app, error):
    """Puts into the theme's style sheet what Debian's way of building it leaves out.

    It imports rules from where Debian's web server has them, which is nowhere for a page that is
    opened from disk. And it lost the dark colours for readers who never touched the switch but
    whose system is set to dark: they would get light pages with dark code in them.
    """
    sheet = pathlib.Path(app.outdir, "_static", "styles", "furo.css")
    if error or not sheet.exists():
        return
    text = sheet.read_text(encoding="utf-8")
    shared = pathlib.Path("/usr/share/javascript")
    text = re.sub(r"@import url\(/javascript/([^)]+)\);",
                  lambda found: (shared / found[1]).read_text(encoding="utf-8"), text)
    if "prefers-color-scheme" not in text:
        colours = re.search(r'body\[data-theme="dark"\] \{([^{}]*--color-[^{}]*)\}', text)[1]
        text += ('\n@media screen and (prefers-color-scheme: dark) {\n'
                 f'  body:not([data-theme="light"]) {{{colours}}}\n}}\n')
    sheet.write_text(text, encoding="utf-8")


def setup(app):
    """Called by Sphinx."""
    app.connect("build-finished", complete_theme)
