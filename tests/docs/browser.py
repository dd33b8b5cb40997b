"""Pages in a real browser: what it sees of each, and what is wrong with that.

One Chromium without a window opens every page of a folder, as wide as a phone and as wide as a
desk. The folder is served from this machine, and the browser reaches nothing else. The driver and
the browser are Debian's; where one of them is missing, that is an error.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.server
import pathlib
import re
import shutil
import threading
import urllib.parse
from collections.abc import Iterator

PHONE_PIXELS, DESK_PIXELS = 390, 1280
TEXT_PIXELS_MIN = 14  # of sentences; a phone shows no smaller ones that are read with pleasure
SMALL_PIXELS_MIN = 10  # of anything else: notes, ranges below figures
DRAWN_PIXELS_MIN = 8  # of words in drawings, which are shrunk to the width of the page
CONTRAST_MIN = 4.5  # of words and what is behind them; WCAG 2.1, criterion 1.4.3

# Names of the programs in Debian, and in Ubuntu.
BROWSERS = ("chromium", "chromium-browser")
DRIVERS = ("chromedriver", "chromium.chromedriver")

# What each directive of a page promises to its readers.
PROMISED = {
    "bench": "table.bench-box, p.not-measured",
    "bench-plot": "figure.plot svg",
    "bench-reported": "table.bench-reported",
    "bench-run": "table.bench-run",
    "bench-suites": "table.bench-suites",
    "bench-table": "table.bench-table",
    "bench-trace": "figure.plot svg",
    "box-contract": "table.contract",
    "box-index": "table.box-index",
    "box-matrix": ".box-matrix table",
    "list-table": "table.docutils:not(.hak-table)",
    "picture": "figure.picture:not(.plot) svg",
}

# Runs in the page. A table counts when a reader sees a row with words in it.
LOOK = """
const seen = (element) => {
  const box = element.getBoundingClientRect();
  return element.checkVisibility() && box.width > 0 && box.height > 0;
};
const full = (element) => {
  if (!seen(element)) return false;
  if (element.matches('table'))
    return [...element.rows].some((row) => row.querySelector('td') && seen(row)
                                           && row.innerText.trim());
  if (element.matches('svg')) {
    const drawn = element.getBBox();
    return drawn.width > 0 && drawn.height > 0;
  }
  return element.innerText.trim() !== '';
};
const absolute = (value) => new URL(value, document.baseURI).href;
const name = (element) => [element.tagName.toLowerCase(), ...element.classList].join('.');
return {
  promised: Object.fromEntries(Object.entries(arguments[0]).map(
      ([directive, selector]) => [directive,
          [...document.querySelectorAll(selector)].filter(full).length])),
  empty: [...document.querySelectorAll('table, figure svg')].filter(
      (element) => !full(element)).map(name),
  images: [...document.images].filter(
      (image) => !image.complete || image.naturalWidth === 0).map((image) => image.src),
  links: [...new Set([...document.querySelectorAll('a[href], link[href]')].map(
      (link) => absolute(link.getAttribute('href'))))],
  anchors: [...document.querySelectorAll('[id], a[name]')].flatMap(
      (element) => [element.id, element.name]).filter(
      (word) => typeof word === 'string' && word),
  figures: document.querySelectorAll('td .figure').length,
  words: (document.querySelector('article') || document.body).innerText,
};
"""

# Runs in the page at the width of a phone. What a box of its own scrolls may be wide; what is cut
# off, or makes the whole page scroll sideways, may not. A sentence is what stands in a paragraph or
# a point of a list, outside of tables, notes and drawings.
LOOK_AS_PHONE = """
const width = arguments[0];
const article = document.querySelector('article') || document.body;
const name = (element) => [element.tagName.toLowerCase(), ...element.classList].join('.');
const scrolled = (element) => {
  for (let up = element.parentElement; up && up !== document.body; up = up.parentElement)
    if (['auto', 'scroll'].includes(getComputedStyle(up).overflowX)) return true;
  return false;
};
const wide = [...article.querySelectorAll('*')].filter((element) => {
  const box = element.getBoundingClientRect();
  return box.width > 1 && box.height > 1 && box.right > width + 1 && element.checkVisibility()
      && !element.closest('svg')?.parentElement.closest('svg') && !scrolled(element);
}).map(name);
const smallest = {text: [99, ''], small: [99, ''], drawn: [99, '']};
const walker = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const words = walker.currentNode.nodeValue.trim();
  const parent = walker.currentNode.parentElement;
  if (!words || !parent.checkVisibility() || parent.closest('script, style')) continue;
  let pixels = parseFloat(getComputedStyle(parent).fontSize);
  let kind = 'small';
  if (parent.closest('svg')) {
    kind = 'drawn';
    pixels *= Math.abs(parent.closest('text, svg').getScreenCTM().d);
  } else if (parent.matches('p, li, dd')
             && !parent.closest('table, figure, small, .bench-note, .neighbours'))
    kind = 'text';
  if (pixels < smallest[kind][0]) smallest[kind] = [pixels, words.slice(0, 40)];
}
return {width: document.scrollingElement.scrollWidth, wide, smallest};
"""

# Runs in the page. Gives each kind of words that is too much like what is behind it, and the ratio.
# In drawings only what the drawing stands on counts as behind: the page.
LOOK_AT_COLOURS = """
const parts = (colour) => (colour.match(/[0-9.]+/g) || [0, 0, 0, 0]).map(Number);
const opacity = (colour) => colour.length > 3 ? colour[3] : 1;
const over = (front, back) => [0, 1, 2].map(
    (i) => front[i] * opacity(front) + back[i] * (1 - opacity(front)));
const luminance = (colour) => {
  const [r, g, b] = colour.map((part) => part / 255).map(
      (part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  const layers = [];
  for (let up = element; up; up = up.parentElement)
    layers.unshift(parts(getComputedStyle(up).backgroundColor));
  return layers.reduce((back, front) => over(front, back), [255, 255, 255]);
};
const pale = {};
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const words = walker.currentNode.nodeValue.trim();
  const parent = walker.currentNode.parentElement;
  if (!words || !parent.checkVisibility() || parent.closest('script, style')) continue;
  const style = getComputedStyle(parent);
  const back = behind(parent);
  const front = over(parts(parent.closest('svg') ? style.fill : style.color), back);
  const [dark, light] = [luminance(front), luminance(back)].sort((a, b) => a - b);
  const ratio = (light + 0.05) / (dark + 0.05);
  if (ratio < arguments[0])
    pale[[parent.tagName.toLowerCase(), ...parent.classList].join('.')] = [ratio, words];
}
return {pale, background: luminance(behind(document.body))};
"""


class BrowserError(Exception):
    """There is no browser to look with; the text says what is missing."""


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files, remembers what it could not serve, and prints nothing."""

    refused: list[str]
    # One connection and one copy of each style sheet serve all pages.
    protocol_version = "HTTP/1.1"

    def end_headers(self):
        self.send_header("Cache-Control", "max-age=600")
        super().end_headers()

    def send_error(self, code, message=None, explain=None):
        # Browsers ask for this one unasked, wherever a page names no picture for its tab.
        if self.path != "/favicon.ico":
            self.refused.append(f"{self.path} ({code})")
        super().send_error(code, message, explain)

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder: pathlib.Path) -> Iterator[tuple[str, list[str]]]:
    """Serves a folder on the loopback; gives its address and what was asked for in vain."""
    refused: list[str] = []
    handler = type("Handler", (_Handler,), {"refused": refused})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", refused
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def program(names: tuple[str, ...], package: str) -> str:
    """The path of a program."""
    for name in names:
        if path := shutil.which(name):
            return path
    raise BrowserError(f"{names[0]} is missing (package {package}): "
                       "sh tools/bootstrap.sh test --packages installs it")


@contextlib.contextmanager
def chromium(profile: pathlib.Path) -> Iterator:
    """A browser with an empty profile; it ends with the block."""
    browser, driver = program(BROWSERS, "chromium"), program(DRIVERS, "chromium-driver")
    try:
        from selenium import webdriver
        from selenium.webdriver.chrome.service import Service
    except ImportError as error:
        raise BrowserError("selenium is missing (package python3-selenium): "
                           "sh tools/bootstrap.sh test --packages installs it") from error
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in ("headless", "no-sandbox", "disable-gpu", "disable-quic", "no-first-run",
                 "disable-background-networking", "disable-component-update", "disable-sync",
                 "disable-dev-shm-usage", "no-proxy-server", f"user-data-dir={profile}",
                 # Pages that are never gone back to need not be kept.
                 "disable-features=BackForwardCache", "disable-extensions",
                 # A page that asks for anything elsewhere fails here as it does without a network.
                 "host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"):
        options.add_argument(f"--{flag}")
    options.ignore_local_proxy_environment_variables()
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    window = webdriver.Chrome(service=Service(driver), options=options)
    try:
        window.set_page_load_timeout(60)
        yield window
    finally:
        window.quit()


@dataclasses.dataclass
class Seen:
    """What the browser saw of a page: what is on it, how it fits, what its console says."""

    name: str
    content: dict
    phone: dict
    desk_width: int
    errors: list[str]


def resize(window, pixels: int) -> None:
    """As a phone the browser honours what a page says about its width, and else shows it small."""
    window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
        "width": pixels, "height": 844, "deviceScaleFactor": 1, "mobile": pixels == PHONE_PIXELS})


def look(window, base: str, name: str, refused: list[str]) -> Seen:
    """Opens a page as a phone does, then widens the window."""
    refused.clear()
    window.get(base + urllib.parse.quote(name))
    phone = window.execute_script(LOOK_AS_PHONE, PHONE_PIXELS)
    content = window.execute_script(LOOK, PROMISED)
    desk_width = 0
    # Pages that show a source file are many, and all of one kind: the phone tells enough of them.
    if not name.startswith("source/"):
        resize(window, DESK_PIXELS)
        desk_width = window.execute_script("return document.scrollingElement.scrollWidth")
        resize(window, PHONE_PIXELS)
    errors = [entry["message"] for entry in window.get_log("browser")
              if entry["level"] == "SEVERE" and not entry["message"].startswith(base + "favicon")]
    return Seen(name, content, phone, desk_width,
                errors + [f"not there: {path}" for path in refused])


def look_at_all(window, folder: pathlib.Path) -> dict[str, Seen]:
    """Every page below a folder, by its path."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.html"))
    resize(window, PHONE_PIXELS)
    with served(folder) as (base, refused):
        pages = {name: look(window, base, name, refused) for name in names}
    for page in pages.values():
        page.content["links"] = [link.removeprefix(base) for link in page.content["links"]
                              if link.startswith(base)]
    return pages


def colour_faults(window, address: str, scheme: str) -> list[str]:
    """What is hard to see on a page where the system is set to light or to dark colours."""
    window.execute_cdp_cmd("Emulation.setEmulatedMedia", {
        "features": [{"name": "prefers-color-scheme", "value": scheme}]})
    window.get(address)
    seen = window.execute_script(LOOK_AT_COLOURS, CONTRAST_MIN)
    faults = [f"contrast {ratio:.1f}, {scheme}: {kind}: {words[:40]}"
              for kind, (ratio, words) in seen["pale"].items()]
    if (seen["background"] < 0.5) != (scheme == "dark"):
        faults.append(f"not {scheme} where the system is")
    return faults


# ---- what may be wrong --------------------------------------------------------------------------


def console_faults(page: Seen) -> list[str]:
    """Errors that scripts raised or wrote, and what could not be loaded."""
    return page.errors


def link_faults(page: Seen, pages: dict[str, Seen], folder: pathlib.Path) -> list[str]:
    """Links to pages and places that are not there."""
    faults = []
    for link in page.content["links"]:
        target = urllib.parse.urlsplit(link)
        name = urllib.parse.unquote(target.path) or "index.html"
        fragment = urllib.parse.unquote(target.fragment)
        if name not in pages and not (folder / name).is_file():
            faults.append(f"no page {link}")
        elif name in pages and fragment and fragment not in pages[name].content["anchors"]:
            faults.append(f"no place {link}")
    return faults


def image_faults(page: Seen) -> list[str]:
    """Pictures that are not there."""
    return [f"not shown: {source}" for source in page.content["images"]]


def table_faults(page: Seen, promised: dict[str, int]) -> list[str]:
    """Tables and figures that the source promises and the page does not show, or shows empty."""
    faults = [f"shown empty or not at all: {name}" for name in page.content["empty"]]
    for directive, count in promised.items():
        found = page.content["promised"][directive]
        if found < count:
            faults.append(f"{found} of {count} {directive}")
    return faults


def size_faults(page: Seen) -> list[str]:
    """What keeps a page from being read in comfort: first of all on a phone."""
    faults = [f"wider than a phone: {name}" for name in page.phone["wide"][:3]]
    if page.phone["width"] > PHONE_PIXELS + 1:
        faults.append(f"{page.phone['width']} pixels wide on a phone")
    if page.desk_width > DESK_PIXELS + 1:
        faults.append(f"{page.desk_width} pixels wide on a desk")
    for kind, least in (("text", TEXT_PIXELS_MIN), ("small", SMALL_PIXELS_MIN),
                        ("drawn", DRAWN_PIXELS_MIN)):
        pixels, words = page.phone["smallest"][kind]
        if pixels < least - 0.01:
            faults.append(f"{pixels:.1f} pixels high: {words}")
    return faults


def promises(text: str) -> dict[str, int]:
    """How often a page's source has each directive; examples that it only shows do not count."""
    counts: dict[str, int] = {}
    shown_only = None  # the indentation of what introduces a literal block
    for line in text.splitlines():
        indentation = len(line) - len(line.lstrip())
        if shown_only is not None and line.strip() and indentation <= shown_only:
            shown_only = None
        if shown_only is not None:
            continue
        directive = re.match(r"\s*\.\. ([\w-]+)::", line)
        if directive and directive[1] in PROMISED:
            counts[directive[1]] = counts.get(directive[1], 0) + 1
        elif directive and directive[1] == "code-block" or not directive and line.endswith("::"):
            shown_only = indentation
    return counts
