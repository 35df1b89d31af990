"""The canary end to end: nobody is left in a sink; where nothing is redacted the search finds everybody."""

from __future__ import annotations

import pytest

from tests.canary.conftest import Ran, run_canary

PEOPLE = 100
SINKS = {
    "database", "database while it is written", "spool", "archives", "exports and commands",
    "pages and API of streamlab ui", "Locust's web pages", "Locust's CSV and HTML files",
    "messages of master and worker", "log files", "standard output and error", "other files",
}  # fmt: skip


@pytest.fixture(scope="module")
def clean() -> Ran:
    """The run with redaction."""
    return run_canary("--people", str(PEOPLE), redacts=True)


@pytest.fixture(scope="module")
def leaking() -> Ran:
    """The run without."""
    return run_canary("--people", str(PEOPLE), redacts=False)


class TestClean:
    """`streamlab privacy canary`."""

    def test_nothing_in_any_sink(self, clean: Ran) -> None:
        """S002-11, S002-66: after HTTP, WebSocket and MQTT users no planted value is in any sink."""
        assert 0 == clean.exit_code, (clean.said.get("hits"), clean.errors)
        assert dict.fromkeys(SINKS, 0) == clean.sinks()
        assert clean.said["values"] > PEOPLE * 3 * 15

    def test_no_raw_payload_in_the_database(self, clean: Ran) -> None:
        """S002-70: neither the database's bytes nor archives nor exports have a raw payload."""
        assert {"database": 0, "archives": 0, "exports and commands": 0}.items() <= clean.sinks().items()
        sizes = {sink["name"]: sink["bytes"] for sink in clean.said["sinks"]}
        assert min(sizes.values()) > 10_000, sizes

    def test_everything_was_there(self, clean: Ran) -> None:
        """The target saw all that was sent as it was sent, and every record is accounted for."""
        said = clean.said
        assert PEOPLE * 2 * 3 == said["planted"]
        assert said["planted_on_wire"] == said["seen"] <= said["records"]
        assert said["ledger"].endswith("balanced")


@pytest.mark.faults
class TestLeaking:
    """The same with redaction that keeps everything."""

    def test_all_is_found(self, leaking: Ran) -> None:
        """S002-66: every value of every way in that reaches the recorder, or a log, is found."""
        assert 1 == leaking.exit_code, leaking.errors
        recorded = [way for way in leaking.said["ways"] if way["is_recorded"]]
        assert [] == [way for way in recorded if way["found"] != way["values"]]
        assert {"http", "websocket", "mqtt"} == {way["protocol"] for way in recorded}
        assert len(recorded) > 150

    def test_in_every_sink(self, leaking: Ran) -> None:
        """S002-11: there is no sink in which the search is blind."""
        assert SINKS == {name for name, hits in leaking.sinks().items() if hits}

    def test_no_value_is_shown(self, leaking: Ran) -> None:
        """A hit names field, way, sink and decoding, and nothing else."""
        keys = {"protocol", "carrier", "disguise", "field", "sink", "decoding", "values"}
        assert {frozenset(keys)} == {frozenset(hit) for hit in leaking.said["hits"]}


@pytest.mark.faults
def test_ten_thousand_people() -> None:
    """S002-11, S002-66, S002-70: ten thousand people on each protocol, and none of them in any sink."""
    ran = run_canary("--people", "10000", "--seed", "21", timeout_s=1_800)
    assert 0 == ran.exit_code, (ran.said.get("hits"), ran.errors)
    assert 60_000 == ran.said["planted"]
    assert {0} == set(ran.sinks().values())
