"""Row 7: how soon pages and queries answer over five million records, while more records come in."""

from __future__ import annotations

import contextlib
import http.client
import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import urlsplit

from sqlalchemy import Connection, Engine

from benchmarks import past
from benchmarks.figure import Figure, percentile
from benchmarks.past import DAY_S, PastRun
from benchmarks.place import ENGINES, LABELS, Place, place_on
from benchmarks.postgres import new_server
from benchmarks.process import progress
from streamlab_plugin.store import queries
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.range_queries import range_summary
from streamlab_plugin.web import documents
from streamlab_plugin.web.memory import Memory

INGEST_RATE = 2_000
MUST_MS = 50.0
MOONSHOT_MS = 20.0
# The live window that the overview shows is full after this.
WINDOW_S = 60.0
PREFIX = "/streamlab"

# What a row is about, and the answers that belong to it: the slowest of them decides.
ROWS = {
    "overview": ("page", "poll", "charts"),
    "one run": ("page", "page of the 30 h run", "charts", "charts of the 30 h run"),
    "anomalies": ("page", "poll", "of one run"),
    "any 24 h of the 30 h run": ("totals", "chart"),
}

Asked = tuple[str, str]
Times = dict[Asked, list[float]]


def measure(*, is_quick: bool) -> list[Figure]:
    """Fill a database of each engine and read it during ingest."""
    # Each round shows a short run that was not shown before.
    count, rounds, warm_s = (100_000, 5, 0.0) if is_quick else (5_000_000, 100, WINDOW_S)
    figures = []
    with new_server() as server:
        for engine in ENGINES:
            with place_on(engine, server) as place:
                runs = past.plan(count, rounds, time.time())
                began = time.monotonic()
                past.fill(place.storage.url, runs)
                place.storage.settle()
                progress(f"row 7, {engine}: {count:,} records stored in {time.monotonic() - began:.0f} s")
                times = _ask(place, runs, rounds, warm_s)
            for figure in _figures(f"{count / 1e6:g} million records", LABELS[engine], times):
                progress(f"{figure.name}: {figure.median:.1f} ms {dict(figure.details)}")
                figures.append(figure)
    return figures


def _ask(place: Place, runs: Sequence[PastRun], rounds: int, warm_s: float) -> Times:
    """Ask everything *rounds* times during ingest, in turn, and return the times in milliseconds."""
    before = place.storage.count_records()
    times: Times = defaultdict(list)
    with _ingest(place) as (live, sent), _pages(place) as address:
        engine = open_store(place.storage.url, read_only=True, keeps=True)  # as the pages do
        time.sleep(warm_s)
        chance = random.Random(7)
        for run in chance.sample(runs[1:], rounds):
            since = runs[0].started_at + chance.randrange(past.LONG_S - DAY_S)
            for asked, path in _paths(live, run, since):
                times[asked].append(_fetch_ms(address, path))
            for asked, query in _queries(runs[0], since):
                times[asked].append(_query_ms(engine, query))
    place.wait_recorders()
    stored = place.storage.count_records() - before
    assert stored == sent[0], f"{stored} of {sent[0]} records that were sent meanwhile are in the database"
    return times


@contextlib.contextmanager
def _ingest(place: Place) -> Iterator[tuple[str, list[int]]]:
    """Feed a recorder meanwhile; yield the run's id and, afterwards, how many records it was."""
    sent: list[int] = []
    socket = str(place.runtime / "recorder.sock")
    with place.running("benchmarks.live_process", socket, str(INGEST_RATE)) as feeder:
        assert feeder.stdin is not None
        assert feeder.stdout is not None
        run = feeder.stdout.readline().strip()
        assert run, f"no ingest: {(place.folder / 'error.log').read_text()[-2000:]}"
        yield run, sent
        feeder.stdin.close()
        sent.append(int(feeder.stdout.readline()))
        feeder.wait(30)


@contextlib.contextmanager
def _pages(place: Place) -> Iterator[str]:
    """Run ``streamlab ui`` and yield its address."""
    with place.running("streamlab_plugin.cli", "ui", "--port", "0") as pages:
        assert pages.stdout is not None
        line = pages.stdout.readline()
        yield urlsplit(next(word for word in line.split() if word.startswith("http"))).netloc


def _paths(live: str, run: PastRun, since: int) -> Iterator[tuple[Asked, str]]:
    """Yield what a browser asks for; *run* is one that these pages have not shown before."""
    api = f"{PREFIX}/api/v1"
    yield ("overview", "page"), f"{PREFIX}/"
    yield ("overview", "poll"), f"{api}/overview"
    yield ("overview", "charts"), f"{api}/runs/{live}/timeline?period=1&last=180"
    yield ("one run", "page"), f"{PREFIX}/runs/{run.run}/"
    yield ("one run", "charts"), f"{api}/runs/{run.run}/timeline"
    yield ("anomalies", "page"), f"{PREFIX}/anomalies/"
    yield ("anomalies", "poll"), f"{api}/anomalies"
    yield ("anomalies", "of one run"), f"{api}/anomalies?run={run.run}"
    yield ("any 24 h of the 30 h run", "chart"), f"{api}/runs/{past.LONG_RUN}/timeline?since={since}"


def _queries(run: PastRun, since: int) -> Iterator[tuple[Asked, Callable[[Connection], object]]]:
    """Yield what is asked without a page, whose memory would know the answer the second time."""
    now, until = time.time(), since + DAY_S

    def found(conn: Connection) -> queries.Run:
        return queries.find_run(conn, run.run)

    def charts(conn: Connection) -> object:
        return documents.timeline(conn, Memory(), run.run, now, period_s=None, since=None, last_s=None)

    yield ("one run", "page of the 30 h run"), lambda conn: documents.run(conn, Memory(), run.run, now)
    yield ("one run", "charts of the 30 h run"), charts
    yield (
        ("any 24 h of the 30 h run", "totals"),
        lambda conn: range_summary(conn, found(conn), since, until),
    )


def _fetch_ms(address: str, path: str) -> float:
    began = time.perf_counter()
    connection = http.client.HTTPConnection(address, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    took_ms = (time.perf_counter() - began) * 1000
    connection.close()
    assert answer.status == 200, f"{path}: {answer.status} {body[:500]!r}"
    return took_ms


def _query_ms(engine: Engine, query: Callable[[Connection], object]) -> float:
    began = time.perf_counter()
    queries.read(engine, query)
    return (time.perf_counter() - began) * 1000


def _figures(size: str, label: str, times: Times) -> Iterator[Figure]:
    for row, answers in ROWS.items():
        p95_ms = {answer: percentile(times[row, answer], 95) for answer in answers}
        yield Figure(
            7, f"p95 of {row}, {size}, during ingest ({label})", "ms",
            (max(p95_ms.values()),), MUST_MS, MOONSHOT_MS,
            details={f"{answer}, ms": value for answer, value in p95_ms.items()},
        )  # fmt: skip
