"""`streamlab privacy erase` erases one subject, says what it did and keeps a receipt without the subject."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from subjects import KEYS, SPOOLED, SUBJECTS, World, build, is_named, pseudonym, pseudonyms

from streamlab_plugin.cli.privacy import privacy
from streamlab_plugin.core.errors import ConfigError, InfrastructureError, StreamlabError
from streamlab_plugin.link.place import socket_path
from streamlab_plugin.privacy.pseudonym import key_id
from streamlab_plugin.store.archive import archive_folder
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import migrate
from streamlab_plugin.store.spool_status import spool_path
from streamlab_plugin.store.url import fingerprint

DEADLINE_S = 30.0


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A user with today's key and a kept one, in a folder whose name is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="era-"))
    for name in [name for name in os.environ if name.startswith(("STREAMLAB_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    monkeypatch.chdir(folder)
    key = folder / ".config/streamlab/key"
    kept = key.with_name("key.kept")
    kept.mkdir(parents=True, mode=0o700)
    for path, content in ((key, KEYS[1]), (kept / key_id(KEYS[0]), KEYS[0])):
        path.touch(0o600)
        path.write_text(content.hex())
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def world(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A thousand records where that user's commands look; in the end no recorder serves them any more."""
    url = f"sqlite:///{tmp_path / 'streamlab.db'}"
    monkeypatch.setenv("STREAMLAB_DATABASE_URL", url)
    migrate(open_store(url, read_only=False))
    made = build(url, archive_folder(url), spool_path(url))
    with open_store(url, read_only=False).begin() as connection:
        for epoch, key in enumerate(KEYS):
            values = {"key": key_id(key), "run": f"run-{epoch}"}
            connection.execute(text("UPDATE runs SET key_id = :key WHERE run = :run"), values)
        # An erasure is not about cleaning up: the daily one was just there.
        connection.execute(text("UPDATE retention SET last_run_at = :now"), {"now": time.time()})
        connection.execute(text("UPDATE archives SET expires_at = 4e9"))
    yield made
    path = socket_path(fingerprint(url))
    deadline = time.monotonic() + DEADLINE_S
    while path.exists():
        assert time.monotonic() < deadline, "the recorder is still there"
        time.sleep(0.02)


def run(*arguments: str, text: str | None = None) -> Result:
    """Run `streamlab privacy erase` with *arguments*."""
    return CliRunner().invoke(privacy, ["erase", *arguments], input=text)


class TestErase:
    """`streamlab privacy erase --subject` and `--hash`."""

    def test_by_value(self, world: World, home: Path) -> None:
        """S002-10, S002-68, S002-113: all of a subject goes, under both keys, and a receipt stays."""
        counted = json.loads(run("--subject", SUBJECTS[3], "--dry-run", "--json").stdout)
        result = run("--subject", "-", "--json", text=f"{SUBJECTS[3]}\n")
        assert 0 == result.exit_code, result.output
        answer = json.loads(result.stdout)
        # What waited for the database has been stored by now, or was erased while it waited.
        places = ("records", "spooled_records", "archived_records")
        assert 120 == sum(answer["counts"].get(place, 0) for place in places)
        assert sum(counted["counts"].get(place, 0) for place in places) == 120
        assert ("finished", {}, []) == (answer["state"], answer["unknown_keys"], answer["skipped"])
        assert not any(is_named(lines, 3) for lines in world.dump().values())
        assert all(named_in(world, one) for one in pseudonyms(4))
        (receipt,) = json.loads(run("--list", "--json").stdout)
        assert answer["sha256"] == receipt["sha256"]
        shown = run("--list").stdout
        assert ("finished" in shown, receipt["sha256"][0][:12] in shown) == (True, True)
        assert not any(word in shown + str(receipt) for word in (SUBJECTS[3], *pseudonyms(3)))

    def test_by_hash(self, world: World) -> None:
        """A pseudonym erases one epoch; what goes is shown by place."""
        result = run("--hash", pseudonym(3, 0))
        assert 0 == result.exit_code, result.output
        lines = {" ".join(line.split()) for line in result.stdout.splitlines()}
        assert {"records 20", "archived records 60"} <= lines
        assert "receipt 1: finished, by " in result.stdout
        assert named_in(world, pseudonym(3, 1))
        assert "nothing of this subject was found" in run("--hash", pseudonym(3, 0)).stdout

    def test_a_key_that_is_gone(self, world: World, home: Path) -> None:
        """S002-68: data of that epoch cannot be found by value any more, which is said."""
        (home / ".config/streamlab/key.kept" / key_id(KEYS[0])).unlink()
        result = run("--subject", SUBJECTS[3], "--dry-run")
        assert 0 == result.exit_code
        assert f"1 runs were stored under the key {key_id(KEYS[0])}, which is gone" in result.stderr
        assert str(SPOOLED // 10) in result.stdout

    def test_something_cannot_be_searched(self, world: World) -> None:
        """It is named, the exit code is 4, and when it is put right the rest goes."""
        path = max(world.archive.glob("records/**/*.gz"), key=lambda one: one.stat().st_size)
        content = path.read_bytes()
        path.unlink()
        result = run("--subject", SUBJECTS[3])
        assert 4 == result.exit_code
        assert f"not searched: the archive {path} cannot be read (No such file or directory)" in result.stderr
        assert "incomplete" in run("--list").stdout
        path.write_bytes(content)
        resumed = run("--resume")
        assert (0, True) == (resumed.exit_code, "receipt 1: finished" in resumed.stdout)
        assert not any(is_named(lines, 3) for lines in world.dump().values())
        assert "no erasure was interrupted" in run("--resume").stdout


class TestMistake:
    """What is wrong is said in one line; the subject is never repeated."""

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            ([], "give one of --subject, --hash, --resume and --list"),
            (["--subject", "Zqcanary", "--hash", "x"], "give one of --subject, --hash, --resume and --list"),
            (["--resume", "--dry-run"], "--dry-run counts for one subject"),
            (["--subject", ""], "--subject: an empty id"),
            (["--subject", "-"], "--subject: an empty id"),
            (["--hash", "Zqcanary"], "--hash: 8 characters that are no pseudonym"),
            (["--hash", "Zqcanary@example.orgxx"], "--hash: 22 characters that are no pseudonym"),
        ],
    )
    def test_usage(self, home: Path, arguments: list[str], said: str) -> None:
        """Exit code 2, before anything is looked at."""
        error = run(*arguments, text="").exception
        assert isinstance(error, ConfigError)
        assert said in str(error)
        assert "Zqcanary" not in str(error)

    def test_no_utf8(self, home: Path) -> None:
        """An id is text."""
        result = CliRunner().invoke(privacy, ["erase", "--subject", "-"], input=b"\xff\xfe")
        assert "what came is not UTF-8" in str(result.exception)

    def test_no_key(self, home: Path) -> None:
        """Without a key nothing can be computed, and none is made."""
        shutil.rmtree(home / ".config")
        error = run("--subject", "42").exception
        assert isinstance(error, ConfigError)
        assert "there is no key in " in str(error)
        assert not (home / ".config").exists()

    @pytest.mark.parametrize(
        "arguments", [["--subject", "42"], ["--hash", "A" * 22], ["--resume"], ["--list"]]
    )
    def test_no_database(self, home: Path, arguments: list[str]) -> None:
        """Exit code 4; none is made."""
        error: Any = run(*arguments).exception
        assert isinstance(error, InfrastructureError)
        assert "there is no database at " in str(error)
        assert not list(home.glob("*.db"))

    def test_a_server_that_is_not_there(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Exit code 4, in one line without the password."""
        monkeypatch.setenv("STREAMLAB_DATABASE_URL", "postgresql://u:Zqcanary@127.0.0.1:1/x")
        error = run("--subject", "42").exception
        assert isinstance(error, StreamlabError)
        assert (4, True) == (error.exit_code, "Zqcanary" not in str(error))


def named_in(world: World, name: str) -> bool:
    """Whether anything in the world holds a pseudonym."""
    return any(f'"{name}"' in line for lines in world.dump().values() for line in lines)
