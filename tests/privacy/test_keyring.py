"""Keys of epochs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.privacy.keyring import Keyring
from streamlab_plugin.privacy.pseudonym import Pseudonyms, key_id


@pytest.fixture
def keyring(tmp_path: Path) -> Keyring:
    """A keyring without any key yet."""
    return Keyring(tmp_path / "config" / "key")


class TestRotate:
    """`Keyring.rotate`."""

    def test_kept(self, keyring: Keyring) -> None:
        """The new key is another one, and the old one can still be found; files are their owner's only."""
        old = keyring.current()
        done = keyring.rotate(keep=True)
        new = keyring.current()
        assert (key_id(old), key_id(new), True) == done
        assert old != new
        assert {key_id(new): new, key_id(old): old} == keyring.all()
        assert old == keyring.find(key_id(old))
        modes = [
            path.stat().st_mode & 0o777
            for path in (keyring.path, keyring.folder, keyring.folder / key_id(old))
        ]
        assert [0o600, 0o700, 0o600] == modes

    def test_destroyed(self, keyring: Keyring) -> None:
        """Nothing remains of a key that is not kept, nor of the draft of the new one."""
        old = keyring.current()
        keyring.rotate(keep=False)
        assert keyring.find(key_id(old)) is None
        assert [keyring.path] == list(keyring.path.parent.iterdir())

    def test_epochs_cannot_be_linked(self, keyring: Keyring) -> None:
        """The same id has another pseudonym in each epoch."""
        made = {Pseudonyms(keyring.current()).of("user-42")}
        for _time in range(3):
            keyring.rotate(keep=True)
            made.add(Pseudonyms(keyring.current()).of("user-42"))
        assert 4 == len(made)

    @pytest.mark.parametrize("step", ["link", "fsync", "replace"])
    def test_interrupted(self, keyring: Keyring, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
        """Whatever fails in between, there is a key in place and none is lost; then it works."""
        old = keyring.current()

        def fail(*_arguments: object, **_options: object) -> None:
            raise OSError(5, "Input/output error")

        with monkeypatch.context() as patch:
            patch.setattr(Path if step == "replace" else os, step, fail)
            with pytest.raises(ConfigError, match="Input/output error"):
                keyring.rotate(keep=True)
        assert old == keyring.current()
        assert key_id(old) == keyring.rotate(keep=True).old
        assert old == keyring.find(key_id(old))


class TestDestroy:
    """`Keyring.destroy`."""

    def test_one(self, keyring: Keyring) -> None:
        """A kept key goes; the others stay."""
        first, second = (keyring.rotate(keep=True).old for _time in range(2))
        keyring.destroy(first)
        assert [second] == keyring.kept()

    @pytest.mark.parametrize("ident", ["cafecafe", "../key", ""])
    def test_unknown(self, keyring: Keyring, ident: str) -> None:
        """Only ids of kept keys are taken; today's key is replaced, not destroyed."""
        today = key_id(keyring.current())
        for one in (ident, today):
            with pytest.raises(ConfigError, match="there is no kept key"):
                keyring.destroy(one)
        assert today == key_id(keyring.current())
