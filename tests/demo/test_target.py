"""The process: how it starts, announces itself, refuses and ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from target_process import Target, command

from streamlab_plugin.demo.schedule import build_schedule


def refusal(*options: str) -> tuple[int, str]:
    """Run a target that must not start; return exit code and what it says."""
    done = subprocess.run(command(*options), capture_output=True, text=True, timeout=20)
    return done.returncode, done.stderr


def is_gone(pid: int, within_s: float) -> bool:
    """Wait until nobody has *pid*, at most *within_s* seconds."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


class TestReady:
    """The line on stdout."""

    def test_names_ports_that_answer_and_the_schedule(self, start: Callable[..., Target]) -> None:
        """Whoever reads the line can connect at once and knows what will go wrong."""
        target = start("--duration", "30", "--seed", "11")
        for protocol in ("http", "ws", "mqtt"):
            socket.create_connection(("127.0.0.1", target.ready[protocol]), timeout=5).close()
        assert build_schedule(30, 11).as_json() == target.ready["schedule"]
        assert (target.ready["ready"], target.ready["seed"]) == (True, 11)

    def test_prints_the_schedule_for_people_on_stderr(self) -> None:
        """One line per misbehaviour, without --quiet."""
        process = subprocess.Popen(command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        process.terminate()
        _, said = process.communicate(timeout=10)
        assert all(line in said for line in build_schedule(60, 7).lines())

    def test_the_clock_waits_for_the_first_request(self, start: Callable[..., Target]) -> None:
        """Looking at the schedule is no request; the first real one starts it."""
        target = start()
        before = target.get_json("/demo/schedule")
        target.get_json("/api/v1/items")
        after = target.get_json("/demo/schedule")
        assert (before["phase"], before["started_at"]) == ("waiting", None)
        assert after["phase"] == "running"
        assert abs(after["started_at"] - time.time()) < 30


class TestRefusals:
    """Mistakes of the user."""

    @pytest.mark.parametrize(
        ("option", "what"), [("--http-port", "HTTP"), ("--ws-port", "WebSocket"), ("--mqtt-port", "MQTT")]
    )
    def test_a_taken_port_is_one_line_and_exit_code_4(self, option: str, what: str) -> None:
        """It names the port and the option that changes it."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            code, said = refusal(option, str(port))
        expected = (
            f"error: port {port} for {what} is already in use; "
            f"choose another with {option} (0 takes any free one)\n"
        )
        assert (4, expected) == (code, said)

    def test_a_log_that_cannot_be_written_is_one_line_and_exit_code_2(self, tmp_path: Path) -> None:
        """The directory does not exist."""
        code, said = refusal("--log", str(tmp_path / "missing" / "log"))
        assert code == 2
        assert said.count("\n") == 1
        assert "--log" in said

    @pytest.mark.parametrize(
        "options", [("--http-port", "70000"), ("--duration", "0"), ("--duration", "nan"), ("--seed", "x")]
    )
    def test_a_wrong_value_is_named_with_exit_code_2(self, options: tuple[str, str]) -> None:
        """The option and the value, without a traceback."""
        code, said = refusal(*options)
        assert code == 2
        assert all(option in said for option in options)
        assert "Traceback" not in said


class TestEnd:
    """How it ends."""

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_with_0_and_a_complete_log(
        self, start: Callable[..., Target], number: signal.Signals
    ) -> None:
        """Even with a client that is still connected."""
        target = start()
        target.get_json("/api/v1/items?seq=last")
        with socket.create_connection(("127.0.0.1", target.ready["ws"]), timeout=5):
            target.process.send_signal(number)
            assert target.process.wait(timeout=10) == 0
        assert [line["seq"] for line in target.lines()] == ["last"]

    def test_an_orphan_ends_by_itself(self) -> None:
        """Its parent starts it, passes its pid on, and is gone."""
        script = (
            "import subprocess, sys\n"
            f"target = subprocess.Popen({command('--quiet')!r}, stdout=subprocess.PIPE, text=True)\n"
            "target.stdout.readline()\n"
            "print(target.pid)\n"
        )
        done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=20)
        assert is_gone(json.loads(done.stdout), within_s=10)
