"""Who planted what, and what the target saw of it: without this, "nothing found" could mean "nothing sent".

Either side writes numbers and checksums, never a value, to a file of its own.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import msgspec

# What users and target add to a document on its way.
_STAMPS: Final = ("correlation_id", "sent_at", "stream", "stream_seq")

VALUES: Final = "values of"  # before a protocol: the sum is of the values themselves

Sums: TypeAlias = dict[str, int]
"""Checksum by ``protocol number``."""


def checksum(made: object) -> int:
    """Return the checksum of a document without its stamps, of a text or of bytes."""
    if isinstance(made, dict):
        bare = {key: value for key, value in made.items() if key not in _STAMPS}
        return zlib.crc32(msgspec.json.encode(bare, order="sorted"))
    return zlib.crc32(made if isinstance(made, bytes) else str(made).encode())


def decoded(data: bytes) -> Any:
    """Return the JSON value in *data*, or *data* itself."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return data


class Tally:
    """Collect checksums and write them when told to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._sums: Sums = {}

    def __len__(self) -> int:
        return len(self._sums)

    def note(self, protocol: str, number: int | str, made: object) -> None:
        """Add what was planted or seen as *number* of a protocol."""
        self._sums[f"{protocol} {number}"] = checksum(made)

    def write(self) -> None:
        """Write everything; a reader sees the whole file or none."""
        partial = self._path.with_suffix(".part")
        partial.write_bytes(msgspec.json.encode(self._sums))
        partial.replace(self._path)


def said(values: Mapping[str, str]) -> str:
    """Return the text whose checksum says that two processes mean the same values."""
    return "\n".join(values.values())


def read_tally(path: Path) -> Mapping[str, int]:
    """Return what was written to *path*, nothing if it is not there."""
    return msgspec.json.decode(path.read_bytes(), type=Sums) if path.is_file() else {}
