"""Open model: arrivals come as scheduled, whatever the server does, in one process and in several."""

from __future__ import annotations

import json
import math
import re
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import Place, free_port, ledger_is_balanced, wait_for
from users.conftest import serve

SERVER = Path(__file__).parent / "stalling_server.py"
LOCUSTFILE = """
import locust
from locust import LoadTestShape, task
from streamlab_plugin import arrivals, install
{install}

class App(locust.{user}):
    host = "{url}"
    wait_time = arrivals("{schedule}")

    @task
    def get(self):
        self.client.get("/ok")
{more}
"""
WAVES = """
class Waves(LoadTestShape):
    def tick(self):
        seconds = self.get_run_time()
        return None if seconds > 5 else ((12, 100) if int(seconds) % 2 else (4, 100))
"""


@contextmanager
def stalling(at_s: float = 1e9, for_s: float = 0.0) -> Iterator[str]:
    """Run a server that stalls once; yields its URL."""
    command = [sys.executable, str(SERVER), str(at_s), str(for_s)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def locustfile(place: Place, url: str, schedule: str, user: str = "FastHttpUser", more: str = "",
               install: str = "install()") -> str:  # fmt: skip
    """Write a locustfile with a schedule and return its path."""
    path = place.folder / "locustfile.py"
    path.write_text(LOCUSTFILE.format(url=url, schedule=schedule, user=user, more=more, install=install))
    return str(path)


def run(place: Place, file: str, *arguments: str, timeout_s: float = 90) -> str:
    """Run Locust headless and return its output; worker processes meet on a port of their own."""
    if "--processes" in arguments:
        bus = str(free_port())
        arguments += ("--master-bind-port", bus, "--master-port", bus)
    result = place.locust("-f", file, "--headless", *arguments, timeout_s=timeout_s)
    assert 0 == result.returncode, result.stdout
    return result.stdout


def counts(place: Place) -> dict[str, int]:
    """Return the arrivals of all processes together."""
    totals: dict[str, int] = {}
    for (text,) in place.query("SELECT arrivals FROM processes"):
        for name, count in json.loads(text).items():
            totals[name] = totals.get(name, 0) + count
    return totals


def scheduled(place: Place) -> list[float]:
    """Return when requests were scheduled, from the first one on, in seconds."""
    rows = place.query("SELECT scheduled_at FROM records WHERE scheduled_at IS NOT NULL ORDER BY 1")
    return [at - rows[0][0] for (at,) in rows]


def percentile(values: list[float], percent: float) -> float:
    """Return the value that *percent* of *values* do not exceed."""
    return sorted(values)[math.ceil(len(values) * percent / 100) - 1]


def shown(place: Place) -> dict[str, Any]:
    """Return what `streamlab runs show` says."""
    answer: dict[str, Any] = json.loads(place.streamlab("runs", "show", "--json").stdout)
    return answer


class TestStall:
    """A server that stalls for two seconds while 200 arrivals a second come, ten connections wide."""

    def test_response_time_shows_what_service_time_hides(self, place: Place) -> None:
        """Ten requests were slow; but all that should have started meanwhile had to wait."""
        with stalling(at_s=4, for_s=2) as url:
            run(place, locustfile(place, url, "200/s for 10s"), "-u", "10", "-r", "10", "-t", "12s")
        rows = place.query("SELECT latency_ms, wait_ms FROM records WHERE scheduled_at IS NOT NULL")
        assert 2000 == len(rows)
        assert 1900 <= percentile([latency + wait for latency, wait in rows], 99)
        assert 100 > percentile([latency for latency, _wait in rows], 99)
        assert 10 >= sum(latency > 1000 for latency, _wait in rows)
        said = shown(place)
        http = said["protocols"]["http"]
        assert (True, True) == (http["response_p99_ms"] > 1850, http["p99_ms"] < 100)
        arrivals = said["arrivals"]
        assert (2000, 2000, 0) == (arrivals["due"], arrivals["started"], arrivals["dropped"])
        assert 350 < arrivals["late"] == arrivals["behind"]
        assert "generator_behind_schedule" in [one["type"] for one in said["anomalies"]]


@pytest.mark.faults
class TestCorrection:
    """One connection, constant interval."""

    def test_arrivals(self, place: Place) -> None:
        """Of a user class."""
        with stalling(at_s=1.5, for_s=2) as url:
            run(place, locustfile(place, url, "40/s for 6s"), "-u", "1", "-t", "8s")
        self.response_times_are_what_hdrhistogram_corrects_to(place)

    def test_rate_of_a_scenario(self, place: Place) -> None:
        """Each connection keeps to its rate; the summary has both times, and who was behind."""
        with stalling(at_s=1.5, for_s=2) as url:
            options = ("--endpoint", url, "--connections", "1", "--rate", "40", "--duration", "7")
            done = place.streamlab("run", "--protocol", "http", *options)
        assert 0 == done.returncode, done.stdout
        self.response_times_are_what_hdrhistogram_corrects_to(place)
        said = shown(place)
        http, arrivals = said["protocols"]["http"], said["arrivals"]
        assert (True, True) == (http["response_p99_ms"] > 1750, http["p99_ms"] < 100)
        # What is due in the last moment may be cut short by the end.
        assert 4 >= arrivals["dropped"] == arrivals["due"] - arrivals["started"]
        assert 60 < arrivals["late"] == arrivals["behind"] - arrivals["dropped"]

    def response_times_are_what_hdrhistogram_corrects_to(self, place: Place) -> None:
        """A closed loop records what started on time; value - k * interval stands for what it omitted."""
        rows = place.query("SELECT latency_ms, wait_ms FROM records ORDER BY scheduled_at LIMIT 240")
        assert 240 == len(rows)
        interval_ms = 25.0
        trace = [latency for latency, wait in rows if wait < interval_ms]
        filled = [
            latency - k * interval_ms for latency in trace for k in range(1, int(latency / interval_ms))
        ]
        measured = [latency + wait for latency, wait in rows]
        assert 240 == pytest.approx(len(trace) + len(filled), rel=0.05)
        for percent in (95, 99, 100):
            expected = percentile(trace + filled, percent)
            assert expected == pytest.approx(percentile(measured, percent), rel=0.05)


class TestSharing:
    """A schedule over several processes."""

    def test_each_takes_its_part(self, place: Place) -> None:
        """Together exactly the schedule, at equal intervals."""
        with stalling() as url:
            file = locustfile(place, url, "0..100/s over 1s, 100/s for 2s", user="HttpUser")
            run(place, file, "-u", "8", "-r", "8", "-t", "5s", "--processes", "2")
        found = scheduled(place)
        assert 250 == len(found) == counts(place)["started"]
        assert [1.0 + k / 100 for k in range(200)] == pytest.approx(found[50:], abs=0.001)
        assert [(125,), (125,)] == place.query("SELECT count(*) FROM records GROUP BY process_id")
        assert ledger_is_balanced(place)

    @pytest.mark.faults
    @pytest.mark.parametrize("processes", [(), ("--processes", "2")], ids=["one", "two"])
    def test_the_rate_holds_for_a_minute(self, place: Place, processes: tuple[str, ...]) -> None:
        """Requests per second within 1 % of the schedule, on the server's side of the clock."""
        with stalling() as url:
            file = locustfile(place, url, "200/s for 62s")
            run(place, file, "-u", "20", "-r", "20", "-t", "64s", *processes, timeout_s=120)
        starts = [at for (at,) in place.query("SELECT started_at FROM records ORDER BY 1")]
        in_a_minute = [at for at in starts if starts[0] + 1 <= at < starts[0] + 61]
        assert 12_000 == pytest.approx(len(in_a_minute), rel=0.01)
        assert 12_400 == len(starts)

    @pytest.mark.faults
    def test_a_worker_comes_and_another_leaves(self, place: Place) -> None:
        """They share anew; what a worker took along with it is little."""
        with stalling() as url:
            file, port = locustfile(place, url, "100/s for 40s"), str(free_port())
            common = (sys.executable, "-m", "locust", "-f", file, "--master-port", port)
            worker = (*common, "--worker")
            leaves, stays = (place.start(*worker, log=f"{name}.log") for name in ("leaves", "stays"))
            children = [leaves, stays]
            try:
                master = place.start(
                    *common, "--master", "--master-bind-port", port, "--headless", "--expect-workers", "2",
                    "--enable-rebalancing", "-u", "9", "-r", "9", "-t", "43s", log="master.log",
                )  # fmt: skip
                children.append(master)
                wait_for(lambda: len(scheduled(place)) > 200, "arrivals", 60)
                comes = place.start(*worker, log="comes.log")
                children.append(comes)
                wait_for(lambda: 3 == len(_recording(place)), "the third worker's arrivals", 60)
                leaves.process.terminate()
                assert 0 == master.wait(90), master.text()
            finally:
                for child in children:
                    child.kill()
        found = scheduled(place)
        assert len(found) == len(set(found))
        assert 4000 - 200 <= len(found) <= 4000
        assert 300 == pytest.approx(sum(37 <= at < 40 for at in found), abs=3)


class TestUsers:
    """Whatever number of users Locust is asked for."""

    @pytest.mark.faults
    def test_a_load_test_shape(self, place: Place) -> None:
        """It changes the number of users, also down to fewer; every arrival is started once."""
        with stalling() as url:
            run(place, locustfile(place, url, "100/s for 4s, poisson", more=WAVES))
        totals = counts(place)
        assert (totals["due"], 0) == (totals["started"], totals["dropped"])
        assert 400 == pytest.approx(totals["due"], rel=0.2)
        found = scheduled(place)
        # A request that is in flight when its user is killed fires no event in Locust's own users.
        assert totals["due"] - 16 <= len(found) <= totals["due"]
        assert len(found) == len(set(found))

    @pytest.mark.faults
    def test_without_recording(self, place: Place) -> None:
        """A schedule needs no `install()`."""
        with stalling() as url:
            file = locustfile(place, url, "50/s for 2s", more=WAVES, install="")
            output = run(place, file, "--only-summary")
        assert re.search(r"Aggregated +100 ", output), output

    def test_a_user_that_connects(self, place: Place) -> None:
        """The arrival belongs to the request, not to the connect before it."""
        server = Path(__file__).parents[1] / "users" / "ws_target.py"
        for port, *_rest in serve(str(server), place.folder / "ws.log"):
            file = place.folder / "locustfile.py"
            file.write_text(
                "from locust import task\n"
                "from streamlab_plugin import WebSocketUser, arrivals, install\ninstall()\n\n"
                "class App(WebSocketUser):\n"
                f"    host = 'ws://127.0.0.1:{port}'\n    ws_path = '/ws'\n"
                "    wait_time = arrivals('50/s for 1s')\n\n"
                "    @task\n    def ask(self):\n        self.request({'seq': 1}, 'ask')\n"
                "        self.request({'seq': 2}, 'again')\n"
            )
            run(place, str(file), "-u", "3", "-r", "3", "-t", "3s")
        assert [("ask", 50, 50), ("again", 50, 0)] == place.query(
            "SELECT endpoint, count(*), count(scheduled_at) FROM records_flat WHERE operation = 'request'"
            " GROUP BY 1 ORDER BY 3 DESC"
        )
        assert 0 == place.value("SELECT count(scheduled_at) FROM records_flat WHERE operation <> 'request'")


@pytest.mark.faults
class TestWebUi:
    """Stop and start again from the web UI."""

    def test_the_schedule_starts_anew(self, place: Place) -> None:
        """What was due until Stop and had not started is counted; the next run begins at the beginning."""
        with stalling() as url:
            port = free_port()
            child = place.start(
                sys.executable, "-m", "locust", "-f", locustfile(place, url, "100/s"),
                "--web-host", "127.0.0.1", "--web-port", str(port), log="locust.log",
            )  # fmt: skip
            try:
                for number in (1, 2):
                    wait_for(lambda: _post(port, "swarm", user_count="5", spawn_rate="5"), "the web UI")
                    wait_for(lambda n=number: _stored(place, n) > 100, "arrivals")
                    _post(port, "stop")
                    wait_for(lambda n=number: n == _completed(place), "the run's end")
                child.signal_group(signal.SIGTERM)
                child.wait()
            finally:
                child.kill()
        for began, first, number, text in place.query(
            "SELECT opened_at, min(scheduled_at), count(*), arrivals FROM processes"
            " JOIN records ON process_id = processes.id GROUP BY processes.id"
        ):
            assert began + 1 == pytest.approx(first, abs=0.5)
            totals = json.loads(text)
            assert totals["due"] == totals["started"] + totals["dropped"]
            assert totals["started"] - 5 <= number <= totals["started"]
        assert 2 == _completed(place)


def _post(port: int, page: str, **values: str) -> bool:
    data = urllib.parse.urlencode(values).encode()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", data, timeout=5) as answer:
        return bool(answer.status == 200)


def _recording(place: Place) -> list[tuple[int]]:
    return place.query("SELECT DISTINCT process_id FROM records")


def _stored(place: Place, run_id: int) -> int:
    return int(
        place.value(
            "SELECT count(*) FROM records JOIN processes ON processes.id = process_id WHERE run_id = ?",
            run_id,
        )
    )


def _completed(place: Place) -> int:
    return int(place.value("SELECT count(*) FROM runs WHERE state = 'completed'"))


class TestBadSchedule:
    """A schedule that is none."""

    def test_one_line(self, place: Place) -> None:
        """What, where, and what to write instead; exit code 2."""
        result = place.locust("-f", locustfile(place, "http://x", "fast"), "--headless")
        assert (2, 1) == (result.returncode, len(result.stdout.splitlines())), result.stdout
        assert "locustfile.py:9: 'fast' is no step of a schedule" in result.stdout
