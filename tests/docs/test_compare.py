"""The comparison with peers: which libraries it takes, what it records, and how it judges.

Peers are libraries of a few lines, programs are shell scripts, figures are made up.
"""

import json
import pathlib
import random
import re
import subprocess
import sys

import hakmem_comparison as comparison
import hakmem_results as results
import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import bench_run  # noqa: E402
import compare  # noqa: E402
import compare_report  # noqa: E402
import programs  # noqa: E402
import real_programs  # noqa: E402

PLAN = '''\
ours = "ours"

[modes.quick]
rounds_min = 2
rounds_max = 2
short_turns = 1
seconds = 0

[modes.full]
rounds_min = 1
rounds_max = 1
short_turns = 1
seconds = 0

[metrics]
throughput = { title = "Throughput", unit = "M ops/s", better = "more" }
cpu = { title = "Processor time", unit = "ns", better = "less" }
wall = { title = "Wall time", unit = "ms", better = "less" }
user = { title = "User time", unit = "ms", better = "less" }
system = { title = "System time", unit = "ms", better = "less" }
faults = { title = "Page faults", unit = "faults", better = "less" }
peak = { title = "Peak resident", unit = "MiB", better = "less" }
start_kib = { title = "At the start", unit = "MiB", better = "less" }
later_kib = { title = "Later", unit = "MiB", better = "less" }

[variants]
ours = { title = "Ours" }
libc = { title = "libc" }
fast = { title = "Fast", peer = "libfast-that-nobody-has.so" }

[suites.batches]
title = "Batches"
kind = "program"
program = "fixed"
variants = ["ours", "libc", "fast"]
rows = ["cpu"]
show = ["cpu", "peak"]
each = { name = "{size}.{order}", title = "{size:,} B, {order}", arguments = ["{size}", "{order}"] }
grids = [{ size = [16, 1024], order = "lifo" }, { size = 4096, order = ["lifo"], full_only = true }]

[suites.burst]
title = "Burst"
kind = "program"
program = "fixed"
variants = ["ours", "libc", "fast"]
also = ["start_kib", "later_kib"]
cases = [{ name = "one", title = "one", arguments = ["9"] }]

[bars.batches]
title = "Batches"
suites = ["batches"]
metrics = ["cpu"]
cases = '\\d+\\.lifo'
against = "row"
each_max = 1.05
mean_max = 0.95

[bars.single]
title = "All in all"
suites = ["batches"]
metrics = ["cpu"]
against = "single"
leave_out = ["libc"]
mean_max = 1.0

[bars.burst]
title = "Burst"
suites = ["burst"]
metrics = ["later_kib"]
than = "start_kib"
each_max = 1.1
plus = 1.0
'''
CONTEXT = {"mode": "full", "commit": "abc123def456", "dirty": False, "processors": 2,
           "processor": "Anvil", "kernel": "6", "huge_pages": "never", "load": 0.5, "rounds": 3,
           "finished": "2026-01-02T03:04:05+00:00", "allocators": {}, "libraries": {}}
TITLES = {"ours": "Ours", "libc": "libc", "fast": "Fast"}
GOOD = '''\
#!/bin/sh
case $LD_PRELOAD in *libbroken*) echo out of luck >&2; exit 3;; esac
echo '{"ops": 1000, "seconds": {"wall": 0.5, "user": 0.25, "system": 0.0},' \\
     '"faults": {"minor": 3, "major": 0}, "peak_rss_kib": 2048, "start_kib": 1, "later_kib": 2}'
'''


@pytest.fixture
def plan(tmp_path):
    path = tmp_path / "plan.toml"
    path.write_text(PLAN)
    return results.read_plan(path)


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """Compiles a preloadable library; nothing but malloc tells one from another."""
    folder = tmp_path_factory.mktemp("libraries")

    def build(name, text):
        path = folder / f"lib{name}.so"
        if not path.exists():
            subprocess.run(["gcc", "-shared", "-fPIC", "-x", "c", "-", "-o", path], input=text,
                           text=True, check=True)
        return path

    return build


MALLOC = '''\
#include <stddef.h>
extern void *__libc_malloc(size_t);
void *malloc(size_t bytes) { return __libc_malloc(bytes); }
'''


# ---- the plan -----------------------------------------------------------------------------------


def test_a_grid_combines_every_value_with_each_other(plan):
    suite = plan.suites["batches"]
    assert suite.cases_in("quick") == ["16.lifo", "1024.lifo"]
    assert suite.cases_in("full") == ["16.lifo", "1024.lifo", "4096.lifo"]
    assert suite.cases["1024.lifo"].title == "1,024 B, lifo"
    assert suite.cases["1024.lifo"].words("full") == ["1024", "lifo"]


@pytest.mark.parametrize(("right", "wrong", "message"), [
    ('suites = ["burst"]', 'suites = ["bursts"]', "unknown suites"),
    ('than = "start_kib"', 'than = "peaks"', "do not count"),
    ('than = "start_kib"', "", "against nothing"),
    ('than = "start_kib"', 'than = "start_kib"\nmean_max = 1.0', "takes each_max"),
    ('ours = "ours"', 'ours = "hours"', "no variant hours"),
    ('against = "row"', 'against = "nobody"', "against nothing"),
    ("mean_max = 1.0", "", "cannot be missed"),
    (r"cases = '\d+\.lifo'", r"cases = '\d'", "about no case"),
    ('rows = ["cpu"]', 'rows = ["later_kib"]', "shows what it does not count"),
    ("size = [16, 1024]", "size = [16, 16]", "two cases of one name"),
])
def test_a_plan_that_cannot_be_held_to_is_refused(tmp_path, right, wrong, message):
    path = tmp_path / "plan.toml"
    assert right in PLAN
    path.write_text(PLAN.replace(right, wrong, 1))
    with pytest.raises(results.ResultsError, match=message):
        results.read_plan(path)


def test_the_bars_are_the_goals_and_nobody_has_moved_them():
    bars = results.read_plan(ROOT / "bench" / "peers.toml").bars
    asked = {name: (bar.against or bar.than, bar.each_max, bar.mean_max, bar.plus)
             for name, bar in bars.items()}
    assert asked == {
        "batches": ("row", 1.05, 0.95, 0), "random_mixed": ("row", 0.85, None, 0),
        "handover": ("row", 0.85, None, 0), "larson": ("row", 0.95, None, 0),
        "cache_lines": ("row", 1.02, None, 0), "thread_churn": ("row", 1.0, None, 0),
        "realloc_growth": ("glibc", 1.2, None, 0), "large_blocks": ("row", 1.0, None, 0),
        "burst_later": ("start_kib", 1.1, None, 1.0), "burst_trim": ("start_kib", 1.1, None, 1.0),
        "drift": ("row", 1.0, None, 0), "latency": ("row", 1.0, None, 0),
        "programs_user": ("single", 1.02, 0.97, 0), "programs_peak": ("single", None, 1.0, 0)}
    assert {name for name, bar in bars.items() if bar.leave_out} == {"drift", "programs_peak"}


def test_the_batches_of_the_plan_are_every_size_count_and_order():
    plan = results.read_plan(ROOT / "bench" / "peers.toml")
    names = {case for suite in ("batches", "batches_mid") for case in plan.suites[suite].cases}
    for size in (16, 32, 64, 128, 256, 512, 1024, 2048, 8192, 32768):
        assert f"{size}.1.fifo" in names
        for count in (64, 1000, 4000, 100000):
            assert {f"{size}.{count}.{order}" for order in ("lifo", "fifo", "shuffled")} <= names


def test_every_real_program_of_the_plan_is_known():
    plan = results.read_plan(ROOT / "bench" / "peers.toml")
    for case in plan.suites["programs"].cases.values():
        for mode in plan.modes:
            program = real_programs.find(case.program, mode)
            assert program.both and all(step.compared for step in program.steps)


# ---- figures ------------------------------------------------------------------------------------


def test_figures_are_derived_from_what_programs_print():
    cell = {"ops": [1000], "user": [0.002], "system": [0.001], "resident_kib": [300],
            "live_kib": [200], "later_kib": [2048]}
    assert results.samples_of(cell, "cpu") == pytest.approx([3000])
    assert results.samples_of(cell, "per_live") == [1.5]
    assert results.samples_of(cell, "later_kib") == [2.0]


def test_a_ratio_compares_within_rounds():
    # Twice as slow a machine in the second round changes nothing.
    ratio = comparison.ratio_of([2, 4, 3], [1, 2, 1])
    assert (ratio.middle, ratio.low, ratio.high) == (2, 2, 2.5)
    assert comparison.ratio_of([3], [2]) == comparison.Ratio(1.5, 1.5, 1.5)
    assert comparison.ratio_of([], [2]) is None and comparison.ratio_of([1], [0]) is None


def cell(*nanoseconds, **more):
    """A cell whose operations took so long."""
    rounds = len(nanoseconds)
    return {"ops": [1] * rounds, "user": [value / 1e9 for value in nanoseconds],
            "system": [0.0] * rounds, "wall": [value / 1e9 for value in nanoseconds],
            "minor_faults": [1] * rounds, "peak_rss_kib": [1024] * rounds, **more}


def compared(plan, batches, burst=None):
    files = {"batches": batches} | ({"burst": burst} if burst else {})
    return comparison.Comparison(plan, {
        name: {"variants": TITLES, "cells": cells, "context": CONTEXT}
        for name, cells in files.items()})


def judged(plan, name, batches, burst=None):
    return compared(plan, batches, burst).judge(plan.bars[name])


def test_the_best_peer_is_that_of_each_row_and_never_ours(plan):
    found = compared(plan, {"16.lifo": {"ours": cell(1), "libc": cell(4), "fast": cell(9, 3, 3)},
                            "1024.lifo": {"ours": cell(1), "libc": cell(4), "fast": cell(5)}})
    rows = found.rows("batches")
    assert [found.best_peer(row) for row in rows] == ["fast", "libc"]
    assert found.best_peer(rows[0], leave_out=("fast",)) == "libc"


def test_more_is_the_lesser_cost_where_more_is_better(plan):
    found = compared(plan, {"16.lifo": {"ours": cell(2), "libc": cell(4)}})
    row = comparison.Row("batches", "16.lifo", "throughput")
    assert found.value(row, "ours").samples[0] > found.value(row, "libc").samples[0]
    assert found.ratio(row, "ours", "libc").middle == pytest.approx(0.5)


def three(*figures):
    """Three rows in which libc takes 10 and the peer 20."""
    return {f"{size}.lifo": {"ours": cell(figure), "libc": cell(10), "fast": cell(20)}
            for size, figure in zip((16, 1024, 4096), figures)}


@pytest.mark.parametrize(("figures", "state"), [
    ((9, 9, 10.4), "met"),
    ((1, 1, 10.6), "not met"),       # one row beyond its limit, however good the others
    ((9.8, 9.8, 9.8), "not met"),    # the mean beyond its limit
    ((9.5, 9.49, 9.5), "met"),
])
def test_a_bar_is_missed_by_a_row_or_by_the_mean(plan, figures, state):
    verdict = judged(plan, "batches", three(*figures))
    assert verdict.state == state and verdict.measured == verdict.asked == 3
    a, b, c = (figure / 10 for figure in figures)
    assert verdict.mean == pytest.approx((a * b * c) ** (1 / 3))
    assert verdict.worst == pytest.approx(max(figures) / 10) and verdict.peer == "libc"


def test_a_bar_of_which_not_all_was_measured_is_open_but_can_be_missed(plan):
    assert judged(plan, "batches", three(8, 8)).state == "open"
    assert judged(plan, "batches", three(8, 11)).state == "not met"
    nothing = judged(plan, "batches", {})
    assert nothing.state == "not measured" and nothing.mean is None


def test_a_row_on_which_ours_fails_is_missed_and_one_without_peers_says_nothing(plan):
    cells = three(8, 8, 8)
    cells["1024.lifo"]["ours"] = {"failed": "ended by signal 11"}
    verdict = judged(plan, "batches", cells)
    assert verdict.state == "not met" and "signal 11" in verdict.reason
    cells = three(8, 8, 8)
    for name in ("libc", "fast"):
        cells["16.lifo"][name] = {"failed": "ended by signal 11"}
    verdict = judged(plan, "batches", cells)
    assert (verdict.state, verdict.measured) == ("open", 2)
    alone = {case: {"ours": row["ours"], "libc": {"missing": "not there"}}
             for case, row in cells.items()}
    assert judged(plan, "batches", alone).state == "not measured"


def test_a_single_peer_is_the_best_over_all_rows_of_those_that_have_them(plan):
    cells = three(20, 20, 20)
    verdict = judged(plan, "single", cells)  # libc is left out by the bar
    assert verdict.peer == "fast" and verdict.state == "met" and verdict.mean == pytest.approx(1)
    assert judged(plan, "single", three(20, 20, 20.1)).state == "not met"
    cells["16.lifo"]["fast"] = {"failed": "no"}
    assert judged(plan, "single", cells).state == "not measured"


def test_a_figure_is_held_against_another_of_the_same_runs(plan):
    def burst(later):
        return {"one": {"ours": cell(1, start_kib=[10 * 1024], later_kib=[later * 1024])}}
    assert judged(plan, "burst", {}, burst(11.9)).state == "met"
    verdict = judged(plan, "burst", {}, burst(12.1))
    assert verdict.state == "not met" and verdict.worst == pytest.approx(1.21)


# ---- peers --------------------------------------------------------------------------------------


def test_a_library_with_malloc_is_a_peer_of_every_suite(plan, library):
    path = library("plain", MALLOC)
    more = compare.with_peers(plan, [f"plain={path}"])
    assert all(suite.variants[-1] == "plain" for suite in more.suites.values())
    assert bench_run.Allocators(path.parent, more).library("plain") == path
    file = bench_run.Allocators(path.parent, more).files()["plain"]
    assert file["file"] == "libplain.so" and file["bytes"] == path.stat().st_size
    assert re.fullmatch(r"[0-9a-f]{16}", file["sha256"])


@pytest.mark.parametrize(("peer", "message"), [
    ("plain", "wants NAME=PATH"), ("=/x.so", "wants NAME=PATH"), ("a b=/x.so", "wants NAME=PATH"),
    ("x=", "wants NAME=PATH"), ("x=/nowhere/lib.so", "is no file"),
    (f"x={pathlib.Path(__file__)}", "cannot be preloaded"), ("libc=/x.so", "already a variant"),
])
def test_what_is_no_peer_is_refused_with_the_reason(plan, peer, message):
    with pytest.raises(results.ResultsError, match=message):
        compare.with_peers(plan, [peer])


def test_a_library_that_programs_do_not_allocate_from_is_refused(plan, library):
    path = library("idle", "int idle;\n")
    with pytest.raises(results.ResultsError, match="do not call its malloc"):
        compare.with_peers(plan, [f"idle={path}"])
    path = library("dies", MALLOC.replace("return", "__builtin_trap(); return"))
    with pytest.raises(results.ResultsError, match="do not call its malloc"):
        compare.with_peers(plan, [f"dies={path}"])


# ---- the run ------------------------------------------------------------------------------------


class Small:
    """A build of scripts, and the comparison run on it."""

    def __init__(self, folder):
        self.folder, self.out = folder, folder / "out"
        (folder / "build/bin").mkdir(parents=True)
        program = folder / "build/bin/bench_fixed"
        program.write_text(GOOD)
        program.chmod(0o755)
        (folder / "plan.toml").write_text(PLAN)

    def run(self, *more):
        """In this process: starting one and loading matplotlib takes longer than the rest."""
        return compare.main(["--plan", str(self.folder / "plan.toml"), "--build",
                             str(self.folder / "build"), "--out", str(self.out), *more])

    def data(self, suite):
        return json.loads((self.out / f"{suite}.json").read_text(encoding="utf-8"))


def test_a_failing_peer_is_recorded_and_the_run_goes_on(tmp_path, library):
    small = Small(tmp_path)
    good, broken = library("plain", MALLOC), library("broken", MALLOC)
    assert small.run("--peer", f"plain={good}", "--peer", f"broken={broken}") == 0
    data = small.data("batches")
    row = data["cells"]["16.lifo"]
    assert len(row["ours"]["user"]) == len(row["plain"]["user"]) == 2
    assert row["broken"]["failed"] == "exit status 3: out of luck"
    assert row["fast"] == {"missing": "libfast-that-nobody-has.so is not installed"}
    assert "4096.lifo" not in data["cells"]  # quick mode leaves it out
    assert data["context"]["libraries"]["plain"]["file"] == "libplain.so"
    assert data["variants"]["plain"] == "plain"
    text = (small.out / "compare.md").read_text(encoding="utf-8")
    for said in (text, json.dumps(data)):
        assert str(tmp_path) not in said and str(good.parent) not in said
    assert "| 16 B, lifo | ns |" in text and "| failed |" in text and "libplain.so" in text
    assert re.search(r"\| Batches \|.*\| 1\.000 of libc, 16 B, lifo \| 2 of 3 \| not met \|", text)
    assert (small.out / "batches.png").read_bytes().startswith(b"\x89PNG")
    assert not (small.out / "journal.jsonl").exists()


def test_a_suite_alone_leaves_the_others_as_they_were(tmp_path):
    small = Small(tmp_path)
    assert small.run("--rounds", "1") == 0
    before = small.data("burst")
    assert small.run("--rounds", "3", "--only", "batches") == 0
    assert small.data("burst") == before
    assert len(small.data("batches")["cells"]["16.lifo"]["ours"]["user"]) == 3
    assert "## Burst" in (small.out / "compare.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("arguments", "message"), [
    (["--mode", "slow"], "no mode slow"), (["--only", "wide"], "no suite wide"),
    (["--rounds", "0"], "at least one"), (["--build", "nowhere"], "nothing is built"),
    (["--peer", "x=/nowhere.so"], "is no file"), (["--plan", "none.toml"], "none.toml"),
    (["--render"], "nothing was measured yet"),
])
def test_a_wrong_argument_is_refused(tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=f"compare.py: .*{message}"):
        Small(tmp_path).run(*arguments)


def test_a_metric_that_a_record_does_not_have_was_not_measured(plan):
    old = cell(8, sources="")
    del old["user"]
    found = compared(plan, {"16.lifo": {"ours": old, "libc": cell(10)}})
    value = found.value(comparison.Row("batches", "16.lifo", "cpu"), "ours")
    assert (value.state, value.reason) == (results.MISSING, "recorded before it was counted")


def test_the_variants_of_a_case_follow_each_other(plan):
    runner = bench_run.Runner(plan, None, type("Empty", (), {"seconds": 0.0}), {},
                              random.Random(1), neighbours=True)
    jobs = [(bench_run.Job("batches", case, variant), 0) for case in "abcdef"
            for variant in ("ours", "libc", "fast")]
    turns = list(jobs)
    runner._shuffle(turns)
    cases = [job.case for job, _ in turns]
    assert sorted(map(str, turns)) == sorted(map(str, jobs)) and cases != sorted(cases)
    assert all(len(set(cases[at:at + 3])) == 1 for at in range(0, 18, 3))
    firsts = {turns[at][0].variant for at in range(0, 18, 3)}
    assert len(firsts) > 1


@pytest.fixture
def real(plan, tmp_path, library, monkeypatch):
    """Runs shell commands as if they were the real programs of the plan."""
    more = compare.with_peers(plan, [f"plain={library('plain', MALLOC)}"])

    def run(text, variant, needs=("sh",)):
        program = programs.Program("x", list(needs), [programs.Step(["sh", "-c", text])])
        monkeypatch.setattr(real_programs, "find", lambda name, mode: program)
        with bench_run.measure.Launcher() as launcher:
            bench = bench_run.Bench(tmp_path, bench_run.Allocators(tmp_path, more), [launcher],
                                    tmp_path, "quick")
            return bench.command(plan.suites["burst"].cases["one"], variant)

    return run


def test_a_real_program_must_say_what_it_says_on_glibc(real, tmp_path):
    taken = real("pwd; echo well > made; test -f made", "plain")
    assert taken["wall"] > 0 and taken["peak_rss_kib"] > 500 and taken["minor_faults"] > 0
    # Once on glibc, for what it should say; then unmeasured and measured.
    real("echo $0 >> ../runs", "plain")
    assert len((tmp_path / "runs").read_text().splitlines()) == 3
    with pytest.raises(bench_run.Failure, match="another output than on glibc"):
        real("echo $LD_PRELOAD", "plain")
    with pytest.raises(bench_run.Failure, match="exit status 3"):
        real('test -z "$LD_PRELOAD" || exit 3', "plain")
    with pytest.raises(bench_run.Missing, match="no-such-program: not installed"):
        real("true", "plain", needs=("no-such-program",))


# ---- what people read ---------------------------------------------------------------------------


def test_words_of_ratios_and_bars(plan):
    assert compare_report.ratio_words(comparison.Ratio(0.9, 0.8, 1)) == "0.900 (0.80–1.00)"
    assert compare_report.ratio_words(None) == ""
    assert comparison.bar_words(plan.bars["batches"]) == (
        "each row ≤ 1.05, geometric mean ≤ 0.95 of the best peer of each row")
    assert comparison.bar_words(plan.bars["single"]) == (
        "geometric mean ≤ 1.00 of the best single peer, libc left out")
    assert comparison.bar_words(plan.bars["burst"]) == "at most 1.10 of it + 1 MiB"


def test_a_row_without_peers_has_no_place_in_a_plot(plan, tmp_path):
    found = compared(plan, {"16.lifo": {"ours": cell(1), "libc": {"failed": "no"}}})
    compare_report.draw(found, "batches", tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    assert "| failed |" in compare_report.markdown(found)


# ---- the pages ----------------------------------------------------------------------------------


@pytest.fixture
def recorded(small_docs):
    """A small documentation with a plan of peers; call it to record cells."""
    bench = small_docs.tree / "bench"
    (bench / "programs").mkdir(parents=True)
    (bench / "peers.toml").write_text(PLAN)
    (bench / "programs/fixed.cpp").write_text("int main() {}\n")
    (small_docs.tree / "docs/reported.json").write_text('{"tables": [], "facts": {}}')
    sources = results.Sources(small_docs.tree).cell("fixed", "")

    def record(cells, machine="anvil", **context):
        path = bench / "comparison" / machine / "batches.json"
        path.parent.mkdir(parents=True)
        about = CONTEXT | {"virtual": False, "memory_mib": 64} | context
        for row in cells.values():
            for name, found in row.items():
                row[name] = {"sources": sources} | found
        path.write_text(json.dumps({"format": results.FORMAT, "suite": "batches", "cells": cells,
                                    "context": about, "variants": TITLES}))

    return record


def words(page):
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_a_page_shows_the_newest_comparison_and_its_verdicts(small_docs, recorded):
    recorded(three(99, 99, 99), "older", finished="2025-01-01T00:00:00+00:00")
    recorded(three(8, 9, 12) | {
        "1024.lifo": {
            "ours": cell(9), "libc": cell(10), "fast": {"failed": "ended by signal 11"}},
        "4096.lifo": {
            "ours": cell(11, 12, 13), "libc": cell(10, 10, 10), "fast": cell(20, 20, 20)}},
        libraries={"fast": {"file": "libfast.so", "bytes": 1234, "sha256": "ab12"}})
    page, warnings = small_docs.build("""\
        .. peers-run::
        .. peers-bars::
        .. peers-table:: batches
        .. peers-plot:: batches
        """)
    text = words(page)
    assert not warnings
    assert "anvil" in text and "older" not in text
    assert "libfast.so, 1,234 bytes, SHA-256 ab12" in text
    assert "1.200 of libc, 4,096 B, lifo 3 of 3 not met" in text
    assert "16 B, lifo ns 0.80 libc 8 10 20" in text
    assert "4,096 B, lifo ns 1.20 1.15–1.25, libc 12 11–13 10 20" in text
    assert 'title="ended by signal 11">failed<' in page
    assert "16 B, lifo: Ours 0.800, libc 1, Fast 2" in page and "<svg role" in page
    assert "stale" not in text


def test_a_page_says_what_is_stale_and_what_was_never_taken(small_docs, recorded):
    page, warnings = small_docs.build(".. peers-bars::\n.. peers-table:: batches\n")
    assert not warnings and words(page).count("Not measured. No comparison is recorded") == 2
    assert "tools/compare.py --record" in words(page)  # to be copied: no dash instead of two
    recorded({"16.lifo": {"ours": cell(8, sources="of older code"), "libc": cell(10)}})
    page, warnings = small_docs.build(
        ".. peers-table:: batches\n\n.. peers-plot:: burst\n\n.. peers-bars::\n")
    assert not warnings and page.count('class="figure stale"') == 2  # the figure and its ratio
    assert "open, stale" in words(page)
    assert "Not measured." in words(page)
    _, warnings = small_docs.build(".. peers-table:: wide\n")
    assert "no suite wide" in warnings
