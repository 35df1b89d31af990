"""Any Locust test is recorded: with install() and without an edit."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from harness import Place, ledger_is_balanced, tally

PLAIN = """
from locust import {user}, constant_throughput, task

class App({user}):
    wait_time = constant_throughput(40)

    @task
    def item(self):
        self.n = getattr(self, "n", 0) + 1
        self.client.get(f"/ok/items/{{self.n}}?token=secret{{self.n}}")
"""
INSTALLED = "from streamlab_plugin import install\ninstall()\n"


def _write(place: Place, text: str) -> str:
    path = place.folder / "locustfile.py"
    path.write_text(text)
    return str(path)


class TestPlainUsers:
    """Locust's own HTTP users."""

    @pytest.mark.parametrize("user", ["HttpUser", "FastHttpUser"])
    def test_with_install(self, place: Place, server: Any, user: str) -> None:
        """Every request that the server saw has one row under its template."""
        file = _write(place, INSTALLED + PLAIN.format(user=user))
        result = place.locust("-f", file, "--headless", "-u", "2", "-r", "2", "-t", "3s", "-H", server.url)
        assert 0 == result.returncode, result.stdout
        rows = place.query("SELECT protocol, operation, endpoint, outcome, status FROM records_flat")
        assert {("http", "GET", "/ok/items/{id}", "success", 200): len(rows)} == dict(tally(rows))
        # A request that was in flight when its user was killed fires no event in Locust's own users.
        assert len(server.seen) - 2 <= len(rows) <= len(server.seen)
        assert len(rows) > 50
        assert ledger_is_balanced(place)

    def test_without_an_edit(self, place: Place, server: Any) -> None:
        """`streamlab locust -f …` switches Streamlab on for any locustfile."""
        file = _write(place, PLAIN.format(user="HttpUser"))
        result = place.streamlab("locust", "-f", file, "--headless", "-u", "2", "-t", "3s", "-H", server.url)
        assert 0 == result.returncode, result.stdout
        assert place.value("SELECT count(*) FROM records") > 50
        assert "Streamlab: ledger produced" in result.stdout

    def test_the_names_in_locusts_own_table_are_templates(self, place: Place, server: Any) -> None:
        """Neither ids nor query strings reach console, CSV or HTML."""
        file = _write(place, INSTALLED + PLAIN.format(user="FastHttpUser"))
        result = place.locust(
            "-f",
            file,
            "--headless",
            "-u",
            "2",
            "-t",
            "3s",
            "-H",
            server.url,
            "--csv",
            "out",
            "--html",
            "out.html",
        )
        written = [result.stdout, *(path.read_text() for path in place.folder.glob("out*"))]
        assert 5 <= len(written)
        assert not [text for text in written if "secret" in text]
        assert "/ok/items/{id}" in result.stdout


COLLECTOR = """
import gc
{tuned}
from locust import User, task
from streamlab_plugin import install

install()

class App(User):
    @task
    def look(self):
        print("collector", gc.get_threshold(), gc.get_freeze_count() > 0)
        self.environment.runner.quit()
"""


class TestCollector:
    """Python's garbage collector stops the process, which users would measure as latency of the target."""

    @pytest.mark.parametrize(
        ("tuned", "expected"),
        [
            ("", "collector (10000, 20, 50) True"),
            ("gc.set_threshold(10_000)", "collector (10000, 10, 10) False"),
        ],
        ids=["as Python has it", "tuned by the test"],
    )
    def test_it_looks_seldom_unless_the_test_has_tuned_it(
        self, place: Place, tuned: str, expected: str
    ) -> None:
        """What was there before the users is not looked at again; a setting of the test's own stays."""
        file = _write(place, COLLECTOR.format(tuned=tuned))
        result = place.locust("-f", file, "--headless", "-u", "1", "-t", "5s", "-H", "http://127.0.0.1")
        assert expected in result.stdout


class TestInterrupt:
    """Ctrl-C."""

    def test_it_reaches_locust_and_not_the_greenlet_that_runs(self, place: Place, server: Any) -> None:
        """The task goes on; Locust ends in order, with a verdict."""
        script = (
            INSTALLED
            + """
import os, signal
from locust import FastHttpUser, task

class App(FastHttpUser):
    @task
    def once(self):
        for _ in range(60):
            self.client.get("/ok")
        os.kill(os.getpid(), signal.SIGINT)
        print("the task goes on", flush=True)
        self.environment.runner.greenlet.join(20)
"""
        )
        result = place.locust("-f", _write(place, script), "--headless", "-H", server.url)
        assert "the task goes on" in result.stdout
        assert "verdict" in result.stdout
        assert "KeyboardInterrupt" not in result.stdout
        assert [("completed",)] == place.query("SELECT state FROM runs")
        assert ledger_is_balanced(place)


class TestLibraryUse:
    """Locust as a library, and a single user under a debugger."""

    def test_an_environment_of_ones_own(self, place: Place, server: Any) -> None:
        """`install(environment)` records and closes at exit."""
        script = f"""
import gevent, locust
from locust import FastHttpUser, constant_throughput, task
from locust.env import Environment
from streamlab_plugin import install

class App(FastHttpUser):
    host = "{server.url}"
    wait_time = constant_throughput(40)
    @task
    def item(self):
        self.client.get("/ok")

environment = Environment(user_classes=[App], events=locust.event.Events())
environment.create_local_runner()
install(environment)
install(environment)
environment.runner.start(2, 2)
gevent.sleep(2)
environment.runner.quit()
"""
        result = place.run(sys.executable, _write(place, script))
        assert 0 == result.returncode, result.stdout
        assert place.value("SELECT count(*) FROM records") > 50
        assert [("completed",)] == place.query("SELECT state FROM runs")

    def test_run_single_user(self, place: Place, server: Any) -> None:
        """Fires neither test_stop nor quitting; the run is closed all the same."""
        script = f"""
from locust import FastHttpUser, run_single_user, task
from locust.exception import StopUser
from streamlab_plugin import install
install()

class App(FastHttpUser):
    host = "{server.url}"
    @task
    def item(self):
        for _ in range(60):
            self.client.get("/ok")
        raise StopUser

if __name__ == "__main__":
    run_single_user(App)
"""
        result = place.run(sys.executable, _write(place, script))
        assert 0 == result.returncode, result.stdout
        assert 60 == place.value("SELECT count(*) FROM records")
        assert [("completed",)] == place.query("SELECT state FROM runs")
