"""What several rooms' tests share."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from postgres import PostgresServer, shared_server
from seeded import Seeded, seed
from sqlalchemy import Connection, Engine

from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import migrate

# A shell that runs the tests in the background, or nohup, lets signals be ignored, and children inherit that:
# then no Ctrl-C would reach the Locust processes that are under test.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


ENGINES = ("sqlite", "postgresql")
# Where tests wait for processes, longest first: side by side with the many short ones they cost no time.
SLOW = (
    "tests/e2e/",
    "tests/test_docs.py",
    "tests/canary/test_canary.py",
    "tests/faults/",
    "tests/recorder/",
    "tests/web/",
)
# Files with fixtures that keep every core busy: one after the other.
HEAVY = "tests/e2e/"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread tests over the processes of pytest-xdist, but keep together what shares a costly fixture."""
    items.sort(key=_slowness)
    for item in items:
        fixtures: dict[str, Any] = getattr(item, "_fixtureinfo").name2fixturedefs  # noqa: B009 - not public
        scopes = {one.scope for found in fixtures.values() for one in found}
        shared = "::" if "module" in scopes else "::test_" if "class" in scopes else "["
        is_heavy = shared == "::" and item.nodeid.startswith(HEAVY)
        item.add_marker(pytest.mark.xdist_group(HEAVY if is_heavy else item.nodeid.split(shared)[0]))


def _slowness(item: pytest.Item) -> int:
    return next((at for at, place in enumerate(SLOW) if item.nodeid.startswith(place)), len(SLOW))


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A server for all tests of this process, started when the first of them needs it."""
    with shared_server() as server:
        yield server


@pytest.fixture(scope="session")
def empty_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite database with the present schema and nothing in it, to be copied."""
    path = tmp_path_factory.mktemp("empty") / "streamlab.db"
    migrate(open_store(f"sqlite:///{path}", read_only=False))
    assert not path.with_name("streamlab.db-wal").exists()  # the last one to close it empties the log
    return path


@pytest.fixture(scope="session")
def empty_template(postgres: PostgresServer) -> str:
    """The name of such a database on PostgreSQL."""
    url = postgres.create_database()
    migrate(open_store(url, read_only=False))
    return url.rpartition("/")[2]


@pytest.fixture(params=ENGINES)
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of the test's own with the present schema and nothing in it, once on each engine."""
    if request.param == "sqlite":
        path = tmp_path / "streamlab.db"
        shutil.copyfile(request.getfixturevalue("empty_file"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create_database(template=request.getfixturevalue("empty_template"))
    yield url
    server.drop_database(url.rpartition("/")[2])


@pytest.fixture(scope="session", params=ENGINES)
def seeded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    """Two runs, recorded as `seeded` describes, once on each engine; read only."""
    if request.param == "sqlite":
        return seed(f"sqlite:///{tmp_path_factory.mktemp('seeded') / 'streamlab.db'}")
    server: PostgresServer = request.getfixturevalue("postgres")
    return seed(server.create_database())


@pytest.fixture(scope="session")
def seeded_engine(seeded: Seeded) -> Engine:
    """The seeded database, open for reading."""
    return open_store(seeded.url, read_only=True)


@pytest.fixture
def own_seeded(
    seeded: Seeded, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Seeded]:
    """A copy of the seeded database that a test may change."""
    place = seeded.url.rpartition("/")[2] if seeded.url.startswith("postgresql") else None
    if place is None:
        folder = tmp_path_factory.mktemp("own")
        shutil.copyfile(seeded.url.removeprefix("sqlite:///"), folder / "copy.db")
        yield Seeded(f"sqlite:///{folder / 'copy.db'}", seeded.expected)
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create_database(template=place)
    yield Seeded(url, seeded.expected)
    server.drop_database(url.rpartition("/")[2])


@pytest.fixture
def conn(seeded_engine: Engine) -> Iterator[Connection]:
    """A connection to the seeded database."""
    with seeded_engine.connect() as connection:
        yield connection
