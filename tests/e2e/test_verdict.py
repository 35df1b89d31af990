"""The five exit codes of the verdict, after the run, in the run, and on a results file."""

from __future__ import annotations

import json
from typing import Any

import pytest
from harness import Place, free_port

LOCUSTFILE = """
import os
from locust import FastHttpUser, constant_throughput, task
from streamlab_plugin import install
install()

class App(FastHttpUser):
    wait_time = constant_throughput(40)

    @task
    def item(self):
        for path in os.environ.get("PATHS", "/200").split():
            self.client.get(path)

    tasks = [] if os.environ.get("IDLE") else [item]
    if os.environ.get("IDLE"):
        def run(self):
            import gevent
            gevent.sleep(60)
"""
SLO = "objectives: {http: {max_error_rate: 0.1, max_p95_latency_ms: 5000, min_throughput_rps: 1}}\n"


def _run(place: Place, host: str, *arguments: str, seconds: int = 3, **variables: str) -> Any:
    (place.folder / "locustfile.py").write_text(LOCUSTFILE)
    (place.folder / "slo.yaml").write_text(SLO)
    place.variables.update(variables)
    return place.locust("--headless", "-u", "2", "-r", "2", "-t", f"{seconds}s", "-H", host, *arguments)


class TestExitCodes:
    """`streamlab slo check`, `--streamlab-slo`, and a results file agree."""

    @pytest.mark.parametrize(("paths", "expected"), [("/200", 0), ("/200 /500", 1)], ids=["met", "breached"])
    def test_a_run_with_answers(self, place: Place, server: Any, paths: str, expected: int) -> None:
        """0 within the objectives, 1 beyond them; a tolerated failure does not turn the run red."""
        result = _run(place, server.url, "--streamlab-slo", "slo.yaml", PATHS=paths)
        assert expected == result.returncode, result.stdout
        assert expected == place.streamlab("slo", "check", "--slo", "slo.yaml").returncode
        exported = place.streamlab("runs", "export", "latest", "--json", "--output", "results.json")
        assert 0 == exported.returncode, exported.stdout
        checked = place.streamlab("slo", "check", "results.json", "--slo", "slo.yaml", "--json")
        assert expected == checked.returncode
        assert expected == json.loads(checked.stdout)["exit_code"]

    def test_without_the_option_locusts_own_code_stands(self, place: Place, server: Any) -> None:
        """Failures give Locust's 1, whatever the objectives say."""
        result = _run(
            place, server.url, PATHS="/200 /200 /200 /200 /200 /200 /200 /200 /200 /200 /200 /200 /500"
        )
        assert 1 == result.returncode
        assert 0 == place.streamlab("slo", "check", "--slo", "slo.yaml").returncode

    def test_a_tolerated_failure_is_met(self, place: Place, server: Any) -> None:
        """With the option, the verdict is the exit code."""
        paths = "/200 " * 15 + "/500"
        assert 0 == _run(place, server.url, "--streamlab-slo", "slo.yaml", PATHS=paths).returncode

    def test_wrong_usage(self, place: Place, server: Any) -> None:
        """2 for a run that does not exist, a results file that is none, and an unknown option."""
        _run(place, server.url)
        (place.folder / "broken.json").write_text('{"streamlab_results": 1')
        for arguments in (("--run", "zzz"), ("broken.json",), ("none.json",), ("--nonsense",)):
            result = place.streamlab("slo", "check", *arguments)
            assert 2 == result.returncode, result.stdout
            assert "Traceback" not in result.stdout

    def test_a_run_without_requests_has_no_verdict(self, place: Place, server: Any) -> None:
        """3, in the run and after it."""
        result = _run(place, server.url, "--streamlab-slo", "slo.yaml", IDLE="1", seconds=2)
        assert 3 == result.returncode, result.stdout
        assert 3 == place.streamlab("slo", "check").returncode

    def test_too_few_samples_have_no_verdict(self, place: Place, server: Any) -> None:
        """3: fewer than 50 requests."""
        _run(place, server.url, seconds=1)
        (place.folder / "strict.yaml").write_text(SLO + "min_samples: 100000\n")
        assert 3 == place.streamlab("slo", "check", "--slo", "strict.yaml").returncode

    def test_an_unreachable_target(self, place: Place) -> None:
        """4: no request got any answer."""
        result = _run(place, f"http://127.0.0.1:{free_port()}", "--streamlab-slo", "slo.yaml")
        assert 4 == result.returncode, result.stdout
        assert 4 == place.streamlab("slo", "check").returncode

    def test_no_database(self, place: Place) -> None:
        """4, and none is created."""
        assert 4 == place.streamlab("slo", "check").returncode
        assert not place.database.exists()

    def test_a_code_that_the_test_has_set_stays(self, place: Place, server: Any) -> None:
        """The user's own decision wins."""
        own = "\nfrom locust import events\n@events.test_stop.add_listener\ndef own(environment, **_):\n"
        own += "    environment.process_exit_code = 77\n"
        (place.folder / "own.py").write_text(LOCUSTFILE + own)
        (place.folder / "slo.yaml").write_text(SLO)
        result = place.locust(
            "-f", "own.py", "--headless", "-t", "2s", "-H", server.url, "--streamlab-slo", "slo.yaml"
        )
        assert 77 == result.returncode, result.stdout
