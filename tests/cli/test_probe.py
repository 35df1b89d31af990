"""`streamlab probe` as a user calls it: lines, JSON, exit codes."""

from __future__ import annotations

import json
import resource
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from harness import Place, demo_target
from probe_peers import PASSWORD, USER, Certificates, closed_port, http_server, mosquitto, raw_server, saying

from streamlab_plugin.cli.probe import PASSWORD_VARIABLE, probe
from streamlab_plugin.cli.probe_view import answers_json, answers_lines
from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.probe.answer import Answer


def call(*arguments: str, **variables: str) -> Result:
    """Run `streamlab probe`."""
    return CliRunner().invoke(probe, arguments, env=variables)


def answered(*arguments: str, **variables: str) -> dict[str, Any]:
    """Return the JSON that it prints; the exit code fits the outcome."""
    result = call(*arguments, "--json", **variables)
    found: dict[str, Any] = json.loads(result.stdout)
    assert (0 if found["outcome"] == "ok" else 4) == result.exit_code
    return found


class TestCommand:
    """The installed command, with the demo target as its peer."""

    def test_every_protocol_of_the_demo_target(self, tmp_path: Path) -> None:
        """WebSocket with a heartbeat that is answered, MQTT and HTTP are ok."""
        place = Place(tmp_path)
        with demo_target(place) as target:
            urls = target.variables()
            ws = f"{urls['STREAMLAB_DEMO_WS']}/ws/mobile/sync/?device_id=7&token=hunter2"
            results = [
                place.streamlab("probe", "ws", ws, "--message", "heartbeat", "--expect-reply"),
                place.streamlab("probe", "mqtt", urls["STREAMLAB_DEMO_MQTT"]),
                place.streamlab(
                    "probe", "http", f"{urls['STREAMLAB_DEMO_HTTP']}/nowhere", "--expect-status", "404"
                ),
            ]
        for result in results:
            assert result.stdout.startswith("ok  "), result.stdout
            assert 0 == result.returncode
            assert 1 == len(result.stdout.splitlines())
            assert "hunter2" not in result.stdout

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (("http", "ftp://user:hunter2@h"), 2),
            (("ws", "ws://h", "--expect-reply"), 2),
            (("http", "http://h", "--timeout", "0"), 2),
            (("tls", "h:port"), 2),
            (("tls", f"127.0.0.1:{closed_port()}"), 4),
        ],
        ids=["URL", "no message", "timeout", "port", "closed port"],
    )
    def test_exit_codes(self, tmp_path: Path, arguments: tuple[str, ...], expected: int) -> None:
        """2 for a mistake of the user's, 4 for a target that is not ok; no traceback, no secret."""
        result = Place(tmp_path).streamlab("probe", *arguments)
        assert expected == result.returncode, result.stdout
        assert "Traceback" not in result.stdout
        assert "hunter2" not in result.stdout

    @pytest.mark.parametrize(
        "arguments",
        [("http", b"http://h/\xff"), ("mqtt", "mqtt://h", "--topic", b"\xff")],
        ids=["URL", "topic"],
    )
    def test_bytes_that_are_no_text(self, tmp_path: Path, arguments: tuple[Any, ...]) -> None:
        """So is what is not UTF-8."""
        result = Place(tmp_path).streamlab("probe", *arguments)
        assert 2 == result.returncode, result.stdout
        assert "not UTF-8" in result.stdout
        assert "Traceback" not in result.stdout


class TestMqttPassword:
    """Where the password comes from."""

    def test_from_the_environment(self, tmp_path: Path) -> None:
        """The variable lets us in; without it we are not authorised."""
        with mosquitto(tmp_path, Certificates(tmp_path)) as ports:
            asked = ("mqtt", f"mqtt://127.0.0.1:{ports[1]}", "--username", USER, "--topic", "free/probe")
            good = answered(*asked, **{PASSWORD_VARIABLE: PASSWORD})
            bad = answered(*asked, **{PASSWORD_VARIABLE: "hunter2"})
        assert ("ok", "not_authorised") == (good["outcome"], bad["outcome"])

    def test_never_from_the_url(self) -> None:
        """A password in the URL is refused, with the remedy."""
        result = call("mqtt", "mqtt://probe:hunter2@127.0.0.1:1")
        assert isinstance(result.exception, ConfigError)
        assert PASSWORD_VARIABLE in str(result.exception)
        assert "hunter2" not in str(result.exception)


class TestCount:
    """Several attempts."""

    def test_spans(self) -> None:
        """Each phase has minimum, median and maximum of all attempts."""
        with http_server() as port:
            found = answered("http", f"http://127.0.0.1:{port}/", "--count", "5")
        assert ("ok", 5, 5) == (found["outcome"], found["count"], found["ok"])
        assert {"dns", "tcp", "first_byte", "total"} == set(found["timings_ms"])
        for span in found["timings_ms"].values():
            assert span["min"] <= span["median"] <= span["max"]

    def test_one_that_fails(self) -> None:
        """The outcome is that of the failures, and the others are counted."""
        answers = [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 503 No\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
        with raw_server(lambda connection: saying(answers.pop())(connection)) as port:
            found = answered("http", f"http://127.0.0.1:{port}/", "--count", "3")
        assert ("bad_status", 3, 2) == (found["outcome"], found["count"], found["ok"])
        assert 503 == found["facts"]["status"]


class TestView:
    """How answers are shown."""

    ONE = Answer("http://h:80/", "ok", "", {"dns": 1.0, "total": 4.0}, {"status": 200}, ("it ends soon",))
    OTHER = Answer("http://h:80/", "timeout", "no answer", {"dns": 2.0, "total": 9.0})

    def test_one_line(self) -> None:
        """Outcome, target, phases, facts; each warning on a line of its own."""
        assert [
            "ok  http://h:80/  dns 1.0 ms, total 4.0 ms; status 200",
            "warning: it ends soon",
        ] == answers_lines([self.ONE])

    def test_several(self) -> None:
        """Minimum, median and maximum, and how many were ok."""
        assert [
            "timeout  http://h:80/  no answer; dns 1.0/1.5/2.0 ms, total 4.0/6.5/9.0 ms; "
            "min/median/max of 2, 1 ok"
        ] == answers_lines([self.ONE, self.OTHER])

    def test_what_a_terminal_would_obey(self) -> None:
        """What a target told of itself cannot move the cursor."""
        (line,) = answers_lines([Answer("mqtt://h", "ok", timings_ms={"total": 1.0}, facts={"v": "\x1b[2J"})])
        assert "\x1b" not in line

    def test_json(self) -> None:
        """The same as an object."""
        assert {
            "target": "http://h:80/",
            "outcome": "ok",
            "reason": "",
            "count": 1,
            "ok": 1,
            "timings_ms": {
                "dns": {"min": 1.0, "median": 1.0, "max": 1.0},
                "total": {"min": 4.0, "median": 4.0, "max": 4.0},
            },
            "facts": {"status": 200},
            "warnings": ["it ends soon"],
        } == answers_json([self.ONE])


class TestPreflight:
    """`streamlab probe preflight`."""

    def test_ready(self) -> None:
        """A machine that is ready gives one line per check and 0."""
        with http_server() as port:
            result = call("preflight", "--users", "5", "--host", f"http://127.0.0.1:{port}")
        assert (0, ["ok"] * 3) == (result.exit_code, [line.split()[0] for line in result.stdout.splitlines()])

    def test_not_ready(self) -> None:
        """Problems come with their remedy, and 4."""
        _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        host = f"ws://127.0.0.1:{closed_port()}"
        result = call("preflight", "--users", str(max(hard, 70_000)), "--host", host, "--json")
        checks = json.loads(result.stdout)
        assert (4, [True] * 3) == (result.exit_code, [check["is_problem"] for check in checks])
        assert all(check["remedy"] for check in checks)
