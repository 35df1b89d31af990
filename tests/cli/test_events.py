"""`streamlab events`: single exchanges, the newest ones or those that meet a filter."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from select import select as wait_for
from typing import Any

import pytest
from click.testing import CliRunner, Result
from recorded import BEGAN, RUN, add_run
from sqlalchemy import Engine, func, insert, select, text, update

from streamlab_plugin.cli.events import event_line, events
from streamlab_plugin.core.errors import ConfigError, NoVerdictError
from streamlab_plugin.store import tables
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.record_rows import Record

DEADLINE_S = 20.0
GOLDEN = """\
09:57:15.517  websocket push /ws/mobile/sync/  success 200  25.6 ms
09:57:25.280  websocket connect /ws/mobile/sync/  success 201  186.6 ms
09:57:39.970  mqtt deliver devices/{id}/telemetry  success 200  24.1 ms
09:57:50.092  websocket push /ws/mobile/sync/  success 200  -
09:57:56.626  websocket connect /ws/mobile/sync/  success 201  84.9 ms
09:58:05.060  mqtt deliver devices/{id}/telemetry  timeout 504  85.5 ms  ReadTimeout: no answer  [slow_mqtt]
"""


def call(url: str, *arguments: str) -> Result:
    """Run `streamlab events` on a database."""
    return CliRunner().invoke(events, arguments, env={"STREAMLAB_DATABASE_URL": url})


def output(url: str, *arguments: str) -> str:
    """Return what it prints."""
    result = call(url, *arguments)
    assert result.exception is None, result.exception
    return result.stdout


@pytest.fixture
def url(database_url: str) -> str:
    """A database with a small run."""
    with open_store(database_url, read_only=False).begin() as conn:
        add_run(conn, rate=0.05)
    return database_url


def record(**changes: Any) -> Record:
    """Return a record with some fields of its own."""
    values: dict[str, Any] = dict.fromkeys(Record._fields)
    values |= {
        "run": RUN, "process": "p", "seq": 1, "protocol": "http", "operation": "GET",
        "endpoint": "/api/items/{id}",
        "started_at": BEGAN + 0.25, "latency_ms": 12.3, "size_bytes": 1, "outcome": "success", "status": 200,
    }  # fmt: skip
    return Record(**{**values, **changes})


class TestLine:
    def test_success(self) -> None:
        """Time of the end, exchange, outcome, latency."""
        assert event_line(record()) == "09:43:20.262  http GET /api/items/{id}  success 200  12.3 ms"

    def test_failure(self) -> None:
        """A failure says why, and what the rules found."""
        failed = record(
            outcome="error", status=None, latency_ms=None, error_type="Refused", error_message="by {ip}",
            findings="slow_http,http_5xx",
        )  # fmt: skip
        assert event_line(failed) == (
            "09:43:20.250  http GET /api/items/{id}  error  -  Refused: by {ip}  [slow_http, http_5xx]"
        )

    def test_hostile(self) -> None:
        """What a terminal would obey is shown without its power, and stays one line."""
        assert event_line(record(endpoint="/\x1b[2J\n\u202e")).count("\ufffd") == 3


class TestTail:
    def test_text(self, url: str) -> None:
        """The newest exchanges, the newest last, as they are printed."""
        record = tables.records.c
        with open_store(url, read_only=False).begin() as conn:
            newest = conn.scalar(select(func.max(record.started_at)))
            failed = {"outcome": 2, "status": 504, "error_id": 3, "findings": "slow_mqtt"}
            conn.execute(update(tables.records).where(record.started_at == newest).values(failed))
        assert GOLDEN == output(url, "tail", "-n", "6")

    def test_json(self, url: str) -> None:
        """One object per line, payload and findings as values."""
        found = [json.loads(line) for line in output(url, "tail", "-n", "40", "--json").splitlines()]
        assert len(found) == 40
        assert found == sorted(found, key=lambda one: one["ended_at"])
        assert {"a": 1, "b": "x"} in [one["payload"] for one in found]
        assert ["slow_http", "http_5xx"] in [one["findings"] for one in found]

    def test_nothing(self, url: str) -> None:
        """Zero lines are none."""
        assert output(url, "tail", "-n", "0") == ""

    def test_no_run(self, database_url: str) -> None:
        """A database without a run has nothing to show."""
        assert isinstance(call(database_url, "tail").exception, NoVerdictError)

    def test_follow(self, url: str) -> None:
        """What is recorded meanwhile is shown once, until the run is over."""
        engine = open_store(url, read_only=False)
        with engine.begin() as conn:
            conn.execute(update(tables.runs).values(state="running", stopped_at=None))
        process = subprocess.Popen(
            [sys.executable, "-c", "from streamlab_plugin.cli.events import events; events()",
             "tail", "--follow", "-n", "1", "--json"],
            env={**os.environ, "STREAMLAB_DATABASE_URL": url},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            first = self.line(process)
            for seq in (8_001, 8_002):
                self.add(engine, seq)
                assert json.loads(self.line(process))["seq"] == seq
            self.add(engine, 8_003)
            with engine.begin() as conn:
                conn.execute(update(tables.runs).values(state="completed"))
            rest, errors = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
            process.wait()
        assert json.loads(first)["run"] == RUN
        assert [8_003] == [json.loads(line)["seq"] for line in rest.splitlines()]
        assert (process.returncode, errors) == (0, "")

    def test_follow_ends_with_ctrl_c(self, url: str) -> None:
        """Ctrl-C ends it without a traceback."""
        with open_store(url, read_only=False).begin() as conn:
            conn.execute(update(tables.runs).values(state="running", stopped_at=None))
        process = subprocess.Popen(
            [sys.executable, "-c", "from streamlab_plugin.cli.events import events; events()",
             "tail", "--follow", "-n", "1"],
            env={**os.environ, "STREAMLAB_DATABASE_URL": url},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            self.line(process)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
            process.wait()
        assert "Traceback" not in errors
        assert process.returncode != 0

    def line(self, process: subprocess.Popen[str]) -> str:
        """Return the next line, within a bound."""
        assert process.stdout is not None
        deadline = time.monotonic() + DEADLINE_S
        readable, _, _ = wait_for([process.stdout], [], [], DEADLINE_S)
        assert readable, f"nothing within {time.monotonic() - deadline + DEADLINE_S:.0f} s"
        return process.stdout.readline()

    def add(self, engine: Engine, seq: int) -> None:
        """Store one more record."""
        with engine.begin() as conn:
            conn.execute(
                insert(tables.records).values(
                    run_day=BEGAN // 86400, process_id=1, seq=seq, series_id=1, started_at=BEGAN + 950.0,
                    latency_ms=5.0, size_bytes=1, outcome=0,
                )
            )  # fmt: skip


class TestQuery:
    def test_filters(self, url: str) -> None:
        """Every option narrows what is found; the newest come first."""
        found = json.loads(output(url, "query", "--outcome", "failure", "--protocol", "http", "--json"))
        assert found == sorted(found, key=lambda one: one["ended_at"], reverse=True)
        assert {("http", "error"), ("http", "timeout")} >= {
            (one["protocol"], one["outcome"]) for one in found
        }
        error = json.loads(output(url, "query", "--error", "REFUSED", "--endpoint", "/api/*", "--json"))
        assert {("ConnectError", "/api/items/{id}")} == {
            (one["error_type"], one["endpoint"]) for one in error
        }
        options = ["--operation", "GET", "--user-class", "Even", "--status", "500", "--finding", "http_5xx"]
        assert all(
            (one["operation"], one["status"], "http_5xx" in one["findings"]) == ("GET", 500, True)
            for one in json.loads(output(url, "query", *options, "--json"))
        )

    def test_same_as_the_table(self, url: str) -> None:
        """A slow exchange of the first half is found like by SQL."""
        arguments = ["--min-latency-ms", "100", "--until", str(BEGAN + 450), "--limit", "1000", "--json"]
        found = json.loads(output(url, "query", *arguments))
        with open_store(url, read_only=True).connect() as conn:
            rows = conn.execute(
                text(
                    "SELECT process, seq FROM records_flat WHERE latency_ms >= 100"
                    f" AND started_at + latency_ms / 1000.0 < {BEGAN + 450}"
                )
            ).all()
        assert rows
        assert {tuple(row) for row in rows} == {(one["process"], one["seq"]) for one in found}

    def test_csv(self, url: str) -> None:
        """The columns of records_flat."""
        rows = list(csv.reader(io.StringIO(output(url, "query", "--csv", "--limit", "3"))))
        assert list(Record._fields) == rows[0]
        assert len(rows) == 4

    def test_text(self, url: str) -> None:
        """By default one line each, a hundred at most."""
        assert len(output(url, "query", "--since", "-15m").splitlines()) == 80
        assert len(output(url, "query", "--limit", "2").splitlines()) == 2

    def test_nothing(self, url: str) -> None:
        """Nothing found is nothing printed, and an empty list."""
        assert output(url, "query", "--operation", "HEAD") == ""
        assert output(url, "query", "--operation", "HEAD", "--json") == "[]\n"

    @pytest.mark.parametrize(
        "arguments",
        [
            ["--outcome", "bad"],
            ["--protocol", "smtp"],
            ["--limit", "0"],
            ["--json", "--csv"],
            ["--since", "x"],
            ["--since", "-1000000d"],
            ["--status", "99999999999999999999"],
        ],
    )
    def test_usage(self, url: str, arguments: list[str]) -> None:
        """What cannot be meant is a usage error."""
        assert call(url, "query", *arguments).exit_code == 2

    def test_a_reader_that_has_seen_enough(self, url: str) -> None:
        """A closed pipe is no failure; 1 would mean that objectives were breached."""
        command = [sys.executable, "-m", "streamlab_plugin.cli", "events", "query", "--json"]
        with subprocess.Popen(
            command, env=os.environ | {"STREAMLAB_DATABASE_URL": url}, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert b"" == process.stderr.read()
        assert 0 == process.returncode

    def test_unknown_run(self, url: str) -> None:
        """A run that is not there is the user's error."""
        assert isinstance(call(url, "query", "--run", "zzz").exception, ConfigError)
