"""What Locust's log says before the first request, with a real Locust."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from harness import Place, free_port

LOCUSTFILE = """
import logging
from locust import HttpUser, LoadTestShape, constant, events, task
from streamlab_plugin import install
install()

class App(HttpUser):
    wait_time = constant(0.2)

    @task
    def item(self):
        self.client.get("/200")

@events.spawning_complete.add_listener
def say(user_count, **_arguments):
    import resource
    logging.warning("limit %d", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""
LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""
# Locust itself wants 10,000 descriptors and takes them if the hard limit allows it.
SOFT, HARD = 210, 260


def locust(place: Place, host: str, *arguments: str, limits: tuple[int, int] | None = None) -> list[str]:
    """Run Locust for a second; return the lines of its log that are the preflight's or the test's own."""
    (place.folder / "locustfile.py").write_text(LOCUSTFILE)
    command = ["-m", "locust", "--headless", "-t", "1s", "-r", "200", "-H", host, *arguments]
    prefix = [] if limits is None else ["-c", LIMITED, str(limits[0]), str(limits[1])]
    done: subprocess.CompletedProcess[str] = place.run(sys.executable, *prefix, *command)
    assert "Traceback" not in done.stdout, done.stdout
    return [line for line in done.stdout.splitlines() if "preflight" in line or "limit " in line]


def said(lines: list[str]) -> list[str]:
    """Return what the preflight said."""
    return [line for line in lines if "preflight" in line]


class TestPreflight:
    """Before the first request: silence, or one line with the remedy; the test always goes on."""

    def test_a_limit_that_can_be_raised(self, place: Place, server: Any) -> None:
        """It is raised before the users come, and said so; a target that is there is not worth a line."""
        lines = locust(place, server.url, "-u", "150", limits=(SOFT, HARD))
        (line,) = said(lines)
        assert "INFO" in line
        assert f"150 users need 250 descriptors, the limit is {HARD}, raised from {SOFT}" in line
        assert any(f"limit {HARD}" in line for line in lines)

    def test_nothing_is_right(self, place: Place) -> None:
        """A target that is not there and a limit that is too low are told, without the URL's secrets."""
        port = free_port()
        host = f"http://user:hunter2@127.0.0.1:{port}/?token=hunter2"
        lines = locust(place, host, "-u", "161", limits=(SOFT, HARD))
        target, descriptors = said(lines)
        assert "WARNING/streamlab_plugin.preflight: Streamlab preflight: " in target
        assert f"http://127.0.0.1:{port}: nothing listens on" in target
        assert "check the host, and whether it is running" in target
        assert "raise it: ulimit -n 261" in descriptors
        assert "hunter2" not in target
        assert any(f"limit {HARD}" in line for line in lines)

    @pytest.mark.faults
    def test_processes(self, place: Place) -> None:
        """The processes of one machine say it once, and each has its share of the users."""
        port = str(free_port())
        ports = ("--master-port", port, "--master-bind-port", port)
        host = f"http://127.0.0.1:{free_port()}"
        lines = locust(place, host, "-u", "200", "--processes", "2", *ports, limits=(SOFT, HARD))
        assert ["nothing listens" in line for line in said(lines)] == [True], lines
