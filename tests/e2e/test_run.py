"""`streamlab run`: a scenario's load against a real target, and what comes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from comparison import differences
from harness import ROOT, Place, Target, demo_target, ledger_is_balanced

SCENARIOS = sorted((ROOT / "rules" / "scenarios").glob("*.yaml"))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Place, Target, Any]]:
    """The packaged scenario of all protocols, for a short time, in two Locust processes."""
    place = Place(tmp_path_factory.mktemp("run"))
    with demo_target(place) as target:
        done = place.streamlab(
            "run", "--scenario", "mixed", "--duration", "7", "--connections", "12", "--processes", "2",
            "--output", "results.json", *_endpoints(target), timeout_s=120,
        )  # fmt: skip
        yield place, target, done


def _endpoints(target: Target) -> list[str]:
    schemes = {"http": "http", "ws": "ws", "mqtt": "mqtt"}
    urls = [f"{scheme}://127.0.0.1:{target.ready[name]}" for name, scheme in schemes.items()]
    return [word for url in urls for word in ("--endpoint", url)]


class TestMixed:
    def test_the_rows_are_what_the_target_saw(self, ran: tuple[Place, Target, Any]) -> None:
        """Every message of every protocol, once."""
        place, target, done = ran
        assert 0 == done.returncode, done.stdout
        assert [] == differences(place, target)
        assert ledger_is_balanced(place)

    def test_what_is_printed(self, ran: tuple[Place, Target, Any]) -> None:
        """Plain lines without a terminal: what is done, progress, requests, ledger, verdict."""
        _place, _target, done = ran
        for expected in ("mixed\n", "12 connections for 7 s", " requests · ", "balanced", "met (exit code 0"):
            assert expected in done.stdout
        assert "\x1b" not in done.stdout

    def test_results_file(self, ran: tuple[Place, Target, Any]) -> None:
        """It is the one that `streamlab slo check` reads, and the run bears the scenario's name."""
        place, _target, _done = ran
        found = json.loads((place.folder / "results.json").read_text())
        assert ("mixed", {"http", "mqtt", "websocket"}) == (found["run"]["name"], set(found["protocols"]))
        assert place.value("SELECT count(*) FROM records") == sum(
            one["count"] for one in found["protocols"].values()
        )

    def test_messages_know_when_they_were_due(self, ran: tuple[Place, Target, Any]) -> None:
        """Of every protocol, each once; what is no message has no schedule."""
        place, _target, _done = ran
        rows = place.query("SELECT DISTINCT operation, scheduled_at IS NOT NULL FROM records_flat")
        messages = {"request", "publish", "POST"}
        assert {(operation, 1) for operation in messages} == {row for row in rows if row[0] in messages}
        assert {0} == {is_due for operation, is_due in rows if operation not in messages}

    def test_connections_have_people_of_their_own(self, ran: tuple[Place, Target, Any]) -> None:
        """Also those of different processes."""
        place, _target, _done = ran
        rows = place.query(
            "SELECT payload FROM records_flat WHERE operation = 'publish' AND payload IS NOT NULL"
        )
        users = {json.loads(payload)["user_id"] for (payload,) in rows}
        assert 12 * 2 // 6 == len(users)


class TestVerdict:
    def test_objectives_of_the_scenario(self, place: Place, server: Any) -> None:
        """What it expects is judged; a target that fails gives 1."""
        (place.folder / "my.yaml").write_text(
            f"name: failing\nprotocol: http\nendpoint: {server.url}\npath: /500\nmethod: GET\n"
            "connections: 5\nduration_seconds: 4\nmessages_per_second: 10\nexpected_error_rate: 0.5\n"
        )
        done = place.streamlab("run", "--scenario", "my.yaml")
        assert 1 == done.returncode, done.stdout
        assert "breached" in done.stdout

    def test_without_a_scenario(self, place: Place, server: Any) -> None:
        """Options describe it; one that expects nothing is judged by its errors."""
        options = ["--duration", "3", "--connections", "2", "--rate", "5"]
        done = place.streamlab("run", "--protocol", "http", "--endpoint", f"{server.url}/200", *options)
        assert 0 == done.returncode, done.stdout
        assert ["/{id}"] == [one for (one,) in place.query("SELECT DISTINCT endpoint FROM records_flat")]
        assert {"GET"} == {one for (one,) in place.query("SELECT operation FROM records_flat")}

    def test_nobody_there(self, place: Place) -> None:
        """A target that does not answer gives 4."""
        options = ["--endpoint", "http://127.0.0.1:9", "--duration", "2", "--connections", "2"]
        done = place.streamlab("run", "--protocol", "http", *options)
        assert 4 == done.returncode, done.stdout


class TestPrivacy:
    def test_allow_unsafe(self, place: Place, server: Any) -> None:
        """S002-37: A scenario that keeps comments is refused, or its run says for good which it kept."""
        (place.folder / "my.yaml").write_text(
            f"name: frank\nprotocol: http\nendpoint: {server.url}\npath: /200\nmethod: GET\n"
            "connections: 1\nduration_seconds: 2\nmessages_per_second: 5\n"
            "pii_redaction_rules: {keep: [comment]}\n"
        )
        refused = place.streamlab("run", "--scenario", "my.yaml")
        assert 2 == refused.returncode
        assert "my.yaml:9: pii_redaction_rules.keep.0: 'comment' is always removed" in refused.stdout
        assert not place.database.exists()
        done = place.streamlab("run", "--scenario", "my.yaml", "--allow-unsafe")
        assert 0 == done.returncode, done.stdout
        assert {"unsafe_fields": "comment"} == json.loads(place.value("SELECT tags FROM runs"))
        assert "tags: unsafe_fields=comment" in place.streamlab("runs", "show", "latest").stdout


class TestUsage:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ([], "give --scenario FILE, or --protocol"),
            (["--protocol", "http"], "--protocol needs one --endpoint; add --endpoint URL"),
            (["--scenario", "spik"], "there is no scenario and no file 'spik'; did you mean 'spike'?"),
            (["--scenario", "spike", "--endpoint", "ws://x"], "the scenario has no part for it"),
            (["--scenario", "spike", "--duration", "0.5"], ""),
            (["--protocol", "http", "--endpoint", "ftp://x"], "endpoint"),
            (["--scenario", "bad.yaml"], "bad.yaml:2: protocol: unknown value 'htp'"),
        ],
    )
    def test_one_line_and_a_code(self, place: Place, arguments: list[str], expected: str) -> None:
        """What is wrong is said before anything is started; --dry-run starts nothing."""
        (place.folder / "bad.yaml").write_text("name: x\nprotocol: htp\nendpoint: http://a\n")
        done = place.streamlab("run", *arguments, "--dry-run")
        assert (2 if expected else 0) == done.returncode, done.stdout
        assert expected in done.stdout
        assert "Traceback" not in done.stdout
        assert not place.database.exists()


@pytest.mark.faults
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
def test_every_packaged_scenario_runs(place: Place, path: Path) -> None:
    """Five seconds each, against the demo target."""
    document = yaml.safe_load(path.read_text())
    with demo_target(place) as target:
        protocols = {part["protocol"] for part in document.get("parts", [document])}
        names = {"http": "http", "websocket": "ws", "mqtt": "mqtt"}
        endpoints = [
            word
            for protocol in sorted(protocols)
            for word in ("--endpoint", f"{names[protocol]}://127.0.0.1:{target.ready[names[protocol]]}")
        ]
        options = ["--duration", "5", "--connections", str(min(50, document["connections"]))]
        short = {**document, "ramp_up_seconds": 0, "ramp_down_seconds": 0}
        (place.folder / "short.yaml").write_text(yaml.safe_dump(short))
        done = place.streamlab("run", "--scenario", "short.yaml", *options, *endpoints, timeout_s=150)
        assert done.returncode in (0, 1), done.stdout
        assert ledger_is_balanced(place)
        assert place.value("SELECT count(*) FROM records") > 0
