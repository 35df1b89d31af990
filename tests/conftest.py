"""What several rooms' tests share."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from seeded import Seeded, seed
from sqlalchemy import Connection, Engine

# A shell that runs the tests in the background, or nohup, lets signals be ignored, and children inherit that:
# then no Ctrl-C would reach the Locust processes that are under test.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    """Two runs, recorded as `seeded` describes; read only."""
    path: Path = tmp_path_factory.mktemp("seeded") / "streamlab.db"
    return seed(path)


@pytest.fixture(scope="session")
def seeded_engine(seeded: Seeded) -> Engine:
    """The seeded database, open."""
    return seeded.engine()


@pytest.fixture
def conn(seeded_engine: Engine) -> Iterator[Connection]:
    """A connection to the seeded database."""
    with seeded_engine.connect() as connection:
        yield connection
