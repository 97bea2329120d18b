"""The report of a job: its figures are the summary's, what is in it is text, and the page asks nobody for anything."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from click.testing import CliRunner
from flow_stores import CHANNEL

from gridstride.pipeline import api
from gridstride.pipeline import job as jobs
from gridstride.pipeline.commands.main import main
from gridstride.pipeline.errors import JobFailed, UsageError
from gridstride.pipeline.events.events import FILE as EVENTS
from gridstride.pipeline.events.events import Events
from gridstride.pipeline.events.spans import FILE as SPANS
from gridstride.pipeline.events.spans import Row
from gridstride.pipeline.options import RunOptions
from gridstride.pipeline.reports import report
from gridstride.pipeline.reports.charts import GRID, INK
from gridstride.pipeline.reports.history import History
from gridstride.pipeline.reports.page import render
from gridstride.pipeline.reports.report import write_report
from gridstride.pipeline.reports.simulations import run_shown
from gridstride.pipeline.simulations import simulation
from gridstride.pipeline.simulations.case import make_case
from gridstride.pipeline.storage.journal import Journal
from gridstride.workers import cluster

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script>&\"'$x_1$.zarr".replace("/", "\N{DIVISION SLASH}")
HOSTILE_CHANNEL = {**CHANNEL, "name": "<b>hostile</b> & $x^2$ channel"}
# Hosts that Chromium itself may try, whatever page it shows.
ITS_OWN = ("google.com", "googleapis.com", "gvt1.com", "gstatic.com")


class Parsed(HTMLParser):
    """A page taken apart: text by id, tables by the id of their section, and what could ask for something."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.texts: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, list[list[str]]] = {}
        self.title = self.drawn = ""
        self._open: list[tuple[str, str | None]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append((tag, values))
        if name := values.get("id"):
            self.ids.append(name)
        if tag not in ("meta", "img", "br"):
            self._open.append((tag, values.get("id")))
        section = next((name for kind, name in reversed(self._open) if kind == "section"), None)
        if section and tag == "tr":
            self.rows.setdefault(section, []).append([])
        elif section and tag in ("td", "th"):
            self.rows[section][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if name := dict(attrs).get("id"):
            self.ids.append(name)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        for tag, name in self._open:
            if name:
                self.texts[name] = self.texts.get(name, "") + data
            if tag == "title":
                self.title += data
            if tag == "text":
                self.drawn += data + "\n"
        section = next((name for kind, name in reversed(self._open) if kind == "section"), None)
        if section and any(kind in ("td", "th") for kind, _ in self._open):
            self.rows[section][-1][-1] += data

    def facts(self, section: str) -> dict[str, str]:
        return {row[0]: row[1] for row in self.rows[section] if len(row) == 2}


def asks_for(page: Parsed, text: str) -> list[str]:
    """Every address that a browser would load something from."""
    found = [str(value) for _, values in page.tags for name, value in values.items()
             if name in ("src", "href", "xlink:href", "srcset", "data", "action", "poster", "background")]  # fmt: skip
    found += re.findall(r"url\(([^)]*)\)", text) + re.findall(r"@import[^;]*", text)
    return [address for address in found if not address.strip("'\"").startswith(("data:image/png;base64,", "#"))]


def check_page(text: str) -> Parsed:
    """What holds for every report."""
    page = Parsed(text)
    assert text.startswith("<!DOCTYPE html>")
    assert asks_for(page, text) == []
    kinds = {tag for tag, _ in page.tags}
    assert not kinds & {"script", "iframe", "object", "embed", "link", "base", "form"}
    assert not [name for _, values in page.tags for name in values if name.startswith("on")]
    assert len(page.ids) == len(set(page.ids)), "two elements have one id"
    assert INK not in text, "a chart must take its colours from the page, light or dark"
    assert GRID not in text
    pictures = [values for tag, values in page.tags if tag == "img"]
    assert all(values.get("alt") for values in pictures)
    around = [values for (_, values), (tag, _) in pairwise(page.tags) if tag == "svg"]
    assert all(values.get("role") == "img" and values.get("aria-label") for values in around)
    policy = [
        v["content"] for tag, v in page.tags if tag == "meta" and v.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    return page


@pytest.fixture(scope="module")
def client() -> Any:
    with cluster.start("cpu", cluster.Size(1, 2, 4_000_000_000)) as client:
        yield client


def broken_job(store: Any, out: Path, name: str, report: Path | None = None) -> Any:
    """A job of five blocks, prepared, of which one cannot be read."""
    array = np.random.default_rng(0).random((40, 16)).astype(np.float32)
    source = store(array, (8, 16), name=name, dimension_names=["<i>y</i>", "$x$"])
    Path(source, "c", "2", "0").write_bytes(b"broken")
    options = RunOptions(device="cpu", block=(8, 16), halos="exchange", report=str(report) if report else None)
    return api.prepare("uniform", source, out, size=1, axes=["<i>y</i>", "$x$"], options=options)


def test_the_figures_of_a_failed_job_are_the_summarys(store: Any, tmp_path: Path, client: Any) -> None:
    out, file = tmp_path / f"out-{HOSTILE}", tmp_path / "report.html"
    summary = api.run(broken_job(store, out, HOSTILE, file), client)
    text = file.read_text()
    page = check_page(text)
    assert page.title == f"uniform: {HOSTILE} → out-{HOSTILE}"
    assert page.texts["outcome"] == "Failed"
    assert page.texts["done"] == f"{summary.computed} of {summary.plan.blocks}" == "4 of 5"
    assert page.texts["rate"] == f"{summary.voxels_per_second / 1e6:.1f} Mvoxel/s"
    assert page.texts["data"] == "2.05 kB, 2.05 kB"
    assert (summary.bytes_in, summary.bytes_out) == (2048, 2048)
    assert page.texts["faults"] == "1 block failed, 1 block given up"
    total = sum(summary.stages.values()) + summary.idle
    for name, spent in {**summary.stages, "idle": summary.idle}.items():
        if spent > 0:
            assert name in page.drawn
            assert f"{spent:.2f} s ({spent / total:.0%})" in page.drawn
    faults = page.rows["events"]
    assert [row[1:4] for row in faults[1:]] == [["block failed", "1", "2.0"], ["block lost", "1", "2.0"]]
    assert "chunk c/2/0" in faults[2][4]
    assert page.facts("plan")["blocks"] == "5 of 8 x 16 (grid 5 x 1)"
    assert page.facts("plan")["from"].endswith(HOSTILE)
    assert page.rows["runs"][1][3:6] == ["0", "failed: 1 blocks failed", "1 block failed, 1 block given up"]
    assert re.search(r"python 3\.\d+\.\d+, gridstride \d", page.facts("machine")["versions"])
    assert "worker 0, thread 1" in page.drawn
    # The input cannot be drawn, its result can.
    assert "No picture of the input" in page.texts["pictures"]
    assert sum(tag == "img" for tag, _ in page.tags) == 1


def test_a_job_that_was_mended_tells_of_both_runs(store: Any, tmp_path: Path, client: Any) -> None:
    out, file = tmp_path / "out", tmp_path / "report.html"
    job = broken_job(store, out, "in.zarr")
    first = api.run(job, client)
    good = job.input.path
    shutil.copy(Path(good, "c", "1", "0"), Path(good, "c", "2", "0"))
    second = api.run(jobs.resume(out, RunOptions(report=str(file))), client)
    assert (first.computed, second.computed) == (4, 1)
    page = check_page(file.read_text())
    assert page.texts["outcome"] == "Finished, after faults"
    assert page.texts["done"] == "5 of 5"
    both = first.voxels + second.voxels
    assert page.texts["rate"] == f"{both / (first.seconds + second.seconds) / 1e6:.1f} Mvoxel/s"
    assert page.texts["data"] == "2.56 kB, 2.56 kB"
    kernel = first.stages["kernel"] + second.stages["kernel"]
    assert f"{kernel:.2f} s (" in page.drawn
    assert [row[3] for row in page.rows["runs"][1:]] == ["0", "4"]
    assert "run 2" in page.drawn
    assert "uniform" in page.title


def test_a_simulation_shows_its_flow_and_its_figures(tmp_path: Path, client: Any) -> None:
    out, file = tmp_path / "flow", tmp_path / "flow.html"
    options = RunOptions(device="cpu", report=str(file))
    summary = run_shown(simulation.prepare(make_case(HOSTILE_CHANNEL), out, options), client)
    page = check_page(file.read_text())
    assert page.title == HOSTILE_CHANNEL["name"]
    assert page.texts["outcome"] == "Finished"
    assert page.texts["done"] == f"{summary.last} of {summary.last}"
    assert page.texts["time"] == "t = 0.2 of 0.2"
    assert page.texts["rate"] == f"{summary.cell_steps_per_second / 1e6:.1f} Mcell-steps/s"
    assert page.texts["faults"] == "none"
    assert page.texts["remarks"] == "; ".join(summary.warnings) != ""
    assert "events" not in page.rows
    assert f"{summary.stages['kernel']:.2f} s (" in page.drawn
    assert sum(tag == "img" for tag, _ in page.tags) == 2  # at the beginning and at the end
    assert "kinetic energy" in page.drawn
    assert "viscosity: 0.05" in page.texts["case"]


def test_a_report_is_written_when_the_job_is_stopped_or_breaks(tmp_path: Path, store: Any, client: Any) -> None:
    for error in (KeyboardInterrupt(), JobFailed("the cluster is gone")):
        out, file = tmp_path / type(error).__name__, tmp_path / f"{type(error).__name__}.html"

        class Broken:
            def __getattr__(self, name: str, error: BaseException = error) -> Any:
                raise error

        with pytest.raises(type(error)):
            api.run(broken_job(store, out, f"{type(error).__name__}.zarr", file), Broken())
        page = check_page(file.read_text())
        assert page.texts["outcome"] == ("Stopped" if isinstance(error, KeyboardInterrupt) else "Failed")
        assert page.texts["done"] == "0 of 5"
        assert f"gridstride resume {out}" in file.read_text()


def test_another_file_is_not_replaced_and_nothing_is_begun(tmp_path: Path, store: Any, client: Any) -> None:
    file, out = tmp_path / "thesis.html", tmp_path / "out"
    file.write_text("years of work")
    job = broken_job(store, out, "in.zarr", file)
    with pytest.raises(UsageError, match="is not a gridstride report"):
        api.run(job, client)
    assert file.read_text() == "years of work"
    assert not out.exists()
    for name, why in (("report.txt", "expected a file name that ends in"), ("no/report.html", "is not a folder")):
        with pytest.raises(UsageError, match=why):
            report.check_report(tmp_path / name)
    api.run(broken_job(store, out, "in2.zarr"), client)
    result = CliRunner().invoke(main, ["report", str(out), str(tmp_path / "one.html")])
    assert result.output == f"wrote {tmp_path / 'one.html'}\n"
    first = (tmp_path / "one.html").read_text()
    write_report(out, tmp_path / "one.html")  # an older report is
    assert check_page((tmp_path / "one.html").read_text()).title == check_page(first).title


def test_no_secret_gets_into_a_report(tmp_path: Path, store: Any, client: Any, monkeypatch: Any) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    argv = ["gridstride", "filter", "s3://key:hunter2@bucket/a?X-Amz-Signature=hunter2", "--sigma", "1"]
    monkeypatch.setattr("sys.argv", argv)
    out = tmp_path / "out"
    api.run(broken_job(store, out, "in.zarr", tmp_path / "report.html"), client)
    folder = Journal(out).folder
    for text in ((folder / EVENTS).read_text(), (tmp_path / "report.html").read_text()):
        assert "hunter2" not in text
        assert "s3://***@bucket/a?X-Amz-Signature=***" in text


def test_a_job_without_events_still_has_a_report(tmp_path: Path, store: Any, client: Any) -> None:
    out = tmp_path / "out"
    api.run(broken_job(store, out, "in.zarr"), client)
    for name in (EVENTS, SPANS):
        (Journal(out).folder / name).unlink()
    write_report(out, tmp_path / "report.html")
    page = check_page((tmp_path / "report.html").read_text())
    assert (page.texts["outcome"], page.texts["done"]) == ("Cut short", "4 of 5")


@pytest.fixture
def told(tmp_path: Path, store: Any, client: Any) -> Any:
    """A function that makes the story of a job from events: (seconds, event, facts)."""
    out = tmp_path / "told"
    api.run(broken_job(store, out, "told.zarr"), client)
    folder = Journal(out).folder

    def tell(events: list[tuple[float, str, dict[str, Any]]], rows: list[Row]) -> History:
        (folder / EVENTS).unlink()
        with Events() as sayer:
            for at, name, facts in events:
                sayer.say(name, name)
                line = {"time": f"2026-01-01T00:{int(at) // 60:02}:{at % 60:06.3f}Z", "level": "info", "event": name}
                with (folder / EVENTS).open("a") as file:
                    file.write(json.dumps({**line, "text": name, **facts}) + "\n")
        with (folder / SPANS).open("w") as file:
            for row in rows:
                file.write(json.dumps([row.worker, row.thread, row.begin, row.end, row.stages]) + "\n")
        return History(out)

    return tell


BASE = 1767225600.0  # 2026-01-01T00:00:00Z


def test_time_at_work_leaves_out_the_time_between_runs(told: Any) -> None:
    begun = {"done": 0, "total": 5, "unit": "blocks"}
    story = told(
        [
            (0, "started", begun),
            (2, "cluster", {"workers": [{"worker": "tcp://a", "name": "0", "threads": 2}], "count": 1}),
            (6, "progress", {"done": 1, "voxels": 4_000_000}),
            (10, "progress", {"done": 2, "voxels": 8_000_000}),
            (1000, "resumed", begun),
            (1001, "cluster", {"workers": [{"worker": "tcp://b", "name": "0", "threads": 2}], "count": 1}),
            (1005, "progress", {"done": 3, "voxels": 16_000_000}),
        ],
        [],
    )
    assert story.borders == [0, 10]
    assert story.span == pytest.approx(15)
    assert [story.at_work(BASE + at) for at in (-5, 4, 500, 1004, 2000)] == pytest.approx([0, 4, 10, 14, 15])
    (first, second), label = story.paces()
    assert label == "Mvoxel/s"
    np.testing.assert_allclose(first.times, [2, 6, 10], atol=1e-6)
    np.testing.assert_allclose(first.rates, [1, 1])
    np.testing.assert_allclose(second.times, [11, 15], atol=1e-6)
    np.testing.assert_allclose(second.rates, [4])
    check_page(render(story))


def test_a_rate_is_that_of_an_interval_worth_the_name(told: Any) -> None:
    """Blocks come in by the dozen: a hundred at a time, within milliseconds."""
    progress = [(n + i / 1000, "progress", {"voxels": 1e6 * (n * 100 + i)}) for n in range(1, 50) for i in range(100)]
    story = told([(0, "started", {"done": 0, "total": 5, "unit": "blocks"}), *progress], [])
    (pace,), _ = story.paces()
    rates = np.array(pace.rates)
    assert rates.size > 40
    assert pace.times[-1] == pytest.approx(49.099)
    assert rates.min() > 50
    assert rates.max() < 200
    assert float(rates @ np.diff(pace.times)) == pytest.approx(4999)


def test_a_worker_that_is_started_again_keeps_its_lane(told: Any) -> None:
    workers = [{"worker": "tcp://a", "name": "0", "threads": 1}, {"worker": "tcp://b", "name": "1", "threads": 1}]
    story = told(
        [
            (0, "started", {"done": 0, "total": 5, "unit": "blocks"}),
            (1, "cluster", {"workers": workers, "count": 2}),
            (5, "worker-lost", {"worker": "tcp://a", "name": "0", "level": "warning"}),
            (6, "worker-restarted", {"worker": "tcp://c", "name": "0"}),
            (9, "progress", {"done": 1, "voxels": 1}),
        ],
        [
            Row("tcp://a", 11, BASE + 2, BASE + 3, {"kernel": 1.0}),
            Row("tcp://b", 12, BASE + 2, BASE + 4, {"kernel": 1.5, "encode + write": 0.5}),
            Row("tcp://c", 13, BASE + 7, BASE + 8, {"kernel": 1.0}),
            Row("tcp://b", 14, BASE + 7, BASE + 8, {"read + decode": 1.0}),
        ],
    )
    lanes = story.lanes()
    assert [lane.name for lane in lanes] == ["worker 0, thread 1", "worker 1, thread 1", "worker 1, thread 2"]
    assert [len(lane.rows) for lane in lanes] == [2, 1, 1]
    assert [list(lane.lost) for lane in lanes] == [pytest.approx([5]), [], []]
    assert story.stages() == pytest.approx({"kernel": 3.5, "encode + write": 0.5, "read + decode": 1.0})
    page = check_page(render(story))
    assert "worker lost" in page.drawn
    assert page.texts["faults"] == "1 worker lost"


def test_a_strangers_stage_is_neither_html_nor_a_formula(told: Any) -> None:
    stage = "$\\frac{$<script>alert(1)</script>"
    events = [(0, "started", {"done": 0, "total": 5, "unit": "blocks"}), (9, "progress", {"done": 1, "voxels": 1})]
    page = check_page(render(told(events, [Row("$_$<i>", 1, BASE + 1, BASE + 3, {stage: 2.0})])))
    assert page.drawn.count(stage) == 2  # a bar, and the timeline's legend
    assert f"{stage} 2.00 s (100%)" in next(v["aria-label"] for _, v in page.tags if "aria-label" in v)
    assert "$_$<i>, thread 1" in page.drawn


def test_a_flood_of_shapes_becomes_a_picture(told: Any) -> None:
    rows = [Row(f"tcp://{n % 60}", 1, BASE + n / 100, BASE + (n + 0.5) / 100, {"kernel": 0.005}) for n in range(6000)]
    begun = {"done": 0, "total": 5, "unit": "blocks"}
    story = told([(0, "started", begun), (59, "progress", {"done": 1, "voxels": 1})], rows)
    text = render(story)
    page = check_page(text)
    assert "48 of 60 threads are shown" in page.texts["timeline"]
    assert any(tag == "image" for tag, _ in page.tags)
    assert len(text) < 2_000_000


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--proxy-server=http://127.0.0.1:9",  # nobody is there: what it asks for it does not get, but it is logged
]  # fmt: skip


def browse(page: Path, folder: Path) -> tuple[str, set[str]]:
    """The page as Chromium has it, and the hosts that were asked for something."""
    log = folder / "net.json"
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}", "--dump-dom"]
    done = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, timeout=120, check=True)
    addresses = re.findall(r'"url":"((?:https?|wss?|ftp)://[^"]*)"', log.read_text())
    return done.stdout, {str(urlsplit(address).hostname) for address in addresses}


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium (Debian: apt-get install chromium)")
def test_a_browser_shows_the_figures_and_asks_nobody(store: Any, tmp_path: Path, client: Any) -> None:
    out, file = tmp_path / "out", tmp_path / "report.html"
    summary = api.run(broken_job(store, out, HOSTILE, file), client)
    shown, hosts = browse(file, tmp_path / "a")
    assert {host for host in hosts if not host.endswith(ITS_OWN)} == set()
    page = Parsed(shown)
    assert page.texts["outcome"] == "Failed"
    assert page.texts["done"] == f"{summary.computed} of {summary.plan.blocks}"
    assert f"{summary.stages['kernel']:.2f} s (" in page.drawn
    assert not [tag for tag, _ in page.tags if tag == "script"]
    assert HOSTILE in page.title
    # The test sees a request where there is one.
    planted = tmp_path / "planted.html"
    text = re.sub(r"<meta http-equiv[^>]*>", "", file.read_text())
    planted.write_text(text.replace("</main>", '<img src="http://tracker.example/x.png" alt="x"></main>'))
    assert "tracker.example" in browse(planted, tmp_path / "b")[1]
    # And the page's policy would stop it.
    planted.write_text(file.read_text().replace("</main>", '<img src="http://tracker.example/x.png" alt="x"></main>'))
    assert "tracker.example" not in browse(planted, tmp_path / "c")[1]
