"""Every wrong database URL gets one clear line, and passwords stay out of it."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest
from postgres import PostgresServer
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from streamlab_plugin.core.errors import ConfigError, InfrastructureError
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.failure import DATABASE_ERRORS, reason
from streamlab_plugin.store.reading import read
from streamlab_plugin.store.url import absolute_url, database_path, fingerprint, is_sqlite, parse_url, place


class TestParseUrl:
    """`parse_url`."""

    @pytest.mark.parametrize("url", ["", "nonsense", "sqlite:", "sqlite://", "sqlite:///:memory:"])
    def test_a_url_that_names_no_file_is_refused_with_the_remedy(self, url: str) -> None:
        """One line that shows the right form."""
        with pytest.raises(ConfigError, match="use sqlite:///PATH"):
            parse_url(url)

    def test_a_password_is_never_repeated(self) -> None:
        """Neither for an unsupported nor for a broken URL."""
        for url in ("mysql://joe:hunter2@db/x", "mysql://joe:hunter2@db:port/x"):
            with pytest.raises(ConfigError) as caught:
                parse_url(url)
            assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("password", ["hun@ter2", "h@un/ter2"])
    def test_a_password_that_must_be_encoded_is_not_taken_for_the_host(self, password: str) -> None:
        """A part of it would be shown as the place of the database."""
        with pytest.raises(ConfigError, match="more than one @; write special characters") as caught:
            parse_url(f"postgresql://joe:{password}@db/x")
        assert "ter2" not in str(caught.value)


class TestPostgresqlUrls:
    """Any of the usual spellings; user and password are nobody's business."""

    @pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+psycopg"])
    def test_the_usual_schemes_are_taken(self, scheme: str) -> None:
        """And mean the same."""
        url = f"{scheme}://joe:hunter2@db:5433/x"
        assert not is_sqlite(url)
        assert "postgresql://db:5433/x" == place(url)
        assert fingerprint("postgresql://db:5433/x") == fingerprint(url)

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("postgres://db/x", "postgresql://db/x"),
            ("postgresql://joe:p%40:s%25@db:1/x y?sslmode=require", "postgresql://joe:p%40%3As%25@db:1/x%20y?sslmode=require"),
            ("postgresql+psycopg://joe:50%@[::1]/x", "postgresql://joe:50%25@[::1]/x"),
            ("postgresql://joe@/x?host=/run", "postgresql://joe@/x?host=/run"),
        ],
    )  # fmt: skip
    def test_what_libpq_gets(self, given: str, expected: str) -> None:
        """Names and passwords in percent-encoding, whether they came so or not."""
        assert expected == parse_url(given).conninfo
        assert "joe" not in repr(parse_url(given))

    def test_a_database_must_be_named(self) -> None:
        """Otherwise it would be that of the user's name."""
        with pytest.raises(ConfigError, match="names no database"):
            parse_url("postgresql://db")

    def test_the_folder_of_a_socket_may_be_the_host(self) -> None:
        """As libpq takes it."""
        assert "postgresql:///run/x/base" == place("postgresql:///base?host=/run/x")

    def test_a_reader_cannot_write(self, database_url: str) -> None:
        """On either engine."""
        with open_store(database_url, read_only=True).connect() as connection, pytest.raises(DBAPIError):
            connection.execute(text("DELETE FROM runs"))

    def test_a_server_that_is_out_of_reach_is_an_error_of_the_database(self) -> None:
        """One line; nothing of the password."""
        engine = open_store("postgresql://joe:hunter2@127.0.0.1:1/x", read_only=False)
        with pytest.raises(DATABASE_ERRORS) as caught:
            engine.connect()
        assert "hunter2" not in reason(caught.value)
        assert "\n" not in reason(caught.value)


class TestOpenStore:
    """`open_store`."""

    def test_reading_never_creates_a_database(self, tmp_path: Path) -> None:
        """A missing file is an error and stays missing."""
        with pytest.raises(InfrastructureError, match="there is no database at"):
            open_store(f"sqlite:///{tmp_path}/none.db", read_only=True)
        assert [] == list(tmp_path.iterdir())

    def test_a_missing_folder_is_named(self, tmp_path: Path) -> None:
        """It is not made silently."""
        with pytest.raises(InfrastructureError, match=r"folder .*/none for the database does not exist"):
            open_store(f"sqlite:///{tmp_path}/none/x.db", read_only=False)

    def test_a_folder_is_no_database(self, tmp_path: Path) -> None:
        """A path to a directory is named as such."""
        with pytest.raises(InfrastructureError, match="is a folder"):
            open_store(f"sqlite:///{tmp_path}", read_only=False)

    def test_a_read_only_place_is_refused(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Before the first write. Root may write anywhere, so the answer of access(2) is given here."""
        monkeypatch.setattr(os, "access", lambda *_arguments: False)
        with pytest.raises(InfrastructureError, match="cannot be written"):
            open_store(f"sqlite:///{tmp_path}/x.db", read_only=False)

    @pytest.mark.parametrize("name", ["C#", "50%41", "what?", "ä b"])
    def test_a_path_is_taken_as_it_is(
        self, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever has a meaning in a URI has none in the name of the folder where one works."""
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        path, url = folder / "streamlab.db", absolute_url("sqlite:///streamlab.db")
        assert path == database_path(url)
        with open_store(url, read_only=False).begin() as connection:
            connection.execute(text("CREATE TABLE t (x)"))
        assert path.is_file()
        with open_store(url, read_only=True).connect() as connection:
            assert [] == connection.execute(text("SELECT x FROM t")).all()


class TestKeptConnection:
    """A connection that stays open between reads."""

    def test_one_connection_serves_many_reads(self, postgres: PostgresServer) -> None:
        """And one that the server has ended in between costs no answer."""
        url = postgres.create_database()
        engine = open_store(url, read_only=True, keeps=True)
        pids = {read(engine, backend) for _ in range(3)}
        assert 1 == len(pids)
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [*pids])
        assert pids != {read(engine, backend)}
        engine.dispose()

    def test_it_holds_no_transaction(self, postgres: PostgresServer) -> None:
        """A migration need not wait for a page."""
        url = postgres.create_database()
        engine = open_store(url, read_only=True, keeps=True)
        pid = read(engine, backend)
        with psycopg.connect(url, autocommit=True) as other:
            state = other.execute("SELECT state FROM pg_stat_activity WHERE pid = %s", [pid]).fetchone()
        assert ("idle",) == state
        engine.dispose()


def backend(connection: Connection) -> int:
    """Return the id of the server process behind a connection."""
    return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


class TestFingerprint:
    """`fingerprint` names a database, whatever the working directory."""

    def test_relative_and_absolute_paths_are_the_same_database(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The path is resolved."""
        monkeypatch.chdir(tmp_path)
        assert fingerprint(f"sqlite:///{tmp_path}/x.db") == fingerprint("sqlite:///x.db")


class TestParameters:
    """What an error's text says of the values of a statement."""

    def test_they_are_hidden(self, database_url: str) -> None:
        """Nothing: a log must not hold what was stored."""
        with (
            pytest.raises(DBAPIError) as caught,
            open_store(database_url, read_only=False).connect() as connection,
        ):
            connection.execute(text("SELECT * FROM missing WHERE x = :x"), {"x": "Zqcanary"})
        assert "missing" in str(caught.value)
        assert "Zqcanary" not in str(caught.value)
