"""Every mistake of a user: one line, a documented exit code, no traceback, nothing lost."""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import subprocess
import sys
from typing import Any

import pytest
from harness import Place

LOCUSTFILE = """
from locust import FastHttpUser, constant_throughput, task
from streamlab_plugin import install
install()

class App(FastHttpUser):
    wait_time = constant_throughput(40)

    @task
    def item(self):
        self.client.get("/200")
"""
RULE = """rules:
  - name: slow
    description: slow
    condition: {latency_ms: {gt: 1}}
    severity: warning
    anomaly_type: slow
    tags: []
    fixes: [{type: code, title: t, steps: [a], risk: low, confidence: 0.5}]
"""


def _locust(place: Place, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    (place.folder / "locustfile.py").write_text(LOCUSTFILE)
    return place.locust("--headless", "-t", "2s", "-H", "http://127.0.0.1:9", *arguments, timeout_s=timeout_s)


def _one_line(output: str) -> str:
    lines = [line for line in output.splitlines() if line.startswith("streamlab: ")]
    assert 1 == len(lines), output
    assert "Traceback" not in output
    return lines[0]


class TestRefusals:
    """Before the first request Streamlab may refuse to start."""

    @pytest.mark.parametrize(
        ("text", "where"),
        [
            (RULE + "surprise: 1\n", "bad.yaml:9: "),
            (RULE.replace("{gt: 1}", "{above: 1}"), "bad.yaml:4: "),
            (RULE.replace("latency_ms: {gt: 1}", 'endpoint: {regex: "("}'), "bad.yaml:4: "),
            (RULE + RULE.split("\n", 1)[1], "bad.yaml:9: "),
            ("rules: [", "bad.yaml:"),
        ],
        ids=["unknown key", "unknown operator", "bad regex", "duplicate rule", "no YAML"],
    )
    def test_wrong_rules(self, place: Place, text: str, where: str) -> None:
        """2, with file and line."""
        (place.folder / "bad.yaml").write_text(text)
        result = _locust(place, "--streamlab-rules", "bad.yaml")
        assert 2 == result.returncode
        assert where in _one_line(result.stdout)

    def test_a_missing_file(self, place: Place) -> None:
        """2, with its name."""
        result = _locust(place, "--streamlab-slo", "none.yaml")
        assert 2 == result.returncode
        assert "none.yaml: there is no such file" in _one_line(result.stdout)

    def test_a_bad_database_url(self, place: Place) -> None:
        """2, and the password is not repeated."""
        place.variables["STREAMLAB_DATABASE_URL"] = "mysql://joe:hunter2@db/x"
        result = _locust(place)
        assert 2 == result.returncode
        assert "use sqlite:///PATH" in _one_line(result.stdout)
        assert "hunter2" not in result.stdout

    def test_a_locked_database(self, place: Place) -> None:
        """4 after a bounded wait."""
        with contextlib.closing(sqlite3.connect(place.database, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE other (x)")
            connection.execute("BEGIN EXCLUSIVE")
            result = _locust(place)
        assert 4 == result.returncode, result.stdout
        assert "locked" in _one_line(result.stdout)

    def test_a_file_that_is_no_database(self, place: Place) -> None:
        """4, and the file is left alone."""
        place.database.write_text("precious notes " * 100)
        result = _locust(place)
        assert 4 == result.returncode, result.stdout
        assert "not a Streamlab database" in _one_line(result.stdout)
        assert place.database.read_text().startswith("precious")

    def test_a_read_only_folder(self, place: Place) -> None:
        """4, with the way out. Root may write anywhere: there the run drops its privileges."""
        folder = place.folder / "sealed"
        folder.mkdir(mode=0o555)
        place.variables["STREAMLAB_DATABASE_URL"] = f"sqlite:///{folder}/x.db"
        if os.getuid() == 0:
            folder = place.folder / "gone" / "x"
            place.variables["STREAMLAB_DATABASE_URL"] = f"sqlite:////proc/{os.getpid()}/x.db"
        result = _locust(place)
        assert 4 == result.returncode, result.stdout
        assert "STREAMLAB_DATABASE_URL" in _one_line(result.stdout)

    def test_a_key_that_others_can_read(self, place: Place) -> None:
        """2: the key is a secret."""
        key = place.folder / "key"
        key.write_text("00" * 32)
        key.chmod(0o644)
        place.variables["STREAMLAB_KEY_FILE"] = str(key)
        result = _locust(place)
        assert 2 == result.returncode, result.stdout
        assert str(key) in _one_line(result.stdout)


class TestCommands:
    """The streamlab command."""

    def test_a_taken_port(self, place: Place) -> None:
        """4 for the demo and the pages, with the option that helps."""
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            holder.listen()
            port = str(holder.getsockname()[1])
            result = place.streamlab("demo", "--web-port", port)
            assert 4 == result.returncode
            assert "--web-port" in _one_line(result.stdout)

    def test_an_unknown_command(self, place: Place) -> None:
        """2 and no traceback."""
        result = place.streamlab("nonsense")
        assert 2 == result.returncode
        assert "Traceback" not in result.stdout

    def test_a_broken_streamlab_yaml(self, place: Place) -> None:
        """2, with file and line, from every command."""
        del place.variables
        place.variables = {}
        (place.folder / "streamlab.yaml").write_text("slo: 5\n")
        result = place.streamlab("slo", "check")
        assert 2 == result.returncode
        assert "streamlab.yaml:1: " in _one_line(result.stdout)


class TestTargetDown:
    """A target that is not there is a finding, not a crash."""

    def test_it_is_recorded_and_explained(self, place: Place) -> None:
        """Connection refused becomes an anomaly with a fix."""
        result = _locust(place)
        assert "Traceback" not in result.stdout
        assert place.value("SELECT count(*) FROM records") > 20
        found: list[tuple[Any, ...]] = place.query("SELECT anomaly_type FROM signatures")
        assert ("connection_refused",) in found
        assert place.value("SELECT count(*) FROM fixes") > 0


def test_importing_starts_nothing(place: Place) -> None:
    """No recorder, no file, no thread."""
    result = place.run(
        sys.executable, "-c", "import streamlab_plugin, threading; print(threading.active_count())"
    )
    assert "1" == result.stdout.strip()
    assert not place.database.exists()
