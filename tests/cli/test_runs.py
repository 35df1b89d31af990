"""`streamlab runs`: what was recorded is listed, shown, exported, and changed through a recorder."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from ordered import taking_orders
from recorded import BEGAN, RUN, add_run
from seeded import FINISHED, RUNNING, Seeded
from sqlalchemy import insert, text, update

from streamlab_plugin.cli.runs import runs
from streamlab_plugin.core.errors import ConfigError, InfrastructureError
from streamlab_plugin.slo.results import parse_results
from streamlab_plugin.store import tables
from streamlab_plugin.store.engine import open_store

# A run with something of everything that can be shown of it.
GOLDEN = """\
single records  33333333-dddd-4ddd-8ddd-000000000003
  degraded, started 2025-10-09 09:43:20 UTC, 900 s
  tags: branch=main
  worker 0000… lost at 09:53:20: 25 of 100 users missing until 09:53:46
  http             27 requests       3 errors  p50 28.3 ms  p95 96.1 ms  p99 96.8 ms
  mqtt             26 requests       3 errors  p50 52.5 ms  p95 161.8 ms  p99 260.6 ms
  websocket        27 requests       0 errors  p50 52.3 ms  p95 395.9 ms  p99 395.9 ms
  ledger: produced 89 · stored 80 · quarantined 2 · dropped (handover_full) 3 · dropped (spool_full) 4 · balanced
    quarantined 2: a NUL byte in a text
  privacy: kept 0 · dropped 0 · hashed 0 · bucketed 0 · texts scrubbed 0 · payloads unread 0 · error texts masked 0
  process   role           pid  state    produced     stored  dropped
  00000001  worker           1  closed         54         45        7
  00000002  worker           2  lost           35         35        0
  errors among the newest 6 failures:
         2x http /api/items/{id}  ConnectError: refused by {ip}
         2x mqtt devices/{id}/telemetry  ReadTimeout: no answer
         1x http /<script>alert(1)</script>"'><img src=x onerror=alert(2)>  HTTPError: 500 Server Error
         1x mqtt devices/{id}/telemetry  HTTPError: 500 Server Error
  verdict: breached (exit code 1)
    http: p95 latency 612.4 ms > 300 ms
"""  # noqa: E501 - as it is printed


def call(url: str, *arguments: str) -> Result:
    """Run `streamlab runs` on a database."""
    return CliRunner().invoke(runs, arguments, env={"STREAMLAB_DATABASE_URL": url, "COLUMNS": "200"})


def output(url: str, *arguments: str) -> str:
    """Return what it prints."""
    result = call(url, *arguments)
    assert result.exception is None, result.exception
    return result.stdout


def answer(url: str, *arguments: str) -> Any:
    """Return its JSON answer."""
    return json.loads(output(url, *arguments, "--json"))


@pytest.fixture
def eventful(database_url: str) -> str:
    """A small run with tags, a lost worker, refused and evicted records, and a verdict."""
    with open_store(database_url, read_only=False).begin() as conn:
        add_run(conn, rate=0.05)
        lost = {
            "kind": "process_lost", "process": "00000002-eeee", "role": "worker", "since": BEGAN + 600.0,
            "until": BEGAN + 626.0, "users": 25,
        }  # fmt: skip
        conn.execute(
            update(tables.runs).values(
                state="degraded", tags='{"branch": "main"}', degradations=json.dumps([lost])
            )
        )
        process = tables.processes
        conn.execute(
            update(process)
            .where(process.c.id == 1)
            .values(produced=process.c.produced + 9, quarantined=2, evicted=4, dropped='{"handover_full": 3}')
        )
        conn.execute(update(process).where(process.c.id == 2).values(state="lost"))
        refused = [
            {"process_id": 1, "seq": 900 + at, "reason": "a NUL byte in a text", "noted_at": 0.0}
            for at in (1, 2)
        ]
        conn.execute(insert(tables.quarantine), refused)
        gauges = [{"process_id": one, "start": BEGAN + 599, "users": 50} for one in (1, 2)]
        conn.execute(insert(tables.gauges), gauges)
        body = json.dumps({"reasons": ["http: p95 latency 612.4 ms > 300 ms"]})
        conn.execute(
            insert(tables.verdicts).values(
                run_id=1, verdict="breached", exit_code=1, decided_at=0.0, body=body
            )
        )
    return database_url


class TestList:
    def test_table(self, seeded: Seeded) -> None:
        """Runs come newest first, uncut even where the terminal's width is unknown."""
        lines = output(seeded.url, "list").splitlines()
        assert [line.split() for line in lines] == [
            ["run", "name", "state", "started", "(UTC)", "duration", "verdict"],
            [
                "22222222",
                "mobile",
                "sync",
                "running",
                "2025-10-09",
                "08:43:20",
                lines[1].split()[6],
                "s",
                "-",
            ],
            ["11111111", "mobile", "sync", "completed", "2025-10-09", "06:53:20", "600", "s", "breached"],
        ]

    def test_state(self, seeded: Seeded) -> None:
        """A state narrows the list."""
        assert [one["id"] for one in answer(seeded.url, "list", "--state", "running")] == [RUNNING]
        assert answer(seeded.url, "list", "--state", "aborted") == []
        assert output(seeded.url, "list", "--state", "aborted") == "No such run.\n"

    def test_tags(self, own_seeded: Seeded) -> None:
        """A run has to have all of the tags that are asked for; tags are shown where there are any."""
        with own_seeded.engine().begin() as conn:
            conn.execute(update(tables.runs).values(tags='{"branch": "main"}'))
            conn.execute(
                update(tables.runs).where(tables.runs.c.id == 1).values(tags='{"branch": "main", "ci": "7"}')
            )
        url = own_seeded.url
        assert [one["id"] for one in answer(url, "list", "--tag", "branch=main")] == [RUNNING, FINISHED]
        assert [one["id"] for one in answer(url, "list", "--tag", "branch=main", "--tag", "ci=7")] == [
            FINISHED
        ]
        assert answer(url, "list", "--tag", "ci=8") == []
        assert "branch=main ci=7" in output(url, "list").splitlines()[2]

    def test_empty(self, database_url: str) -> None:
        """Before the first run it says what to do."""
        assert output(database_url, "list") == "No run recorded yet. Start one with: streamlab demo\n"

    def test_no_database(self, tmp_path: Path) -> None:
        """A database that is not there is exit code 4, and is not created."""
        result = call(f"sqlite:///{tmp_path / 'none.db'}", "list")
        assert isinstance(result.exception, InfrastructureError)
        assert list(tmp_path.iterdir()) == []

    def test_older_schema(self, database_url: str) -> None:
        """A database of an older version is one line with the remedy."""
        with open_store(database_url, read_only=False).begin() as conn:
            conn.execute(text("DROP INDEX ix_runs_started_at"))
            conn.execute(text("ALTER TABLE runs DROP COLUMN tags"))
            conn.execute(text("UPDATE alembic_version SET version_num = '0001'"))
        error = call(database_url, "list").exception
        assert isinstance(error, InfrastructureError)
        assert str(error).startswith("schema 0001 is older than this Streamlab (")
        assert str(error).endswith("); run: streamlab db migrate")

    def test_newer_schema(self, database_url: str) -> None:
        """A database of a newer version, where its tables no longer fit, asks for the newer Streamlab."""
        with open_store(database_url, read_only=False).begin() as conn:
            conn.execute(text("ALTER TABLE runs DROP COLUMN tags"))
            conn.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        error = call(database_url, "list").exception
        assert "written by a newer Streamlab (schema 9999); upgrade Streamlab" in str(error)


class TestShow:
    def test_text(self, eventful: str) -> None:
        """All that is known of a run, as it is printed."""
        assert GOLDEN == output(eventful, "show")

    def test_json(self, eventful: str) -> None:
        """The same as values."""
        doc = answer(eventful, "show", "3333")
        assert (doc["id"], doc["state"], doc["tags"]) == (RUN, "degraded", {"branch": "main"})
        assert doc["degradations"][0]["users"] == 25
        details = doc["ledger_details"]
        assert {"handover_full": 3, "spool_full": 4} == details["dropped"]
        assert (2, True, doc["ledger"].endswith("balanced")) == (
            details["quarantined"],
            details["is_balanced"],
            True,
        )
        assert {"a NUL byte in a text": 2} == doc["quarantined"]
        assert ["closed", "lost"] == [one["state"] for one in doc["processes"]]
        assert doc["errors_seen"] == sum(one["errors"] for one in doc["protocols"].values())
        assert doc["range"] is None

    def test_range(self, eventful: str) -> None:
        """A part of the run has the records that ended in it, whatever way its bounds are written."""
        whole = answer(eventful, "show")["protocols"]
        parts = [
            answer(eventful, "show", "--until", "2025-10-09T09:48:20"),
            answer(eventful, "show", "--since", str(BEGAN + 300), "--until", "-5m"),
            answer(eventful, "show", "--since", "-5m"),
        ]
        assert [part["range"]["since"] for part in parts] == [BEGAN, BEGAN + 300, BEGAN + 600]
        for name, totals in whole.items():
            counts = [part["protocols"].get(name, {"count": 0})["count"] for part in parts]
            assert totals["count"] == sum(counts)
            assert max(counts) < totals["count"]

    def test_range_as_text(self, eventful: str) -> None:
        """The bounds are shown."""
        lines = output(eventful, "show", "--since", "-5m", "--until", "-1m").splitlines()
        assert "  from 2025-10-09 09:53:20 to 2025-10-09 09:57:20 UTC" in lines

    @pytest.mark.parametrize("time", ["noon", "-5x", "nan", "1e99"])
    def test_no_time(self, seeded: Seeded, time: str) -> None:
        """What is no time is a usage error that shows how to write one."""
        result = call(seeded.url, "show", "--since", time)
        assert result.exit_code == 2
        assert f"'{time}' is no time" in result.stderr

    def test_backwards(self, seeded: Seeded) -> None:
        """A range that ends before it begins is refused."""
        assert isinstance(call(seeded.url, "show", "--since", "10", "--until", "5").exception, ConfigError)

    def test_terminal_commands_are_not_obeyed(self, own_seeded: Seeded) -> None:
        """A name that would clear the screen or colour it is shown without its power."""
        with own_seeded.engine().begin() as conn:
            conn.execute(update(tables.runs).values(name="\x1b[2J[red]loud"))
        for command in ("list", "show"):
            shown = output(own_seeded.url, command)
            assert "\x1b[2J" not in shown
            assert "\ufffd[2J[red]loud" in shown


class TestExport:
    def test_json(self, seeded: Seeded, tmp_path: Path) -> None:
        """The results file carries tags and degradations, and can be judged."""
        path = tmp_path / "results.json"
        output(seeded.url, "export", "1111", "--json", "--output", str(path))
        document = json.loads(path.read_text())
        assert (document["run"]["tags"], document["run"]["degradations"]) == ({}, [])
        assert seeded.expected[FINISHED]["http"].count == parse_results(document).protocols["http"].count
        assert list(tmp_path.iterdir()) == [path]

    def test_csv(self, eventful: str) -> None:
        """Every record is a line with the columns of records_flat, each process by its numbers."""
        rows = list(csv.reader(io.StringIO(output(eventful, "export", "--csv"))))
        with open_store(eventful, read_only=True).connect() as conn:
            found = conn.execute(text("SELECT * FROM records_flat ORDER BY process, seq"))
            columns, records = list(found.keys()), found.all()
        assert columns == rows[0]
        assert [(row.process, str(row.seq), row.error_message or "") for row in records] == [
            (row[1], row[2], row[columns.index("error_message")]) for row in rows[1:]
        ]

    def test_one_format(self, seeded: Seeded) -> None:
        """A format has to be named, and one only."""
        assert call(seeded.url, "export").exit_code == 2
        assert call(seeded.url, "export", "--json", "--csv").exit_code == 2

    def test_place_that_cannot_be_written(self, seeded: Seeded, tmp_path: Path) -> None:
        """A folder that is not there is a usage error."""
        result = call(seeded.url, "export", "--csv", "--output", str(tmp_path / "none" / "x.csv"))
        assert (result.exit_code, "No such file" in result.stderr) == (2, True)

    def test_half_an_export_is_none(self, seeded: Seeded, tmp_path: Path) -> None:
        """A run that is not found leaves no file behind."""
        path = tmp_path / "x.csv"
        assert isinstance(
            call(seeded.url, "export", "zzz", "--csv", "--output", str(path)).exception, ConfigError
        )
        assert list(tmp_path.iterdir()) == []


class TestOrders:
    """What changes a run is done by a recorder."""

    def test_stop(self, seeded: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
        """The recorder is told the whole id of the run."""
        with taking_orders(
            monkeypatch, seeded.url, {"runs.stop": {"run": RUNNING, "state": "stopping"}}
        ) as taker:
            assert output(seeded.url, "stop", "2222") == "22222222: stopping\n"
        assert taker.orders == [("runs.stop", {"run": RUNNING})]

    def test_tag(self, seeded: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
        """Tags are set and removed in one order."""
        answers = {"runs.tag": {"run": FINISHED, "tags": {"branch": "main", "note": "a = b"}}}
        with taking_orders(monkeypatch, seeded.url, answers) as taker:
            shown = output(seeded.url, "tag", "1111", "branch=main", "note=a = b", "--remove", "old")
        assert shown == "11111111: branch=main note=a = b\n"
        assert taker.orders == [
            ("runs.tag", {"run": FINISHED, "set": {"branch": "main", "note": "a = b"}, "remove": ["old"]})
        ]

    @pytest.mark.parametrize(
        "arguments",
        [["x"], ["UPPER=1"], ["a=" + "x" * 201], ["a=\n"], ["--remove", "9"], [], ["a=1", "--remove", "a"]],
    )
    def test_tag_that_is_not_allowed(self, seeded: Seeded, arguments: list[str]) -> None:
        """It is refused before anybody is asked."""
        result = call(seeded.url, "tag", "1111", *arguments)
        assert getattr(result.exception, "exit_code", result.exit_code) == 2

    def test_reconcile(self, seeded: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
        """What was finished is listed."""
        done = {"runs": [{"run": RUNNING, "state": "aborted", "verdict": None}]}
        with taking_orders(monkeypatch, seeded.url, {"runs.reconcile": done}) as taker:
            assert output(seeded.url, "reconcile", "--quiet-s", "5") == "22222222: aborted, verdict none\n"
        assert taker.orders == [("runs.reconcile", {"quiet_s": 5.0})]

    def test_nothing_to_reconcile(self, seeded: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing to do is said."""
        with taking_orders(monkeypatch, seeded.url, {"runs.reconcile": {"runs": []}}):
            assert output(seeded.url, "reconcile") == "Nothing to reconcile.\n"

    def test_refused(self, seeded: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
        """What the recorder refuses is the command's error, with its exit code."""
        with taking_orders(monkeypatch, seeded.url, {}):
            error = call(seeded.url, "stop").exception
        assert (str(error), getattr(error, "exit_code", None)) == (
            "the recorder knows no order 'runs.stop'",
            2,
        )

    @pytest.mark.parametrize("command", [["stop"], ["tag", "latest", "a=1"], ["reconcile"]])
    def test_no_database(self, tmp_path: Path, command: list[str]) -> None:
        """Without a database no recorder is started: it would make one."""
        result = call(f"sqlite:///{tmp_path / 'none.db'}", *command)
        assert isinstance(result.exception, InfrastructureError)
        assert list(tmp_path.iterdir()) == []
