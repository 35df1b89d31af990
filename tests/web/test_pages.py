from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from html import escape
from pathlib import Path
from threading import current_thread
from typing import Any

import numpy as np
import pytest
from batches import BEGIN, Feed, lean, opened_writer
from flask import Flask, Response
from flask.testing import FlaskClient
from flask_cors import CORS
from seeded import FINISHED, HOSTILE, NOW, RUNNING, Seeded
from sqlalchemy import Engine, create_engine, update

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.store import tables
from streamlab_plugin.store.batch import Numbers
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.run_writer import finish_run
from streamlab_plugin.web.blueprint import create_blueprint

PAGES = ("/", "/anomalies/", "/anomalies/1/", "/runs/", f"/runs/{FINISHED}/", f"/runs/{RUNNING}/")
ANSWERS = (
    "/api/v1/overview",
    "/api/v1/runs",
    "/api/v1/runs/latest",
    f"/api/v1/runs/{FINISHED}",
    "/api/v1/runs/latest/timeline",
    "/api/v1/runs/latest/endpoints",
    "/api/v1/anomalies",
    "/api/v1/anomalies/1",
    "/api/v1/health",
)
EVERYTHING = (*PAGES, *ANSWERS, "/static/streamlab.js", "/static/streamlab.css")


def host(engine: Any, **options: Any) -> FlaskClient:
    """Return a client of the pages in an application of their own."""
    app = Flask("host")
    app.debug = True
    app.register_blueprint(create_blueprint(engine, clock=lambda: NOW, **options))
    return app.test_client()


@pytest.fixture
def empty(database_url: str) -> Engine:
    return open_store(database_url, read_only=True)


class TestPages:
    @pytest.mark.parametrize("path", EVERYTHING)
    def test_answers(self, client: FlaskClient, path: str) -> None:
        """Every page, answer and static file is there."""
        assert client.get(f"/streamlab{path}").status_code == 200

    @pytest.mark.parametrize("path", PAGES)
    def test_first_paint_has_the_numbers(self, client: FlaskClient, path: str) -> None:
        """A page is complete without JavaScript, and carries none of it inline."""
        page = client.get(f"/streamlab{path}").text
        assert "mobile sync" in page or "HTTP answer slower than 200 ms" in page
        assert "<script>" not in page
        assert " style=" not in page
        assert " onerror=alert(2)>" not in page

    def test_hostile_name_stays_text(self, client: FlaskClient) -> None:
        """Markup in an endpoint's name is escaped, and shown as it is."""
        for path in ("/", "/anomalies/", "/anomalies/1/", f"/runs/{FINISHED}/"):
            page = client.get(f"/streamlab{path}").text
            assert HOSTILE not in page
            assert escape(HOSTILE, quote=False).split("&gt;alert")[0] in page

    def test_way_back(self, client: FlaskClient, seeded_engine: Engine) -> None:
        """The pages lead back to Locust where there is one."""
        assert 'href="/locust/"' in client.get("/streamlab/").text
        assert "Locust</a>" not in host(seeded_engine).get("/streamlab/").text

    def test_run_page_explains_the_verdict(self, client: FlaskClient) -> None:
        """Verdict, reasons and objectives with value and limit are on the run's page."""
        page = client.get(f"/streamlab/runs/{FINISHED}/").text
        assert "Verdict: breached" in page
        assert "p95 latency 612.4 ms &gt; 300 ms" in page
        assert "not applicable" in page
        assert "No verdict yet" in client.get(f"/streamlab/runs/{RUNNING}/").text

    def test_anomaly_page_says_what_to_try(self, client: FlaskClient) -> None:
        """Fixes come with steps, confidence and risk, the best one first."""
        page = client.get("/streamlab/anomalies/1/").text
        assert page.index("Add an index for the slow query") < page.index("Cache the answer")
        assert "Look at the slow query log." in page
        assert "80 %" in page

    def test_empty_database(self, empty: Engine) -> None:
        """Before the first run each page says what to do next."""
        client = host(empty)
        assert "streamlab demo" in client.get("/streamlab/").text
        assert "streamlab locust -f" in client.get("/streamlab/runs/").text
        assert "No anomaly has been found yet" in client.get("/streamlab/anomalies/").text
        assert client.get("/streamlab/api/v1/overview").json["run"] is None

    def test_base_path(self, seeded_engine: Engine) -> None:
        """Below a base path every link stays below it."""
        app = Flask("host")
        app.register_blueprint(create_blueprint(seeded_engine), url_prefix="/base/streamlab")
        page = app.test_client().get("/base/streamlab/").text
        links = [part.split('"')[0] for part in page.split('href="')[1:]]
        assert links
        assert [link for link in links if not link.startswith("/base/streamlab/")] == []


class TestApi:
    def test_overview_of_a_running_run(self, client: FlaskClient) -> None:
        """The overview shows the last minute of the latest run."""
        doc = client.get("/streamlab/api/v1/overview").json
        assert doc["run"]["run"] == RUNNING
        assert (doc["scope"], doc["users"], doc["is_quiet"]) == ("last 60 s", 40, False)
        assert [one["protocol"] for one in doc["protocols"]] == ["http", "mqtt", "websocket"]
        assert doc["anomalies"][0]["anomaly_type"] == "schema_drift"
        assert doc["anomalies"][0]["fix"] == "Add an index for the slow query"
        assert doc["ledger"]["state"] == "on the way"

    def test_overview_of_this_process(self, seeded_engine: Engine) -> None:
        """The run of this process comes before the latest; over, it is shown as a whole."""
        client = host(seeded_engine, current_run=lambda: FINISHED)
        doc = client.get("/streamlab/api/v1/overview").json
        assert (doc["run"]["run"], doc["scope"], doc["users"]) == (FINISHED, "whole run", 20)

    def test_run_that_is_not_stored_yet(self, seeded_engine: Engine) -> None:
        """Until this process's run is in the store, the latest one is shown."""
        client = host(seeded_engine, current_run=lambda: "99999999-0000")
        assert client.get("/streamlab/api/v1/overview").json["run"]["run"] == RUNNING

    def test_silent_run(self, seeded_engine: Engine) -> None:
        """A run from which nothing has come for a while is marked."""
        app = Flask("host")
        app.register_blueprint(create_blueprint(seeded_engine, clock=lambda: NOW + 60))
        assert app.test_client().get("/streamlab/api/v1/overview").json["is_quiet"] is True

    def test_run(self, client: FlaskClient, seeded: Seeded) -> None:
        """A run's answer carries totals, endpoints, verdict and ledger."""
        doc = client.get(f"/streamlab/api/v1/runs/{FINISHED[:8]}").json
        want = seeded.expected[FINISHED]["http"]
        http = next(one for one in doc["protocols"] if one["protocol"] == "http")
        assert (http["count"], http["errors"]) == (want.count, want.errors)
        assert http["throughput_rps"] == pytest.approx(want.answered / 600, abs=0.001)
        assert doc["verdict"]["verdict"] == "breached"
        assert len(doc["endpoints"]) == 7
        assert doc["ledger"]["dropped"] == {"handover_full": 5}

    def test_response_times(self, database_url: str, client: FlaskClient) -> None:
        """They stand beside the service times where a schedule started requests, else nothing does."""
        plain = client.get(f"/streamlab/api/v1/runs/{FINISHED}").json
        assert ([], None) == (plain["responses"], plain["arrivals"])
        feed, arrivals = Feed(), {"due": 40, "started": 39, "late": 4, "dropped": 1}
        with closing(opened_writer(database_url, "p-1")) as writer:
            write = feed.write([], [lean(feed.keys, 1, latency_ms=5.0)], arrivals=arrivals)
            waited = np.asarray([2005.0], dtype=np.float32)
            write.deltas = [write.deltas[0]._replace(responses_ms=waited)]
            writer.write([write])
        scheduled = host(lambda: open_store(database_url, read_only=True))
        doc = scheduled.get("/streamlab/api/v1/runs/latest").json
        assert (5.0, 2005.0) == (doc["responses"][0]["p99_ms"], doc["responses"][0]["response_p99_ms"])
        assert {**arrivals, "behind": 5} == doc["arrivals"]
        assert "2,005 ms" in scheduled.get(f"/streamlab/runs/{doc['run']['run']}/").text

    def test_messages(self, database_url: str) -> None:
        """What became of published messages is on the page once the run is over."""
        feed = Feed()
        with closing(opened_writer(database_url, "p-1")) as writer:
            series = feed.keys.series("d/…")
            sent, got = (
                Numbers("sent", "s", "", series, [1, 1999]),
                Numbers("got", "s", "c", series, [1, 700, 703, 1234]),
            )
            writer.write([feed.write(numbers=[sent, got])])
            page = host(lambda: open_store(database_url, read_only=True))
            assert page.get("/streamlab/api/v1/runs/latest").json["deliveries"] is None
            assert "<h2>Messages</h2>" not in page.get("/streamlab/runs/latest/").text
            finish_run(writer.connection, 1, state="completed", stopped_at=BEGIN + 9.0)
        (endpoint,) = page.get("/streamlab/api/v1/runs/latest").json["deliveries"]["endpoints"]
        assert ("d/…", 2, 765) == (endpoint["endpoint"], endpoint["lost"], endpoint["unaccounted"])
        assert "<h2>Messages</h2>" in page.get("/streamlab/runs/latest/").text

    def test_timeline(self, client: FlaskClient) -> None:
        """A timeline can be had as a whole, from a time on, or as the last seconds."""
        address = "/streamlab/api/v1/runs/latest/timeline"
        last = client.get(f"{address}?period=1&last=30").json
        assert (len(last["starts"]), last["starts"][-1]) == (29, int(NOW) - 2)
        since = client.get(f"{address}?period=1&since={int(NOW) - 4}").json
        assert len(since["curves"]["http"]["p95_ms"]) == len(since["starts"]) == 3
        assert client.get(f"{address}?period=60").json["period_s"] == 60

    @pytest.mark.parametrize(
        ("query", "types"),
        [
            ("severity=critical", {"error_rate"}),
            ("type=slow_mqtt", {"slow_mqtt"}),
            ("run=1111&severity=info", set()),
            ("limit=2", {"error_rate", "server_error"}),
            ("limit=100000&status=new&severity=warning", {"slow_http", "slow_mqtt"}),
        ],
    )
    def test_anomaly_filters(self, client: FlaskClient, query: str, types: set[str]) -> None:
        """Filters narrow the anomalies; a limit that is too high is capped."""
        doc = client.get(f"/streamlab/api/v1/anomalies?{query}").json
        assert {one["anomaly_type"] for one in doc["anomalies"]} == types

    def test_anomaly_in_another_run(self, client: FlaskClient) -> None:
        """Occurrences and examples can be those of an earlier run."""
        doc = client.get("/streamlab/api/v1/anomalies/1?run=1111").json
        assert doc["run"]["run"] == FINISHED
        assert sum(doc["timeline"]["counts"]) == doc["runs"][1]["count"]
        assert [one["run"] for one in doc["runs"]] == [RUNNING, FINISHED]

    @pytest.mark.parametrize("path", ANSWERS)
    def test_plain_numbers(self, client: FlaskClient, path: str) -> None:
        """Answers are strict JSON: no NaN, no infinity."""

        def refuse(name: str) -> Any:
            raise AssertionError(name)

        json.loads(client.get(f"/streamlab{path}").data, parse_constant=refuse)


class TestETag:
    def test_unchanged(self, client: FlaskClient) -> None:
        """What a client has already is not sent again."""
        for path in ("/api/v1/runs", f"/api/v1/runs/{FINISHED}", f"/api/v1/runs/{FINISHED}/timeline"):
            first = client.get(f"/streamlab{path}")
            again = client.get(f"/streamlab{path}", headers={"If-None-Match": first.headers["ETag"]})
            assert (again.status_code, again.data) == (304, b"")

    def test_changed(self, own_seeded: Seeded) -> None:
        """A change in the store changes the tag."""
        engine = own_seeded.engine()
        client = host(engine)
        first = client.get("/streamlab/api/v1/runs")
        with engine.begin() as conn:
            conn.execute(update(tables.runs).where(tables.runs.c.id == 2).values(state="completed"))
        again = client.get("/streamlab/api/v1/runs", headers={"If-None-Match": first.headers["ETag"]})
        assert again.status_code == 200
        assert again.json["runs"][0]["state"] == "completed"

    def test_finished_run_is_worked_out_again_when_more_is_stored(self, own_seeded: Seeded) -> None:
        """What is remembered of a finished run gives way to a late frame."""
        engine = own_seeded.engine()
        client = host(engine)
        before = client.get("/streamlab/api/v1/runs/1111").json["totals"]["count"]
        rollups = tables.rollups
        with engine.begin() as conn:
            conn.execute(
                update(rollups).where(rollups.c.process_id == 1).values(count=rollups.c["count"] + 1)
            )
        assert client.get("/streamlab/api/v1/runs/1111").json["totals"]["count"] == before
        with engine.begin() as conn:
            conn.execute(update(tables.processes).where(tables.processes.c.id == 1).values(last_frame=601))
        assert client.get("/streamlab/api/v1/runs/1111").json["totals"]["count"] > before


class TestHeaders:
    @pytest.mark.parametrize("path", [*EVERYTHING, "/nowhere", "/api/v1/nowhere", "/api/v1/runs?limit=x"])
    def test_every_answer(self, client: FlaskClient, path: str) -> None:
        """Every answer forbids foreign content, sniffing and framing, errors included."""
        headers = client.get(f"/streamlab{path}").headers
        assert "default-src 'self'" in headers["Content-Security-Policy"]
        assert "frame-ancestors 'self'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == ("no-cache" if "/static/" in path else "no-store")

    @pytest.mark.parametrize("path", EVERYTHING)
    def test_foreign_origin_may_not_read(self, seeded_engine: Engine, path: str) -> None:
        """Where the host application lets every origin read, the pages still do not."""
        app = Flask("host")
        CORS(app)
        app.register_blueprint(create_blueprint(seeded_engine))
        answer = app.test_client().get(f"/streamlab{path}", headers={"Origin": "http://evil.test"})
        assert answer.headers.getlist("Access-Control-Allow-Origin") == ["http://localhost"]

    def test_only_reading(self, client: FlaskClient) -> None:
        """Nothing can be posted."""
        assert client.post("/streamlab/api/v1/runs").status_code == 405


class TestGuard:
    @pytest.mark.parametrize("path", [*EVERYTHING, "/nowhere"])
    def test_covers_everything(self, seeded_engine: Engine, path: str) -> None:
        """What the guard answers is the answer, for pages, API, static files and unknown paths."""
        client = host(seeded_engine, guard=lambda: Response("sign in first", status=401))
        answer = client.get(f"/streamlab{path}")
        assert (answer.status_code, answer.text) == (401, "sign in first")

    @pytest.mark.parametrize("path", EVERYTHING)
    def test_fails_closed(self, seeded_engine: Engine, path: str) -> None:
        """A guard that raises lets nobody in, and says nothing about itself."""

        def broken() -> None:
            raise RuntimeError("the session store is secret-host-7")

        answer = host(seeded_engine, guard=broken).get(f"/streamlab{path}")
        assert answer.status_code == 403
        assert "secret-host-7" not in answer.text

    def test_lets_through(self, seeded_engine: Engine) -> None:
        """A guard that answers nothing lets the request pass."""
        assert host(seeded_engine, guard=lambda: None).get("/streamlab/").status_code == 200


class TestErrors:
    @pytest.mark.parametrize(
        ("path", "status", "sentence"),
        [
            ("/api/v1/runs?limit=abc", 400, "limit='abc' is not a whole number from 1 on."),
            ("/api/v1/runs?limit=0", 400, "limit='0' is not a whole number from 1 on."),
            ("/api/v1/runs/latest/timeline?period=5", 400, "period='5' is not one of 1, 60, 3600."),
            (
                "/api/v1/runs/latest/timeline?since=99999999999999999999",
                400,
                "since='99999999999999999999' is not a whole number from 0 on.",
            ),
            ("/api/v1/anomalies?severity=bad", 400, None),
            ("/api/v1/anomalies?run=zzz", 404, None),
            ("/api/v1/anomalies/999", 404, "There is no anomaly 999 in this database."),
            ("/api/v1/anomalies/99999999999999999999999", 404, None),
            ("/api/v1/runs/zzz", 404, None),
            ("/api/v1/runs/%25", 404, None),
            ("/api/v1/nowhere", 404, "There is no page at 'nowhere'."),
        ],
    )
    def test_api(self, client: FlaskClient, path: str, status: int, sentence: str | None) -> None:
        """What cannot be meant or found is one JSON sentence."""
        answer = client.get(f"/streamlab{path}")
        assert answer.status_code == status
        assert set(answer.json) == {"error"}
        assert sentence in (None, answer.json["error"])

    @pytest.mark.parametrize(
        ("path", "status"),
        [
            ("/runs/zzz/", 404),
            ("/anomalies/999/", 404),
            ("/nowhere", 404),
            ("/static/none.js", 404),
            ("/anomalies/?severity=bad", 400),
            ("/runs/?limit=<script>", 400),
        ],
    )
    def test_page(self, client: FlaskClient, path: str, status: int) -> None:
        """People get a page that leads on."""
        answer = client.get(f"/streamlab{path}")
        assert answer.status_code == status
        assert "To the overview" in answer.text
        assert "<script>" not in answer.text

    def test_store_out_of_reach(self, tmp_path: Path) -> None:
        """A database that cannot be read is one sentence, on the page and in the API."""
        client = host(create_engine(f"sqlite:///{tmp_path / 'other.db'}"))
        page, answer = client.get("/streamlab/"), client.get("/streamlab/api/v1/overview")
        assert (page.status_code, answer.status_code) == (503, 503)
        assert answer.json["error"] == "Cannot read the database: no such table: runs."
        assert "no such table: runs" in page.text
        assert "Traceback" not in page.text

    def test_store_that_appears_later(self, seeded_engine: Engine) -> None:
        """A database that is not there yet is asked for again."""
        answers: list[Any] = [InfrastructureError("there is no database"), seeded_engine]

        def opening() -> Engine:
            found = answers.pop(0)
            if isinstance(found, Exception):
                raise found
            assert isinstance(found, Engine)
            return found

        client = host(opening)
        assert [client.get("/streamlab/").status_code for _ in range(3)] == [503, 200, 200]

    def test_mistake_of_ours(self, seeded_engine: Engine) -> None:
        """A bug shows no traceback, although the host application is in debug mode."""

        def broken(_query: Callable[[], Any]) -> Any:
            raise KeyError("internal-name")

        client = host(seeded_engine, run_query=broken)
        for path in ("/", "/api/v1/overview"):
            answer = client.get(f"/streamlab{path}")
            assert answer.status_code == 500
            assert "internal-name" not in answer.text
            assert "Traceback" not in answer.text


class TestRunQuery:
    @pytest.mark.parametrize("path", [*PAGES, *ANSWERS])
    def test_all_work_goes_through_it(self, seeded_engine: Engine, path: str) -> None:
        """Every route that needs the database runs its query where the host wants it, and opens it there."""
        used: list[str] = []

        def opened() -> Engine:
            assert used == [current_thread().name]
            return seeded_engine

        def run(query: Callable[[], Any]) -> Any:
            used.append(current_thread().name)
            return query()

        assert host(opened, run_query=run).get(f"/streamlab{path}").status_code == 200
        assert len(used) == 1

    def test_errors_come_back_as_values(self, seeded_engine: Engine) -> None:
        """What is not found does not leave the other thread as an exception: it would be logged there."""
        left: list[Exception] = []

        def run(query: Callable[[], Any]) -> Any:
            try:
                return query()
            except Exception as error:
                left.append(error)
                raise

        assert host(seeded_engine, run_query=run).get("/streamlab/api/v1/runs/zzz").status_code == 404
        assert left == []

    def test_needs_no_request(self, seeded_engine: Engine) -> None:
        """A query knows nothing of the request, so that it can run in another thread."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(1) as pool:
            client = host(seeded_engine, run_query=lambda query: pool.submit(query).result())
            assert {client.get(f"/streamlab{path}").status_code for path in (*PAGES, *ANSWERS)} == {200}
