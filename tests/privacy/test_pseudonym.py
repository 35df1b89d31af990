"""Pseudonyms and their key."""

from __future__ import annotations

import base64
import hashlib
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.privacy.pseudonym import Pseudonyms, key_id, load_key

KEY = bytes(range(32))


class TestPseudonyms:
    """`Pseudonyms`."""

    def test_is_a_keyed_hash_of_128_bit(self) -> None:
        """A pseudonym is keyed BLAKE2b of 16 bytes in base64url."""
        digest = hashlib.blake2b(b"user-42", key=KEY, digest_size=16).digest()
        expected = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        assert expected == Pseudonyms(KEY).of("user-42")
        assert len(expected) == 22

    def test_another_key_gives_another_pseudonym(self) -> None:
        """Ids cannot be compared across keys."""
        assert Pseudonyms(KEY).of("user-42") != Pseudonyms(bytes(32)).of("user-42")

    def test_stays_the_same_beyond_its_cache(self) -> None:
        """Forgetting cached pseudonyms changes none."""
        pseudonyms = Pseudonyms(KEY)
        first = pseudonyms.of("user-42")
        for number in range(40_000):
            pseudonyms.of(str(number))
        assert "user-42" not in {*pseudonyms.known, *pseudonyms._older}
        assert first == pseudonyms.of("user-42")

    def test_lone_surrogate(self) -> None:
        """A text that is no valid Unicode has a pseudonym too."""
        assert len(Pseudonyms(KEY).of("\ud800")) == 22


class TestKeyId:
    """`key_id`."""

    def test_tells_keys_apart_without_showing_them(self) -> None:
        """Eight hex characters, stable, different per key, no part of the key."""
        name = key_id(KEY)
        assert len(bytes.fromhex(name)) == 4
        assert name == key_id(KEY)
        assert name != key_id(bytes(32))
        assert name not in KEY.hex()


def _load_at_once(paths: list[Path], start: Any, answers: Any) -> None:
    keys = []
    for path in paths:
        start.wait(30)
        keys.append(load_key(path))
    answers.put(keys)


class TestLoadKey:
    """`load_key`."""

    def test_creates_a_private_key_once(self, tmp_path: Path) -> None:
        """First use makes a 0600 file in a 0700 folder; later uses read it."""
        path = tmp_path / "config" / "key"
        key = load_key(path)
        assert len(key) == 32
        assert [file.stat().st_mode & 0o777 for file in (path, path.parent)] == [0o600, 0o700]
        assert key == load_key(path)
        assert [path] == list(path.parent.iterdir())

    def test_processes_at_once_get_one_key(self, tmp_path: Path) -> None:
        """Several processes that find no key agree on one, each time."""
        paths = [tmp_path / str(number) / "key" for number in range(100)]
        context = multiprocessing.get_context("fork")
        start, answers = context.Barrier(4), context.Queue()
        workers = [context.Process(target=_load_at_once, args=(paths, start, answers)) for _ in range(4)]
        for worker in workers:
            worker.start()
        loaded = [answers.get(timeout=60) for _ in workers]
        for worker in workers:
            worker.join(30)
        assert [[load_key(path) for path in paths]] * 4 == loaded

    def test_readable_by_others(self, tmp_path: Path) -> None:
        """A key that others may read is refused."""
        path = tmp_path / "key"
        load_key(path)
        path.chmod(0o640)
        with pytest.raises(ConfigError, match="others may read") as caught:
            load_key(path)
        assert f"chmod 600 {path}" in caught.value.remedy

    @pytest.mark.parametrize("content", ["", "abc", "zz" * 32, "00" * 31, "00" * 33, "é" * 64])
    def test_wrong_content(self, tmp_path: Path, content: str) -> None:
        """What is not 64 hex digits is refused and left as it is."""
        path = tmp_path / "key"
        path.write_text(content, encoding="utf-8")
        path.chmod(0o600)
        with pytest.raises(ConfigError, match="64 hex digits"):
            load_key(path)
        assert content == path.read_text(encoding="utf-8")

    def test_not_a_file(self, tmp_path: Path) -> None:
        """A folder or a FIFO in the key's place is refused without waiting on it."""
        fifo = tmp_path / "fifo"
        os.mkfifo(fifo, 0o600)
        for path in (tmp_path, fifo):
            with pytest.raises(ConfigError):
                load_key(path)

    def test_folder_cannot_be_made(self, tmp_path: Path) -> None:
        """Where no key can be made, the path and the reason are named."""
        (tmp_path / "file").touch()
        with pytest.raises(ConfigError, match=r"file/key: Not a directory"):
            load_key(tmp_path / "file" / "key")
