"""The examples in ``locustfiles/``: short enough to read at once, and each of them runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness import LOCUSTFILES, ROOT, Child, Place, demo_target, ledger_is_balanced, summarise

FILES = sorted(path.name for path in LOCUSTFILES.glob("*.py"))
# What each of them records. `demo.py`, which is made of the other demo files, runs in test_demo.py.
OPERATIONS = {
    "faults.py": {"Device": {"connect", "request", "request+fault"}},
    "http_user.py": {"Client": {"GET", "POST"}},
    "mqtt_user.py": {
        "Device": {"connect", "publish", "close"},
        "Dashboard": {"connect", "subscribe", "deliver", "close"},
    },
    "open_model.py": {"Shopper": {"GET", "POST"}},
    "sse_user.py": {"Listener": {"GET", "POST", "first_event", "close"}},
    "websocket_user.py": {"Device": {"connect", "request", "close"}},
}
# One task in four posts, and on a slow machine the first tasks last as long as the run: with ten users it
# happened that none did.
USERS = {"sse_user.py": 40}


@dataclass
class Example:
    """A locustfile that has run."""

    place: Place
    child: Child


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Example]]:
    """All examples, run side by side against the demo target and a server of event streams."""
    folder = tmp_path_factory.mktemp("target")
    sse_target = [sys.executable, str(ROOT / "tests" / "users" / "sse_target.py"), str(folder / "sse.log")]
    with (
        demo_target(Place(folder)) as target,
        subprocess.Popen(sse_target, stdout=subprocess.PIPE, text=True) as streams,
    ):
        assert streams.stdout is not None
        hosts = {
            "faults.py": f"ws://127.0.0.1:{target.ready['ws']}",
            "http_user.py": f"http://127.0.0.1:{target.ready['http']}",
            "mqtt_user.py": f"mqtt://127.0.0.1:{target.ready['mqtt']}",
            "open_model.py": f"http://127.0.0.1:{target.ready['http']}",
            "sse_user.py": f"http://127.0.0.1:{streams.stdout.readline().strip()}",
            "websocket_user.py": f"ws://127.0.0.1:{target.ready['ws']}",
        }
        started = {name: _start(tmp_path_factory.mktemp(name), name, host) for name, host in hosts.items()}
        for example in started.values():
            example.child.wait()
        streams.terminate()
        yield started


def _start(folder: Path, name: str, host: str) -> Example:
    place = Place(folder)
    command = ["-m", "streamlab_plugin.cli", "locust", "-f", str(LOCUSTFILES / name), "--host", host]
    users = str(USERS.get(name, 10))
    options = ["--headless", "-u", users, "-r", users, "-t", "4s"]
    return Example(place, place.start(sys.executable, *command, *options, log="locust.log"))


class TestLocustfiles:
    @pytest.mark.parametrize("name", FILES)
    def test_length(self, name: str) -> None:
        """An example fits on a screen."""
        assert 60 > len((LOCUSTFILES / name).read_text(encoding="utf-8").splitlines())

    def test_all_run(self) -> None:
        """There is no example that no test runs."""
        demo = {name for name in FILES if name.startswith("demo")}
        parts = {line.split()[1] for line in _imports("demo.py") if line.startswith("from demo_")}
        assert {"demo.py", *(f"{part}.py" for part in parts)} == demo
        assert set(FILES) - demo - {"scenario.py"} == set(OPERATIONS), "scenario.py runs in test_run.py"

    @pytest.mark.parametrize("name", OPERATIONS)
    def test_run(self, examples: dict[str, Example], name: str) -> None:
        """It does what it is there to show, without an exception, and all of it is recorded."""
        example = examples[name]
        text = example.child.text()
        assert "Traceback" not in text, summarise(text)
        rows = example.place.query("SELECT DISTINCT user_class, operation FROM records_flat")
        seen = {user: {operation for owner, operation in rows if owner == user} for user, _ in rows}
        expected = OPERATIONS[name]
        assert set(expected) == set(seen), summarise(text)
        for user, operations in expected.items():
            assert operations <= seen[user], user
        assert ledger_is_balanced(example.place)

    def test_open_model(self, examples: dict[str, Example]) -> None:
        """Of each task the first request has its place in the schedule."""
        rows = examples["open_model.py"].place.query(
            "SELECT DISTINCT operation, scheduled_at IS NOT NULL FROM records_flat"
        )
        assert {("POST", 1), ("GET", 0)} == set(rows)


def _imports(name: str) -> list[str]:
    return (LOCUSTFILES / name).read_text(encoding="utf-8").splitlines()
