"""Pseudonyms: ids that can be compared but not read.

A keyed hash, not a plain one: ids are short and guessable, so a hash without a key could be undone by
trying them all. The key never leaves its file; records carry `key_id` only.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from binascii import b2a_base64
from pathlib import Path

from streamlab_plugin.core.errors import ConfigError

KEY_BYTES = 32
_DIGEST_BYTES = 16
_GENERATION = 16_384
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class Pseudonyms:
    """Turn ids into pseudonyms under one key.

    ``known`` holds some that were made before, by value; it is the same object for good.

    Args:
        key: 32 random bytes, see `load_key`.
    """

    def __init__(self, key: bytes) -> None:
        self._keyed = hashlib.blake2b(key=key, digest_size=_DIGEST_BYTES)
        # Two generations: ids that come back stay known while unique ones pass through.
        self.known: dict[str, str] = {}
        self._older: dict[str, str] = {}

    def of(self, value: str) -> str:
        """Return the pseudonym of *value*: keyed BLAKE2b (RFC 7693) of 128 bit, base64url, 22 characters."""
        return self.known.get(value) or self.make(value)

    def make(self, value: str) -> str:
        """Return the pseudonym of a value that is not `known`."""
        pseudonym = self._older.get(value)
        if pseudonym is None:
            # A keyed state that is copied costs a quarter of an HMAC-SHA256; this runs for every new id.
            state = self._keyed.copy()
            state.update(value.encode("utf-8", "surrogatepass"))
            pseudonym = b2a_base64(state.digest(), newline=False).translate(_URL_SAFE, b"=").decode("ascii")
        if len(self.known) >= _GENERATION:
            self._older = self.known.copy()
            self.known.clear()
        if len(value) <= 256:
            self.known[value] = pseudonym
        return pseudonym


def key_id(key: bytes) -> str:
    """Return 8 hex characters that tell keys apart and say nothing about them."""
    return hashlib.sha256(b"streamlab key id\0" + key).hexdigest()[:8]


def load_key(path: Path) -> bytes:
    """Return the key in the file *path*; create it on first use, for its owner only.

    The file holds 32 random bytes as hex digits. Several processes may call this at once: all get the same
    key.

    Raises:
        ConfigError: The file cannot be read or made, holds something else, or others may read it.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _unusable(path, error) from error
    try:
        _create(path)
        return _read(path)
    except OSError as error:
        raise _unusable(path, error) from error


def _read(path: Path) -> bytes:
    # O_NONBLOCK: a FIFO of that name must not hang the start.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ConfigError(f"the key {path} is not a file", remedy="name a file in STREAMLAB_KEY_FILE")
        if status.st_mode & 0o077:
            raise ConfigError(
                f"others may read the key file {path} (mode {stat.S_IMODE(status.st_mode):04o})",
                remedy=f"run: chmod 600 {path}",
            )
        content = file.read(4 * KEY_BYTES)
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigError(
            f"the key file {path} does not hold {2 * KEY_BYTES} hex digits",
            remedy="restore it, or move it away: a new key is made, and new pseudonyms do not match old ones",
        )
    return key


def _create(path: Path) -> None:
    """Write a new key to *path* unless another process was first."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Written aside and linked into place: no other process ever sees a half-written key, and unlike a
    # rename a link never replaces one.
    draft = write_key(path, secrets.token_bytes(KEY_BYTES))
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def write_key(path: Path, key: bytes) -> Path:
    """Write *key* into a new file beside *path*, for its owner only, and return it once it is durable."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with open(descriptor, "wb") as file:
        file.write(key.hex().encode("ascii") + b"\n")
        file.flush()
        os.fsync(descriptor)
    return draft


def _unusable(path: Path, error: OSError) -> ConfigError:
    reason = error.strerror or type(error).__name__
    return ConfigError(
        f"cannot use the key file {path}: {reason}",
        remedy="make it readable and writable for you alone, or name another in STREAMLAB_KEY_FILE",
    )
