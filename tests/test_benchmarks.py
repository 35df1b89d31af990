"""The benchmark table, its JSON and the documents' tables, on given numbers; that the cheap measurements run.

Nothing is timed here.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks import past
from benchmarks.document import PAGES, RESULTS, Results, filled
from benchmarks.figure import MET, MISSED, MOONSHOT, SHOWN, Figure, Peer, percentile, ratios, surplus
from benchmarks.report import document, number, table, write_json
from benchmarks.storage import Storage
from benchmarks.traffic import NAMES, messages, records
from streamlab_plugin.store import queries
from streamlab_plugin.store.retention import KINDS

ROOT = Path(__file__).parents[1]
NOW = 1_760_000_000.0


def cost(*values: float, peer: Peer | None = None, beats_peer: bool = False) -> Figure:
    """A figure with an upper limit of 4 and a moonshot of 2.5."""
    return Figure(1, "cost per request", "µs", values, 4.0, 2.5, peer=peer, beats_peer=beats_peer)


def share(*values: float) -> Figure:
    """A figure with a lower limit of 0.72 and a moonshot of 0.85."""
    return Figure(3, "rate", "", values, 0.72, 0.85, is_ceiling=False)


class TestFigure:
    def test_the_median_decides(self) -> None:
        """One bad repetition does not miss a budget."""
        assert cost(3.0, 3.1, 9.0).verdict == MET

    @pytest.mark.parametrize(("value", "verdict"), [(4.01, MISSED), (4.0, MET), (2.51, MET), (2.5, MOONSHOT)])
    def test_an_upper_limit_is_inclusive(self, value: float, verdict: str) -> None:
        """A cost exactly at its limit is within it."""
        assert cost(value).verdict == verdict

    @pytest.mark.parametrize(
        ("value", "verdict"), [(0.71, MISSED), (0.72, MET), (0.84, MET), (0.85, MOONSHOT)]
    )
    def test_a_lower_limit_is_inclusive(self, value: float, verdict: str) -> None:
        """A rate exactly at its limit is within it."""
        assert share(value).verdict == verdict

    def test_a_moonshot_may_have_to_beat_the_peer(self) -> None:
        """Being fast is not enough where the peer is faster."""
        faster, slower = Peer("csv", (1.0,)), Peer("csv", (3.0,))
        assert cost(2.0, peer=faster, beats_peer=True).verdict == MET
        assert cost(2.0, peer=slower, beats_peer=True).verdict == MOONSHOT

    def test_a_number_without_a_limit_is_only_shown(self) -> None:
        """What nobody has promised can be neither met nor missed."""
        assert Figure(8, "spool", "B", (97.0,)).verdict == SHOWN

    def test_nothing_measured_is_an_error(self) -> None:
        """A row without numbers cannot be judged."""
        with pytest.raises(ValueError, match="nothing was measured"):
            cost()


class TestRounds:
    def test_rounds_are_divided_one_by_one(self) -> None:
        """A slow round slows numerator and denominator alike."""
        assert ratios([80.0, 8.0], [100.0, 10.0]) == (0.8, 0.8)

    def test_the_median_of_plain_is_subtracted(self) -> None:
        """One bad plain round does not make recording look cheap."""
        assert surplus([7.0, 9.0, 8.0], [4.0, 4.0, 9.0]) == (3.0, 5.0, 4.0)

    def test_a_missing_round_is_an_error(self) -> None:
        """Values of different rounds are never paired."""
        with pytest.raises(ValueError, match="argument 2 is longer"):
            ratios([80.0], [100.0, 10.0])


class TestPercentile:
    @pytest.mark.parametrize(("percent", "value"), [(95, 95.0), (95.1, 96.0), (100, 100.0), (0, 1.0)])
    def test_nearest_rank(self, percent: float, value: float) -> None:
        """The smallest value that the given share does not exceed, whatever the order."""
        assert value == percentile([float(one) for one in range(100, 0, -1)], percent)


class TestTable:
    def test_one_line_per_figure_under_aligned_headings(self) -> None:
        """Each column starts where its heading starts."""
        peer = Peer("CsvRequestLogger", (3.9, 4.1, 4.0))
        lines = table([cost(3.0, 3.5, 3.25, peer=peer), share(0.5)]).splitlines()
        assert len(lines) == 4
        for heading, first, second in (
            ("measured", "3.25 µs", "0.5"),
            ("must", "≤ 4", "≥ 0.72"),
            ("verdict", "met", "missed"),
        ):
            at = lines[0].index(heading)
            assert (first, second) == (lines[2][at : at + len(first)], lines[3][at : at + len(second)])

    def test_the_spread_and_the_peer_are_shown(self) -> None:
        """A reader sees how steady the number is and what somebody else's tool needs."""
        line = table([cost(3.0, 3.5, 3.25, peer=Peer("CsvRequestLogger", (3.9, 4.1, 4.0)))]).splitlines()[2]
        assert ("3 … 3.5" in line, line.endswith("CsvRequestLogger 4")) == (True, True)

    def test_details_stand_below_their_figure(self) -> None:
        """What else was seen belongs to the line above it."""
        seen = Figure(9, "ingest", "/s", (60_123.0,), details={"Locust, cores": 0.594, "dropped": "nothing"})
        lines = table([cost(3.0), seen, share(0.8)]).splitlines()
        assert (6, "     Locust, cores 0.594 · dropped nothing") == (len(lines), lines[4])
        assert ("9 ", "3 ") == (lines[3][:2], lines[5][:2])

    def test_a_missing_limit_is_left_blank(self) -> None:
        """No limit is not a limit of nothing."""
        lines = table([cost(3.0), Figure(8, "spool", "B", (97.0,))]).splitlines()
        at, end = lines[0].index("must"), lines[0].index("verdict")
        assert "" == lines[3][at:end].strip()

    @pytest.mark.parametrize(
        ("value", "text"), [(60_000.4, "60,000"), (2.456, "2.46"), (0.805, "0.805"), (234.2, "234")]
    )
    def test_numbers_are_short(self, value: float, text: str) -> None:
        """Three significant digits are all that a benchmark knows."""
        assert number(value) == text


class TestDocument:
    def test_every_figure_has_its_spread(self, tmp_path: Path) -> None:
        """What is written is what was measured, with the machine it was measured on."""
        path = tmp_path / "results.json"
        write_json(path, document([cost(3.5, 3.0, 3.25, peer=Peer("csv", (4.0,)))], {"cores": 2}))
        assert json.loads(path.read_text()) == {
            "machine": {"cores": 2},
            "figures": [
                {
                    "row": 1, "name": "cost per request", "unit": "µs",
                    "min": 3.0, "median": 3.25, "max": 3.5, "repetitions": 3,
                    "limit": "at most", "must": 4.0, "moonshot": 2.5, "verdict": "met",
                    "peer": {"name": "csv", "min": 4.0, "median": 4.0, "max": 4.0, "repetitions": 1},
                    "details": {},
                }
            ],
        }  # fmt: skip

    def test_only_the_result_is_left(self, tmp_path: Path) -> None:
        """The draft it was written to has gone."""
        write_json(tmp_path / "results.json", document([share(0.8)], {}))
        assert [tmp_path / "results.json"] == list(tmp_path.iterdir())


class TestTraffic:
    def test_a_message_has_twelve_fields_and_its_correlation_id(self) -> None:
        """The payload is the one that the budgets speak of."""
        ((correlation_id, payload),) = messages(1)
        message = json.loads(payload)
        assert (12, correlation_id) == (len(message), message["correlation_id"])

    def test_the_same_seed_gives_the_same_traffic(self) -> None:
        """Two runs measure the same work."""
        assert list(messages(50)) == list(messages(50))

    def test_records_are_numbered_from_one_and_take_turns(self) -> None:
        """The recorder accepts them as one stream."""
        made = records(40, started_at=1_000.0, per_second=10)
        first, last = made[0], made[-1]
        assert (1, NAMES[0], 1_000.0) == (first[0], first[3], first[6])
        assert (40, NAMES[19], 1_003.9) == (last[0], last[3], last[6])


def results(*figures: dict[str, Any]) -> Results:
    """Results that hold *figures*."""
    machine = {"date": "2026-11-21T10:13:22+00:00", "cores": 2, "python": "3.11", "locust": "2.47.0"}
    return Results({"machine": machine, "figures": list(figures)})


class TestDocuments:
    def test_a_marked_table_is_renewed(self) -> None:
        """Only what stands between the marks changes."""
        entry = {
            "row": 3, "name": "rate", "unit": "/s", "min": 1.0, "median": 2.0, "max": 3.0, "verdict": "met",
            "peer": None,
        }  # fmt: skip
        text = filled("before\n<!-- figures: all -->\nold\n<!-- end -->\nafter", results(entry))
        assert text.splitlines() == [
            "before",
            "<!-- figures: all -->",
            "| row | what | median | min … max | verdict | peer |",
            "| --- | --- | --- | --- | --- | --- |",
            "| 3 | rate | 2 /s | 1 … 3 | met |  |",
            "<!-- end -->",
            "after",
        ]

    def test_what_was_not_measured_shows_as_a_dash(self) -> None:
        """A table never invents a number."""
        text = filled("<!-- figures: sizing -->\n<!-- end -->", results())
        assert "| disk per million records | – |" in text.splitlines()

    def test_an_unknown_table_is_an_error(self) -> None:
        """A misspelt mark does not stay empty unnoticed."""
        with pytest.raises(KeyError, match="sizes"):
            filled("<!-- figures: sizes -->\n<!-- end -->", results())

    @pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
    def test_the_documents_show_the_stored_results(self, page: Path) -> None:
        """After a new measurement, `python -m benchmarks.document` has been run."""
        stored = Results(json.loads(RESULTS.read_text()))
        assert filled(page.read_text(), stored) == page.read_text()


class TestPast:
    def test_the_plan_holds_every_record_within_retention(self) -> None:
        """A cleanup during the measurement finds nothing to remove."""
        runs = past.plan(5_000_000, 100, NOW)
        kept_s = min(KINDS["records"].days, KINDS["rollups_1s"].days) * past.DAY_S
        assert 5_000_000 == sum(run.records for run in runs)
        assert runs[0].length_s == past.LONG_S
        assert all(NOW - kept_s < run.started_at < run.started_at + run.length_s < NOW for run in runs)

    def test_batches_follow_each_other_and_count_what_they_hold(self) -> None:
        """The writer takes them as those of one stream that ends."""
        run = past.PastRun(past.LONG_RUN, 1_760_000_000, 40, 1_003)
        batches = list(past.writes(past.Content(), run, past.LONG_RUN, 1, 100))
        assert [one.last_frame for one in batches] == list(range(1, len(batches) + 1))
        assert 1_003 == sum(one.records for one in batches) == batches[-1].produced
        assert 1_003 == sum(delta.requests for one in batches for delta in one.deltas)
        assert [None] * (len(batches) - 1) == [one.closed_at for one in batches[:-1]]
        assert batches[-1].closed_at == 1_760_000_040

    def test_the_long_run_has_busy_hours(self) -> None:
        """Twenty times as many records in every third hour."""
        run = past.PastRun(past.LONG_RUN, 1_760_000_000, past.LONG_S, 22_000)
        hours = [0] * 30
        for batch in past.writes(past.Content(), run, past.LONG_RUN, 0):
            for delta in batch.deltas:
                hours[(delta.second - run.started_at) // 3600] += delta.requests
        assert [2_000, 100, 100] * 10 == hours

    def test_a_stored_past_can_be_read(self, database_url: str) -> None:
        """On either engine the pages find finished runs, balanced and with a verdict."""
        runs = past.plan(20_000, 10, NOW)[1:3]
        past.fill(database_url, runs)
        with Storage(database_url).reader().connect() as connection:
            found = [queries.find_run(connection, run.run) for run in runs]
            totals = [queries.run_summary(connection, run.id).everything.count for run in found]
            ledgers = [queries.run_ledger(connection, run.id).is_balanced for run in found]
        assert [run.records for run in runs] == totals
        assert [("completed", "met")] * 2 == [(run.state, run.verdict) for run in found]
        assert [True, True] == ledgers


DELAY_MS = 20.0
CONNECT = b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a"
PUBLISH = b"\x32\x08\x00\x01t\x01\x02abc"
UPGRADE = b"GET / HTTP/1.1\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"


class TestDelayingTarget:
    """Row 11's target: one port, three protocols."""

    @pytest.fixture
    def target(self) -> Iterator[subprocess.Popen[str]]:
        """The process."""
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.delaying_process", str(DELAY_MS)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        with process:
            yield process
            process.kill()

    @pytest.mark.parametrize(
        ("said", "answers", "count"),
        [
            ([b"GET / HTTP/1.1\r\n\r\n"], [b"HTTP/1.1 200 OK"], 1),
            ([UPGRADE, b"\x81\x82\0\0\0\0hi"], [b"HTTP/1.1 101", b"\x81\x02hi"], 2),
            (
                [CONNECT, PUBLISH[:5], PUBLISH[5:] + PUBLISH],
                [b"\x20\x02\0\0", b"", b"\x40\x02\x01\x02" * 2],
                3,
            ),
        ],
        ids=["HTTP", "WebSocket", "MQTT"],
    )
    def test_no_answer_comes_early(
        self, target: subprocess.Popen[str], said: list[bytes], answers: list[bytes], count: int
    ) -> None:
        """Each is what was asked for; the target tells how many there were and how long they took."""
        assert target.stdin is not None
        assert target.stdout is not None
        began = time.time()
        with socket.create_connection(("127.0.0.1", int(target.stdout.readline())), 10) as client:
            for data, answer in zip(said, answers, strict=True):
                client.sendall(data)
                seen = b""
                while len(seen) < len(answer):
                    seen += client.recv(1_000)
                assert seen.startswith(answer)
        target.stdin.write(f"{began} {time.time()}\n")
        target.stdin.flush()
        given = json.loads(target.stdout.readline())
        assert given["count"] == count
        assert DELAY_MS <= given["p50"] <= given["p99"] <= (time.time() - began) * 1000.0


class TestCommand:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            pytest.param("recorder", ["(SQLite)", "(PostgreSQL)", "after VACUUM"], marks=pytest.mark.faults),
            ("spool", ["spool per record", "1 GB lasts"]),
            ("redaction", ["12-field payload", "written straightforwardly", "each of another shape"]),
            pytest.param("rate", ["FastHttpUser GET", "plain Locust, /s"], marks=pytest.mark.faults),
            pytest.param("publish", ["MQTT QoS 1 publishes", "use_loop_selectors"], marks=pytest.mark.faults),
            pytest.param(
                "clients", ["WebSocket clients in one", "idle MQTT client"], marks=pytest.mark.faults
            ),
            pytest.param("accuracy", ["error of p99", "the target gave, ms"], marks=pytest.mark.faults),
        ],
    )
    def test_quick_measurements_run(self, name: str, expected: list[str]) -> None:
        """With small numbers everything works, is shown, and judged by nobody."""
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks", "--only", name, "--quick"],
            cwd=ROOT, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert (0, []) == (done.returncode, [part for part in expected if part not in done.stdout]), (
            done.stderr
        )

    def test_nothing_patches_the_measuring_process(self) -> None:
        """Locust would replace its sockets and threads by gevent's, and its clock would wait for them."""
        asked = "import sys, benchmarks.__main__; print('gevent' in sys.modules, 'locust' in sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, timeout=60
        )
        assert "False False\n" == done.stdout
