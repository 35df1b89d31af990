"""The pseudonym key of today, and those of earlier epochs that were kept.

An epoch is the time of one key. Within it equal ids have equal pseudonyms; across epochs nobody can tell,
unless the old key was kept. Kept keys lie beside the key file, each in a file named by its id.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import NamedTuple

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.privacy.pseudonym import KEY_BYTES, key_id, load_key, write_key

KEPT_SUFFIX = ".kept"


class Rotation(NamedTuple):
    """Ids of the key before and after, and whether the old one was kept."""

    old: str
    new: str
    is_kept: bool


class Keyring:
    """The keys of the key file *path*; nothing is read before it is asked for.

    Raises:
        ConfigError: from every method, when a key file cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.with_name(path.name + KEPT_SUFFIX)

    def current(self) -> bytes:
        """Return today's key; it is made on first use."""
        return load_key(self.path)

    def kept(self) -> list[str]:
        """Return the ids of the kept keys, sorted."""
        try:
            return sorted(entry.name for entry in self.folder.iterdir() if not entry.name.startswith("."))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _unusable(self.folder, error) from error

    def find(self, ident: str) -> bytes | None:
        """Return the key with this id, today's or a kept one, or None."""
        current = self.current()
        if key_id(current) == ident:
            return current
        return load_key(self.folder / ident) if ident in self.kept() else None

    def all(self) -> dict[str, bytes]:
        """Return today's key and the kept ones by id, today's first."""
        current = self.current()
        return {key_id(current): current, **{ident: load_key(self.folder / ident) for ident in self.kept()}}

    def rotate(self, *, keep: bool) -> Rotation:
        """Put a new key in the place of today's; whoever opens a run from now on uses it.

        Whenever this is interrupted there is one key in place, and with *keep* none is lost.
        """
        old = key_id(self.current())
        try:
            if keep:
                self.folder.mkdir(mode=0o700, exist_ok=True)
                try:
                    os.link(self.path, self.folder / old)
                except FileExistsError:
                    pass
                _sync(self.folder)
            new = secrets.token_bytes(KEY_BYTES)
            draft = write_key(self.path, new)
            draft.replace(self.path)
            _sync(self.path.parent)
        except OSError as error:
            raise _unusable(self.path, error) from error
        return Rotation(old, key_id(new), keep)

    def destroy(self, ident: str) -> None:
        """Delete the kept key with this id: what was stored under it can never be linked to anybody again."""
        if ident not in self.kept():
            raise ConfigError(
                f"there is no kept key {ident!r}", remedy=f"kept: {', '.join(self.kept()) or 'none'}"
            )
        try:
            (self.folder / ident).unlink(missing_ok=True)
            _sync(self.folder)
        except OSError as error:
            raise _unusable(self.folder, error) from error


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"cannot use {path}: {error.strerror or type(error).__name__}",
        remedy="make it readable and writable for you alone, or name another in STREAMLAB_KEY_FILE",
    )
