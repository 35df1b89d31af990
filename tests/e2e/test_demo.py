"""The main job, end to end: the demo's load with the web UI, watched live, compared with the target.

One run of 36 s for all tests of this module: it is watched while it runs, crawled when it has ended, and
searched for everything personal that the target sent.
"""

from __future__ import annotations

import json
import re
import signal
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from comparison import differences
from harness import LOCUSTFILES, Child, Place, Target, demo_target, free_port, ledger_is_balanced, wait_for

from streamlab_plugin.demo.person import personal_values

DURATION_S = 36
SEED = 11
LOCUST_PAGES = (
    "/", "/stats/requests", "/stats/requests/csv", "/stats/failures/csv", "/stats/requests_full_history/csv",
    "/exceptions", "/exceptions/csv", "/stats/report", "/logs", "/tasks",
)  # fmt: skip


@dataclass
class Watched:
    """What was seen of the run."""

    place: Place
    target: Target
    base: str
    first_shown_at: float = 0.0
    first_seen: dict[tuple[str, str], float] = field(default_factory=dict)
    fixes: dict[tuple[str, str], str | None] = field(default_factory=dict)
    schedule: dict[str, Any] = field(default_factory=dict)
    pages: dict[str, str] = field(default_factory=dict)
    log: Child | None = None
    exit_code: int | None = None


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{url}: {error}") from error


def _watch(watched: Watched) -> None:
    """Poll the API each half second until the verdict, noting when each anomaly appeared."""
    deadline = time.monotonic() + DURATION_S + 60
    while time.monotonic() < deadline:
        time.sleep(0.5)
        try:
            overview = json.loads(_get(f"{watched.base}/streamlab/api/v1/overview"))
            anomalies = json.loads(_get(f"{watched.base}/streamlab/api/v1/anomalies"))
        except (urllib.error.URLError, ConnectionError):
            continue
        now = time.time()
        if not watched.first_shown_at and (overview.get("totals") or {}).get("count"):
            watched.first_shown_at = now
        for one in anomalies["anomalies"]:
            name = (one["anomaly_type"], one["endpoint"])
            watched.first_seen.setdefault(name, now)
            watched.fixes[name] = one["fix"]
        if watched.place.value("SELECT count(*) FROM verdicts"):
            return
    raise AssertionError(f"no verdict:\n{watched.log.text()[-3000:] if watched.log else ''}")


def _crawl(watched: Watched) -> None:
    """Fetch every page and API answer that can be reached from the pages, and Locust's own."""
    waiting = [f"/streamlab/{part}" for part in ("", "anomalies/", "runs/", "api/v1/overview", "api/v1/runs",
                                                "api/v1/anomalies", "api/v1/health")]  # fmt: skip
    while waiting and len(watched.pages) < 300:
        path = waiting.pop()
        if path in watched.pages:
            continue
        watched.pages[path] = text = _get(watched.base + path)
        text = re.sub(r"(?s)<template.*?</template>", "", text)  # filled in by the page's script
        found = re.findall(r'(?:href|src)="(/streamlab/[^"#]*)"', text)
        for run in re.findall(r"/streamlab/runs/([0-9a-f-]{36})/", text):
            found += [f"/streamlab/api/v1/runs/{run}{part}" for part in ("", "/timeline", "/endpoints")]
        for number in re.findall(r"/streamlab/anomalies/(\d+)/", text):
            found.append(f"/streamlab/api/v1/anomalies/{number}")
        waiting += [path.replace("&amp;", "&") for path in found]
    for path in LOCUST_PAGES:
        watched.pages[path] = _get(watched.base + path)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Watched:
    """Run the demo's load with the web UI."""
    place = Place(tmp_path_factory.mktemp("demo"))
    place.variables["STREAMLAB_DEMO_SEED"] = str(SEED)
    with demo_target(place, duration_s=DURATION_S, seed=SEED) as target:
        port = free_port()
        found = Watched(place, target, f"http://127.0.0.1:{port}")
        locust = place.start(
            sys.executable, "-m", "locust", "-f", str(LOCUSTFILES / "demo.py"), "-u", "20", "-r", "10",
            "--autostart", "--run-time", f"{DURATION_S}s", "--web-host", "127.0.0.1", "--web-port", str(port),
            "--csv", "stats", "--csv-full-history", "--html", "report.html",
            log="console.log",
        )  # fmt: skip
        found.log = locust
        try:
            _watch(found)
            found.schedule = json.loads(_get(f"http://127.0.0.1:{target.ready['http']}/demo/schedule"))
            _crawl(found)
            locust.signal_group(signal.SIGINT)
            found.exit_code = locust.wait(60)
        finally:
            locust.kill()
    wait_for(lambda: not list((place.folder / "run" / "streamlab").glob("*.sock")), "the recorder has ended")
    return found


class TestDemo:
    """The demo's load."""

    def test_the_rows_are_what_the_target_saw(self, watched: Watched) -> None:
        """Requests, pushes, publishes and deliveries, one by one."""
        assert [] == differences(watched.place, watched.target)
        assert ledger_is_balanced(watched.place)

    def test_live_numbers_come_within_three_seconds(self, watched: Watched) -> None:
        """Of the first request."""
        first = watched.place.value("SELECT min(started_at) FROM records")
        assert 0 < watched.first_shown_at - first < 3

    def test_every_misbehaviour_is_found_with_a_fix_within_fifteen_seconds(self, watched: Watched) -> None:
        """As an anomaly of the right type on the right endpoint."""
        started = watched.schedule["started_at"]
        assert 6 == len(watched.schedule["schedule"])
        for entry in watched.schedule["schedule"]:
            kind, endpoint = entry["expected_type"], entry["endpoint"].rstrip("/")
            matches = [
                name for name in watched.first_seen if name[0] == kind and name[1].startswith(endpoint)
            ]
            assert matches, (
                f"{entry['expected_type']} on {entry['endpoint']} not in {sorted(watched.first_seen)}"
            )
            delay = min(watched.first_seen[name] for name in matches) - (started + entry["at_s"])
            assert delay < 15, f"{entry['expected_type']} after {delay:.1f} s"
            assert all(watched.fixes[name] for name in matches)

    def test_every_page_answers(self, watched: Watched) -> None:
        """Pages, their data and their files."""
        assert 40 < len(watched.pages)
        assert "/streamlab/" in watched.pages["/"], "Locust's page links to ours"
        assert 'href="/"' in watched.pages["/streamlab/"], "and back"

    def test_no_personal_value_is_anywhere(self, watched: Watched) -> None:
        """S002-04: Not in database, write-ahead log, CSV, HTML, console, logs, pages or API answers."""
        sent = personal_values(SEED)
        # A cut-off token or voice sample must not go unnoticed either.
        wanted = {value for value in sent if len(value) >= 6} | {
            value[:24] for value in sent if len(value) > 40
        }
        assert len(wanted) > 150
        texts = {name: text.encode() for name, text in watched.pages.items()}
        skipped = (".py", ".pyc", "target.jsonl")
        for path in watched.place.folder.rglob("*"):
            if path.is_file() and not path.name.endswith(skipped) and "key" != path.name:
                texts[str(path)] = path.read_bytes()
        for name in (
            "streamlab.db",
            "console.log",
            "report.html",
            "stats_failures.csv",
            "stats_exceptions.csv",
        ):
            assert any(Path(text).name == name for text in texts), name
        found = [(name, value) for name, text in texts.items() for value in wanted if value.encode() in text]
        assert [] == found

    def test_the_task_exception_was_shown_without_its_secret(self, watched: Watched) -> None:
        """It did happen, and its text is clean where Locust shows it."""
        assert "no profile for [email]" in watched.pages["/exceptions"]
        assert watched.log is not None
        assert "no profile for [email]" in watched.log.text()

    def test_the_table_of_locust_has_no_interrupted_request(self, watched: Watched) -> None:
        """Interrupted requests are rows of ours only."""
        rows = watched.place.value("SELECT count(*) FROM records_flat WHERE outcome != 'interrupted'")
        # Locust renews its file once a second, and a run that ends does not wait for that.
        csv = watched.pages["/stats/requests/csv"].splitlines()
        assert rows == int(csv[-1].split(",")[2])

    def test_the_verdict_is_breached(self, watched: Watched) -> None:
        """The demo misbehaves beyond its error budgets."""
        assert [("breached", 1)] == watched.place.query("SELECT verdict, exit_code FROM verdicts")
        assert 1 == watched.place.streamlab("slo", "check").returncode


class TestDemoCommand:
    """`streamlab demo`."""

    def test_headless(self, place: Place) -> None:
        """Schedule, progress, summary, exit 0 although the verdict is breached."""
        result = place.streamlab("demo", "--headless", "--duration", "20", timeout_s=120)
        assert 0 == result.returncode, result.stdout
        assert "6 of 6 misbehaviours found" in result.stdout
        assert "balanced" in result.stdout
        assert re.search(r"dropped [1-9].* hashed [1-9].* bucketed [1-9]", result.stdout)
        assert "confidence" in result.stdout
        assert "breached" in result.stdout
        assert "Traceback" not in result.stdout
