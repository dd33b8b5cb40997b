"""Recorded measurements: what is shown of them, and that nothing wrong is shown as right.

The measuring program is run on programs that are shell scripts: some print figures, some fail.
"""

import html
import json
import re
import signal
import subprocess
import sys
import textwrap
import time

import hakmem_bench
import hakmem_plots as plots
import hakmem_results as results
import pytest

from conftest import BUILD, ROOT

sys.path.insert(0, str(ROOT / "tools"))
import bench_run  # noqa: E402
import shared_lines  # noqa: E402

PLAN = '''\
[modes.quick]
rounds_min = 2
short_turns = 3
rounds_max = 3
seconds = 0
box_repetitions = 2
box_seconds = 0.001

[metrics]
throughput = { title = "Throughput", unit = "M ops/s", better = "more" }
wall = { title = "Wall time", unit = "ms", better = "less" }
user = { title = "User time", unit = "ms", better = "less" }
system = { title = "System time", unit = "ms", better = "less" }
faults = { title = "Page faults", unit = "faults", better = "less" }
peak = { title = "Peak resident", unit = "MiB", better = "less" }
cpu = { title = "Processor time of one operation", unit = "ns", better = "less" }
time = { title = "Time of one operation", unit = "ns", better = "less" }
slow_paths = { title = "Refills and flushes", unit = "times", better = "less" }
held = { title = "Held", unit = "KiB", better = "less" }

[variants.libc]
title = "libc"

[variants.ours]
title = "Ours"
library = "libours.so"
phase = "phase_1"

[variants.never]
title = "Never built"
library = "libnever.so"

[suites.fixed]
title = "One size"
kind = "program"
program = "fixed"
variants = ["libc", "ours", "never"]
cases = [{ name = "16", title = "16 B", arguments = ["10"] },
         { name = "32", title = "32 B", arguments = ["20"] }]

[suites.stages]
title = "Stages"
kind = "trace"
program = "fixed"
variants = ["ours", "libc", "never"]
cases = [{ name = "two", title = "Two stages", arguments = ["2"] }]
'''
# Two stages of two steps: the first fills a magazine of the one class, the second of the other.
TRACE = {"capacity": {"64": [31, 31, 63, 63, 31], "256": [0, 0, 0, 31, 4095]},
         "cached_blocks": {"64": [0, 256, 512, 512, 0], "256": [0, 0, 0, 64, 64]},
         "refills": {"64": [0, 1, 3, 3, 3], "256": [0, 0, 0, 5, 9]},
         "flushes": {"64": [2, 2, 2, 2, 3], "256": [0, 0, 0, 0, 0]},
         "stages": ["bursts of 64 B", "rest"], "milliseconds": [0, 20, 40, 60, 80],
         "calls": [0, 1000, 2000, 3000, 4000]}
PROGRAM = '#include "program.hpp"\nint main() { return run(); }\n'
CONTEXT = {"mode": "quick", "commit": "abc123def456", "dirty": False, "compiler": "cc 1",
           "flags": "Release", "kernel": "6", "processor": "Anvil", "processors": 2,
           "memory_mib": 64, "virtual": False, "huge_pages": "never", "load": 0.5, "valgrind": "",
           "allocators": {"libc": "libc 1"}, "rounds": 2, "seconds": 3, "seed": 1,
           "finished": "2026-01-02T03:04:05+00:00"}
REPORTED = {"about": "", "tables": [{
    "section": "3.1", "title": "A table", "suite": "fixed", "metric": "throughput",
    "unit": "M ops/s", "base": "libc", "values": {"16": {"libc": 4.5, "ours": 5.5}},
    "changes": {"16": {"ours": 22.2}}}],
    "facts": {"calls": {"section": "2.3", "value": 841, "unit": "calls", "what": "calls of it"}}}


def text_of(page: str) -> str:
    """The visible words of a page, in one line."""
    body = re.sub(r"<(script|style).*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def cell(sources, wall, **more):
    """A measured cell: one sample for each wall time."""
    same = {"user": 0.001, "system": 0.0, "minor_faults": 10, "peak_rss_kib": 2048}
    return {"sources": sources, "ops": [1000] * len(wall), "wall": wall,
            **{name: [value] * len(wall) for name, value in same.items()}, **more}


@pytest.fixture
def benched(small_docs):
    """A small documentation whose repository has a plan, a program and a library of two files."""
    tree = small_docs.tree
    for path, text in {
        "bench/plan.toml": PLAN, "bench/programs/fixed.cpp": PROGRAM,
        "bench/programs/program.hpp": "int run();\n", "docs/reported.json": json.dumps(REPORTED),
        "src/phases/phase_1.cpp": '#include "back/shelf.hpp"\nint phase;\n',
        "bench/back/shelf_bench.cpp": '#include "back/shelf.hpp"\n',
    }.items():
        file = tree / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return small_docs


def record(docs, cells, suite="fixed", machine="anvil", **context):
    """Writes a run down as if it had been measured."""
    path = docs.tree / "bench/results" / machine / f"{suite}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"format": results.FORMAT, "suite": suite,
                                "context": CONTEXT | context, "cells": cells}))


def digest(docs, phase=""):
    return results.Sources(docs.tree).cell("fixed", phase)


def complete(docs):
    """A run in which one library was fast, one failed and one was not there."""
    libc, ours = digest(docs), digest(docs, "phase_1")
    record(docs, {
        "16": {"libc": cell(libc, [0.0002, 0.00025, 0.0004]), "ours": cell(ours, [0.0001] * 3),
               "never": {"missing": "libnever.so is not built"}},
        "32": {"libc": cell(libc, [0.0002]),
               "ours": {"sources": ours, "failed": "ended by signal 11"}}})


# ---- what pages show ----------------------------------------------------------------------------


def test_a_table_shows_medians_and_spread_beside_what_was_reported(benched):
    complete(benched)
    page, warnings = benched.build("""\
        .. bench-table:: fixed
           :cases: 16
           :variants: libc ours
           :relative-to: libc
           :reported: 3.1
        """)
    text = text_of(page)
    assert not warnings
    assert "4.5 M ops/s 4 M 2.50 M–5 M" in text
    assert "5.5 M ops/s 10 M +22.2 % +150.0 %" in text
    assert "Recorded 2026-01-02 at commit abc123def456, quick mode, on 2 × Anvil." in text
    assert "stale" not in text


def test_metrics_of_one_variant_stand_side_by_side(benched):
    complete(benched)
    page, warnings = benched.build(
        ".. bench-metrics:: fixed\n   :variants: ours\n   :metrics: wall faults\n   :cases: 16\n")
    assert not warnings
    assert "Wall time Page faults 16 B 0.100 10 The median of 3 runs" in text_of(page)
    page, warnings = benched.build(".. bench-metrics:: fixed\n   :metrics: nothing\n")
    assert "counts nothing that ends in" in warnings


def test_missing_and_failed_figures_say_so_with_their_reasons(benched):
    complete(benched)
    page, warnings = benched.build(
        ".. bench-table:: fixed\n\n:measured:`fixed/16/never`, :measured:`fixed/32/ours vs libc`"
        ", :measured:`fixed/32/never`\n")
    assert not warnings
    assert 'class="no-figure failed" title="ended by signal 11">failed<' in page
    assert 'class="no-figure not-measured" title="libnever.so is not built">not measured<' in page
    assert text_of(page).count("not measured") == 4 and text_of(page).count("failed") == 2


def test_no_run_at_all_is_not_measured_everywhere(benched):
    page, warnings = benched.build("""\
        .. bench-run::
        .. bench-table:: fixed
        .. bench-plot:: fixed
        .. bench:: back/shelf

        :measured:`fixed/16/libc`
        """)
    text = text_of(page)
    assert not warnings
    assert "Not measured. No run is recorded" in text and "no run of it is recorded yet" in text
    assert text.count("not measured") == 6 + 6 + 1 and not re.search(r"\d M ", text)


def test_figures_of_changed_code_are_stale_and_others_are_not(benched):
    complete(benched)
    shelf = benched.tree / "src/back/shelf.cpp"
    shelf.write_text(shelf.read_text().replace("< 0", "< 1"))
    page, _ = benched.build(".. bench-table:: fixed\n   :cases: 16\n   :variants: libc ours\n\n"
                            ":measured:`fixed/16/ours`; :measured:`fixed/16/libc`.\n")
    assert page.count('class="figure stale" title="recorded at commit abc123def456;') == 2
    assert text_of(page).count("10 M ops/s stale") == 1
    assert "4 M ops/s stale" not in text_of(page)
    assert "describe code that has changed since" in text_of(page)
    plot, _ = benched.build(".. bench-plot:: fixed\n   :cases: 16\n")
    assert "Ours (stale)" in text_of(plot) and "libc (stale)" not in text_of(plot)


def test_comments_and_other_libraries_make_nothing_stale(benched):
    complete(benched)
    shelf = benched.tree / "src/back/shelf.cpp"
    shelf.write_text("// A comment.\n" + shelf.read_text() + "\n/* another */\n")
    other = benched.tree / "src/phases/phase_2.cpp"
    other.write_text("int other;\n")
    page, _ = benched.build(".. bench-table:: fixed\n")
    assert "stale" not in text_of(page)


def test_a_change_of_the_program_makes_all_of_its_figures_stale(benched):
    complete(benched)
    (benched.tree / "bench/programs/program.hpp").write_text("int run(int);\n")
    page, _ = benched.build(".. bench-table:: fixed\n   :cases: 16\n")
    assert page.count('class="figure stale"') == 2


@pytest.mark.parametrize(("page", "message"), [
    (":measured:`fixed/16`\n", "not an address"),
    (":measured:`wide/16/libc`\n", "no suite wide"),
    (":measured:`fixed/17/libc`\n", "no case 17"),
    (":measured:`fixed/16/other`\n", "does not run other"),
    (":measured:`fixed/16/libc#weight`\n", "does not count weight"),
    (":measured:`fixed/16/libc vs other`\n", "does not run other"),
    (":reported:`9.9/16/libc`\n", "docs/reported.json has no 9.9/16/libc"),
    (".. bench-table:: wide\n", "no suite wide"),
    (".. bench-table:: fixed\n   :cases: 17\n", "no case 17"),
    (".. bench-plot:: fixed\n   :variants: other\n", "does not run other"),
    (".. bench-table:: fixed\n   :reported: 9.9\n", "no section 9.9"),
    (".. bench-trace:: fixed\n", "suite fixed has no traces"),
])
def test_an_unknown_address_is_a_warning(benched, page, message):
    complete(benched)
    _, warnings = benched.build(page)
    assert message in warnings


def test_an_unreadable_record_is_a_warning_not_an_empty_table(benched):
    path = benched.tree / "bench/results/anvil/fixed.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    _, warnings = benched.build(".. bench-table:: fixed\n")
    assert "fixed.json: JSONDecodeError" in warnings


def test_every_reported_figure_stands_beside_the_reproduced_one(benched):
    complete(benched)
    page, warnings = benched.build(".. bench-reported::\n\n:reported:`calls`\n")
    text = text_of(page)
    assert not warnings
    assert "16 B: Ours against libc +22.2 % +150.0 % same" in text
    assert "2.3 calls of it 841 calls –" in text
    assert 'title="reported in section 2.3 of the record, not measured here">841 calls<' in page


def test_the_newest_run_is_shown_and_named(benched):
    complete(benched)
    record(benched, {}, machine="older", finished="2025-01-01T00:00:00+00:00")
    page, _ = benched.build(".. bench-run::\n")
    assert "anvil" in text_of(page) and "older" not in text_of(page)
    assert "0.5 of 2 processors" in text_of(page)


def test_results_of_a_box_are_shown(benched):
    sources = results.Sources(benched.tree).box("back/shelf")
    record(benched, {"put/8": {"box": {"sources": sources, "time": [12.0, 12.5, 14.0]}},
                     "take": {"box": {"sources": "old", "time": [3.0]}},
                     "drop": {"box": {"sources": sources, "failed": "no room"}}},
           suite="boxes/back/shelf")
    page, warnings = benched.build(".. bench:: back/shelf\n")
    text = text_of(page)
    assert not warnings
    assert "put/8 12.5 12–14" in text and "take 3 stale" in text and "drop failed" in text


# ---- plots --------------------------------------------------------------------------------------


def test_a_plot_follows_the_theme_and_says_its_figures_in_words(benched):
    complete(benched)
    page, warnings = benched.build(".. bench-plot:: fixed\n   :reported: 3.1\n\n"
                                   ".. bench-plot:: fixed\n   :relative-to: libc\n")
    assert not warnings
    drawn = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(drawn) == 2
    assert 'aria-label="Throughput, M ops/s. 16 B: libc 4 M, Ours 10 M, Never built' in drawn[0]
    assert "16 B: Ours 2.50, Never built not measured" in drawn[1]
    for text in drawn:
        assert "<style" not in text and "font-family" not in text and "<text" in text
        colours = set(re.findall(r"#[0-9a-f]{6}\b", text))
        assert colours <= {"#ffffff", "#000000"}, colours
        assert "var(--hak-" in text
    identifiers = re.findall(r'\sid="([^"]+)"', "".join(drawn))
    assert len(identifiers) == len(set(identifiers))


def test_a_plot_is_as_wide_as_a_phone(benched):
    group = plots.Group("16 B", (plots.Bar("libc", (1.0, 2.0), 1.5), plots.Bar("x", word="failed")))
    text = plots.bars_svg([group], "M ops/s", "one", "words")
    width = float(re.search(r'viewBox="0 0 ([\d.]+)', text)[1])
    assert width <= 360 and ">failed<" in re.sub(r"\s+", "", text)


def traced(docs, **ours):
    """A run in which one library was traced, one failed and one was not there."""
    ours = {"sources": digest(docs, "phase_1"), "trace": [TRACE]} | ours
    record(docs, {"two": {"ours": ours, "libc": {"sources": digest(docs), "failed": "no trace"},
                          "never": {"missing": "libnever.so is not built"}}}, suite="stages")


def test_a_trace_is_drawn_and_its_stages_are_counted(benched):
    traced(benched)
    page, warnings = benched.build(".. bench-trace:: stages\n\n:measured:`stages/two/ours`, "
                                   ":measured:`stages/two/ours#held`\n")
    text = text_of(page)
    assert not warnings
    # Refills and flushes are 3 and 0, then 9 and 1; held are 16 and 32 KiB, then 48 and 16.
    assert "bursts of 64 B 3 24 KiB failed not measured" in text
    assert "rest 10 32 KiB failed not measured" in text
    assert "all stages 13 28 KiB failed not measured" in text
    assert "3,250 times , 28 KiB" in text and "stale" not in text
    drawn = re.search(r"<svg.*?</svg>", page, re.DOTALL)[0]
    assert "bursts of 64 B: 64 B from 31 to 63 blocks, 256 B from 0 to 0 blocks; rest: 64 B from " \
        "63 to 31 blocks, 256 B from 0 to 4,095 blocks." in drawn
    words = [" ".join(word.split()) for word in re.findall(r"<text[^>]*>(.*?)</text>", drawn,
                                                           re.DOTALL)]
    assert {"64 B", "256 B", "Capacity, blocks", "rest", "4,096"} <= set(words)
    assert not {"libc", "Never built"} & set(words)
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawn)) <= {"#ffffff", "#000000"}
    assert float(re.search(r'viewBox="0 0 ([\d.]+)', drawn)[1]) <= 360


def test_a_trace_beside_another_is_named_and_an_old_one_is_stale(benched):
    traced(benched, sources="old")
    path = benched.tree / "bench/results/anvil/stages.json"
    data = json.loads(path.read_text())
    data["cells"]["two"]["libc"] = {"sources": digest(benched), "trace": [TRACE]}
    path.write_text(json.dumps(data))
    page, warnings = benched.build(".. bench-trace:: stages\n")
    drawn = re.search(r"<svg.*?</svg>", page, re.DOTALL)[0]
    assert not warnings
    assert ">64 B (stale)<" in drawn and ">libc<" in drawn
    assert "3 stale 24 KiB 3 24 KiB not measured" in text_of(page)
    assert "describe code that has changed since" in text_of(page)


def test_no_trace_is_said_to_be_none(benched):
    page, warnings = benched.build(".. bench-trace:: stages\n")
    assert not warnings and "not measured" in text_of(page) and "<svg role" not in page


# ---- the plan, the record and the pages of this repository --------------------------------------


def test_the_plan_and_the_record_fit_each_other():
    run = results.load(ROOT)
    reports = results.read_reported(ROOT / "docs" / "reported.json")
    for report in reports.values():
        assert re.fullmatch(r"\d(\.\d)?", report.section)
        if report.reproduced:
            results.say(run, results.parse_address(report.reproduced))
    assert {r.section for r in reports.values()} >= {"3.1", "3.2", "3.3", "3.4", "3.5"}


def test_every_program_of_the_plans_exists():
    planned = {case.program for name in ("plan.toml", "peers.toml")
               for suite in results.read_plan(ROOT / "bench" / name).suites.values()
               if suite.kind != "command" for case in suite.cases.values()}
    assert planned == {path.stem for path in (ROOT / "bench/programs").glob("*.cpp")}


def typed_figures(text):
    """Throughputs, sizes, times and ratios that stand in a page as digits."""
    plain = re.sub(r"``[^`]*``|:(?:reported|measured):`[^`]*`", "", text)
    return re.findall(r"(?<![\w.,])\d[\d.,]*\s?(?:[MKG] ?ops/s|ns\b|µs\b|ms\b|×(?! ?\d)"
                      r"|% (?:faster|slower|less|more))", plain)


def test_no_measured_figure_is_typed_into_a_page():
    found = {path.name: typed for path in (ROOT / "docs").rglob("*.rst")
             if path.name != "options.rst"
             and (typed := typed_figures(path.read_text(encoding="utf-8")))}
    assert found == {}


@pytest.mark.parametrize("sentence", [
    "It reaches 58.3 M ops/s.", "A hit costs 4 ns.", "That is 30× as many.", "12 % faster",
])
def test_a_typed_figure_would_be_found(sentence):
    assert typed_figures(sentence)


# ---- the measuring program ----------------------------------------------------------------------

GOOD = '''\
#!/bin/sh
echo run >> "$(dirname "$0")/log"
echo '{"ops": 1000, "seconds": {"wall": 0.5, "user": 0.25, "system": 0.0},' \\
     '"faults": {"minor": 3, "major": 0}, "peak_rss_kib": 2048}'
'''


class Small:
    """A build of scripts, and the measuring program run on it."""

    def __init__(self, folder, script):
        self.folder = folder
        (folder / "build/bin").mkdir(parents=True)
        (folder / "build/lib").mkdir()
        self.program = folder / "build/bin/bench_fixed"
        self.program.write_text(script)
        self.program.chmod(0o755)
        (folder / "plan.toml").write_text(PLAN)

    def command(self, *more, suite="fixed"):
        return [sys.executable, str(ROOT / "tools/bench_docs.py"), "--plan",
                str(self.folder / "plan.toml"), "--build", str(self.folder / "build"), "--results",
                str(self.folder / "results"), "--machine", "anvil", "--only", suite, *more]

    def run(self, *more, suite="fixed"):
        return subprocess.run(self.command(*more, suite=suite), capture_output=True, text=True,
                              check=False, timeout=60)

    def cells(self, suite="fixed"):
        path = self.folder / f"results/anvil/{suite}.json"
        return json.loads(path.read_text(encoding="utf-8"))

    def times_run(self):
        return len((self.program.parent / "log").read_text().splitlines())


@pytest.fixture(autouse=True)
def _writable_home(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_a_round_takes_more_samples_of_a_short_suite(tmp_path):
    small = Small(tmp_path, GOOD)
    plan = tmp_path / "plan.toml"
    text = plan.read_text()
    assert '[suites.fixed]\n' in text
    plan.write_text(text.replace('[suites.fixed]\n', '[suites.fixed]\nshort = true\n'))
    done = small.run()
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(small.cells()["cells"]["16"]["libc"]["wall"]) == 2 * 3


def test_samples_and_context_are_recorded(tmp_path):
    small = Small(tmp_path, GOOD)
    done = small.run()
    assert done.returncode == 0, done.stdout + done.stderr
    data = small.cells()
    libc = data["cells"]["16"]["libc"]
    assert libc["wall"] == [0.5, 0.5] and libc["ops"] == [1000, 1000] and libc["sources"]
    assert {"commit", "dirty", "compiler", "flags", "kernel", "processor", "allocators",
            "huge_pages", "load", "finished", "rounds"} <= set(data["context"])
    assert data["context"]["rounds"] == 2
    # Two cases, two rounds, each run measured once after once unmeasured.
    assert small.times_run() == 8
    assert str(tmp_path) not in json.dumps(data)
    assert not (tmp_path / "build/bench-docs/journal.jsonl").exists()


def test_what_is_not_there_is_recorded_as_such(tmp_path):
    small = Small(tmp_path, GOOD)
    done = small.run()
    assert small.cells()["cells"]["16"]["never"] == {"missing": "libnever.so is not built"}
    assert "not measured: libnever.so is not built (2 cells)" in done.stdout


@pytest.mark.parametrize(("script", "reason"), [
    ("#!/bin/sh\n[ $1 = 20 ] && kill -SEGV $$\n" + GOOD, "ended by signal 11"),
    ("#!/bin/sh\n[ $1 = 20 ] && echo no room >&2 && exit 3\n" + GOOD, "exit status 3: no room"),
    ("#!/bin/sh\n[ $1 = 20 ] && echo nothing && exit\n" + GOOD, "printed no figures"),
])
def test_a_failing_program_is_recorded_and_the_run_goes_on(tmp_path, script, reason):
    small = Small(tmp_path, script)
    done = small.run()
    cells = small.cells()["cells"]
    assert done.returncode == 0
    assert cells["32"]["libc"]["failed"].startswith(reason)
    assert len(cells["16"]["libc"]["wall"]) == 2
    assert "failed fixed/32/libc" in done.stdout and "1 failed" in done.stdout


def test_a_trace_is_recorded_as_it_was_printed(tmp_path):
    small = Small(tmp_path, f"#!/bin/sh\necho '{json.dumps({'trace': TRACE})}'\n")
    done = small.run(suite="stages")
    assert done.returncode == 0, done.stdout + done.stderr
    assert small.cells("stages")["cells"]["two"]["libc"]["trace"] == [TRACE]
    small.program.write_text(GOOD)
    done = small.run(suite="stages")
    assert small.cells("stages")["cells"]["two"]["libc"]["failed"].startswith("printed no trace")


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    small = Small(tmp_path, GOOD + "if [ $1 = 20 ]; then sleep 0.5; fi\n")
    process = subprocess.Popen(small.command(), stdout=subprocess.DEVNULL)
    journal = tmp_path / "build/bench-docs/journal.jsonl"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if journal.exists() and '"libc"' in journal.read_text().partition("\n")[2]:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    taken = journal.read_text().count('"sample"')
    assert 0 < taken < 4
    journal.write_text(journal.read_text() + '{"key": ["fixed", "1')  # cut off by the kill
    before = small.times_run()
    done = small.run()
    assert done.returncode == 0 and "going on after" in done.stdout
    # A program that was running when the kill came may be counted after it.
    assert small.times_run() - before - 2 * (4 - taken) in (0, 1)
    assert len(small.cells()["cells"]["32"]["libc"]["wall"]) == 2


def test_a_rebuilt_program_starts_anew(tmp_path):
    small = Small(tmp_path, GOOD)
    journal = tmp_path / "build/bench-docs/journal.jsonl"
    journal.parent.mkdir()
    journal.write_text('{"files": "of another build"}\n{"key": ["fixed", "16", "libc", 0]}\n')
    assert "going on" not in small.run().stdout


@pytest.mark.parametrize(("arguments", "message"), [
    (["--mode", "slow"], "no mode slow"), (["--only", "wide"], "no suite wide"),
    (["--build", "nowhere"], "nothing is built"), (["--plan", "none.toml"], "none.toml"),
])
def test_a_wrong_argument_is_refused(tmp_path, arguments, message):
    done = Small(tmp_path, GOOD).run(*arguments)
    assert done.returncode == 1 and message in done.stderr


def test_what_tools_print_is_understood():
    perf = "# started\n\n100,,instructions:u,1,100.00,,\n7,,L1-dcache-load-misses:u,1,100.00,,\n"
    assert bench_run.parse_perf(perf + "9,,branches:u,1,100.00,,\n") == [100, 7, 9]
    with pytest.raises(bench_run.Missing, match="no access"):
        bench_run.parse_perf("<not supported>,,instructions:u,0,100.00,,\n")
    trace = ("12 mmap(NULL, 4096) = 0x1\n12 mmap(NULL, 8192 <unfinished ...>\n13 madvise(1) = 0\n"
             "12 <... mmap resumed>) = 0x2\n12 mprotect(0x2, 4096, 1) = 0\n"
             "12 +++ exited with 0 +++\n")
    counted = bench_run.count_calls(trace)
    assert (counted["mapping"], counted["madvise"], counted["mincore"]) == (3, 1, 0)
    report = ('hakmem: external_guard: calls=3 mincore=0 handed_to_libc=3\n'
              '{"hakmem": "0.16.0", "memory": {}, "heap": {"superslabs": 2}, "classes": []}\n')
    assert bench_run.parse_report(report) == {"superslabs": 2, "guard_calls": 3}
    later = report.replace("calls=3", "calls=7").replace('"superslabs": 2', '"superslabs": 9')
    assert bench_run.parse_report(report + later) == {"superslabs": 9, "guard_calls": 7}
    with pytest.raises(bench_run.Failure, match="no report"):
        bench_run.parse_report("hakmem: something else\n")
    counted = report.replace(' "classes": []', ' "locks": [{"lock": "heap", "taken": 9, '
                             '"contended": 2, "slept": 1}]')
    locks = bench_run.parse_locks(report + counted)
    assert (locks["heap_taken"], locks["heap_contended"], locks["heap_slept"]) == (9, 2, 1)
    assert locks.keys() == set(results.METRICS_OF["locks"]) and locks["pool_taken"] == 0
    with pytest.raises(bench_run.Failure, match="counts no locks"):
        bench_run.parse_locks(report)
    rows = [{"run_name": "put", "run_type": "iteration", "real_time": 2.0, "time_unit": "us"},
            {"run_name": "put", "run_type": "aggregate", "real_time": 9.0, "time_unit": "us"},
            {"run_name": "bad", "run_type": "iteration", "error_occurred": True,
             "error_message": "no room"}]
    assert bench_run.parse_google({"benchmarks": rows}) == {
        "put": {"time": [2000.0]}, "bad": {"failed": "no room"}}


def test_a_box_is_measured_by_its_own_program(tmp_path):
    program = tmp_path / "bin/bench_back_shelf"
    program.parent.mkdir()
    program.write_text(textwrap.dedent("""\
        #!/bin/sh
        for word; do case $word in --benchmark_out=*) out=${word#*=} ;; esac; done
        [ "$1" = --benchmark_min_time=0.25 ] || exit 3
        [ "$2" = --benchmark_repetitions=4 ] || exit 3
        echo '{"benchmarks": [{"run_name": "put", "run_type": "iteration", "real_time": 2.5,' \\
             '"time_unit": "ns"}]}' >"$out"
        """), encoding="utf-8")
    program.chmod(0o755)
    with bench_run.measure.Launcher() as launcher:
        bench = bench_run.Bench(tmp_path, None, [launcher], tmp_path, {})
        assert bench.box("back/shelf", 0.25, 4) == {"put": {"time": [2.5]}}
        with pytest.raises(bench_run.Failure, match="3"):
            bench.box("back/shelf", 0.5, 4)
        with pytest.raises(bench_run.Missing, match="bench_back_drawer is not built"):
            bench.box("back/drawer", 0.25, 4)


def test_locks_are_called_as_the_code_calls_them():
    code = (ROOT / "src/base/lock_rank.hpp").read_text(encoding="utf-8")
    names = re.search(r"lock_rank_names\[lock_ranks\] = \{(.*?)\}", code, re.DOTALL)[1]
    assert tuple(re.findall(r'"(\w+)"', names)) == results.LOCKS


# A library at 0x1000 whose malloc lies at 0x10 and locks at 0x14; free lies at 0x20.
TRACED = shared_lines.Library(
    0x100, {0x10: "malloc", 0x20: "free", 0x30: "refill", 0x40: "other"}, frozenset({0x14}))
MARKS = {"malloc": 0x1010, "scene": 0x9000, "no_scene": 0x9010, "first": 0x9020,
         "second": 0x9030, "another": 0x9040}


def accessed(*steps):
    """The calls and uses of a trace: marks by name, places of the library, accesses."""
    lines = [f"I  {MARKS[step]:08x},1" if step in MARKS else step for step in steps]
    return shared_lines.calls_of(lines, TRACED, MARKS)


def test_a_trace_says_what_each_call_locks_shares_and_moves():
    calls, uses = accessed(
        "first", "I  00001010,1", " S 00000040,8",  # no scene has begun
        "scene", "I  00001010,4", " L 00000040,8", "I  00001014,4", " M 00000080,8",
        "I  00007000,4", " S 000000c0,8",  # another library's
        "second", "I  00001020,4", " L 00000080,8", "I  00001024,4", " S 00000080,8",
        "no_scene", "I  00001010,4")
    first, second = calls
    assert (first.thread, first.entered) == ("first", {"malloc", "locked"})
    assert (first.instructions, first.locked, first.lines) == (2, 1, {1, 2})
    assert (second.thread, second.entered, second.locked) == ("second", {"free"}, 0)
    assert (first.moved, second.moved) == (set(), {2})
    assert uses[1, 2] == ({"second"}, {"first", "second"}) and uses[1, 1] == ({"first"}, set())


def test_threads_that_follow_each_other_share_nothing_and_take_lines_over():
    calls, uses = accessed("scene", "another", "I  00001010,1", " S 00000040,8",
                           "another", "I  00001010,1", " L 00000040,8", " S 00000040,8")
    assert [call.moved for call in calls] == [set(), {1}]
    assert uses[1, 1] == ({"another"}, {"another"})


def test_what_is_neither_malloc_nor_free_is_not_counted_to_the_call_before():
    calls, uses = accessed("first", "scene", "I  00001010,4", "I  00001012,4",
                           "I  00001040,4", "I  00001014,4", "I  00001030,4", " M 00000080,8",
                           "I  00001020,4")
    assert [call.instructions for call in calls] == [2, 3, 1]
    assert [shared_lines.kind_of(call) for call in calls] == ["malloc_hit", "", "free_hit"]
    assert (calls[0].locked, calls[0].lines) == (0, set())
    assert uses[1, 2] == (set(), {"first"})  # it was shared all the same


def test_what_a_library_exports_besides_malloc_and_free_is_an_entry(monkeypatch):
    functions = "".join(f"{0x100 + 16 * number:016x} t hakmem::{function}int)\n"
                        for number, function in enumerate(shared_lines.FUNCTIONS.values()))
    printed = {
        "nm": "0000000000000010 W __libc_malloc\n0000000000000010 T malloc\n"
              "0000000000000020 T free\n0000000000000020 T cfree\n"
              "0000000000000030 T operator new(unsigned long)\n0000000000000040 t helper()\n"
              "                 U memset\n0000000000000050 D hakmem_data\n" + functions,
        "objdump": "    10:\tlock xadd %rax,(%rdi)\n    34:\txchg   %eax,(%rdi)\n    38:\tret\n"}
    monkeypatch.setattr(shared_lines, "said", lambda command, *_: printed[command])
    library = shared_lines.Library.read(ROOT / "lib.so")
    assert {address: name for address, name in library.entries.items() if address < 0x100} == {
        0x10: "malloc", 0x20: "free", 0x30: "other"}
    assert (library.end, library.locked) == (0x39, {0x10, 0x34})


def test_the_library_has_the_functions_that_tell_calls_apart():
    entries = shared_lines.Library.read(BUILD / "lib" / "libhakmem.so").entries
    assert set(shared_lines.FUNCTIONS) <= set(entries.values())


@pytest.mark.parametrize(("entered", "kind"), [
    ({"malloc"}, "malloc_hit"), ({"malloc", "refill"}, "malloc_refill"),
    ({"malloc", "refill", "pool"}, "malloc_pool"), ({"free", "remote"}, "free_remote"),
    ({"free", "remote", "locked"}, "free_remote_sent"), ({"free", "adopt"}, "thread_begin"),
    ({"end", "flush"}, "thread_end"), ({"locked"}, ""),
    ({"other", "adopt", "refill"}, ""),
])
def test_a_call_is_of_the_first_kind_that_fits(entered, kind):
    assert shared_lines.kind_of(shared_lines.Call(1, "first", entered)) == kind


def test_the_plan_has_every_kind_of_call():
    suite = results.read_plan(ROOT / "bench/plan.toml").suites["lines"]
    assert suite.cases.keys() == shared_lines.KINDS.keys()


def test_cases_stand_in_the_order_of_their_numbers():
    cases = ["pair/64", "pair/4096", "cross_thread/256", "pair/8"]
    assert sorted(cases, key=hakmem_bench.natural) == [
        "cross_thread/256", "pair/8", "pair/64", "pair/4096"]


@pytest.mark.parametrize(("rounds", "said"), [
    ([3, 0, 3], "3 rounds"), ([0, 5, 3], "3 to 5 rounds"), ([0], "0 rounds")])
def test_suites_that_only_count_have_no_say_in_how_many_rounds_there_were(rounds, said):
    assert hakmem_bench.rounds_of([{"rounds": number} for number in rounds]) == said


def test_help_names_the_modes():
    done = subprocess.run([sys.executable, str(ROOT / "tools/bench_docs.py"), "--help"],
                          capture_output=True, text=True, check=True)
    assert "quick" in done.stdout and textwrap.dedent(done.stdout)
