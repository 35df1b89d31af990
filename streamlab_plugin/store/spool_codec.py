"""A batch as bytes: raw records in one blob, everything else in another, both msgpack and compressed.

The names of series, shapes and errors that the batch uses go with the rest, since another recorder, with
another memory, may be the one that stores it.
"""

from __future__ import annotations

import zlib
from typing import Any

import msgspec
import numpy as np

from streamlab_plugin.store.batch import Delta, Key, Numbers, StreamWrite

# Level 1 takes 2 µs per record and leaves a third of the bytes.
_LEVEL = 1
# Where rows hold keys: positions in Row, LeanRow and Delta.
_ROW_KEYS = (1, 7, 11)
_LEAN_KEYS = (1, 5)


class Rest(msgspec.Struct, array_like=True):
    """A `StreamWrite` without its rows; what refers to a key has its place in ``keys``."""

    process: str
    run_day: int
    previous_frame: int
    last_frame: int
    produced: int
    dropped: dict[str, int]
    users: int
    seen_at: float
    quarantined: int
    privacy: dict[str, int]
    closed_at: float | None
    evicted: int
    count: int
    keys: list[tuple[str, tuple[str, ...]]]
    deltas: list[tuple[Any, ...]]
    occurrences: list[tuple[Any, ...]]
    gauges: list[tuple[int, int]]
    arrivals: dict[str, int] = {}
    numbers: list[tuple[str, str, str, int, list[int]]] = []
    clock: tuple[float, float] | None = None
    erased: int = 0


_encode_rest = msgspec.msgpack.Encoder().encode
_decode_rest = msgspec.msgpack.Decoder(Rest).decode
_encode_rows = msgspec.msgpack.Encoder().encode
_decode_rows = msgspec.msgpack.Decoder(tuple[list[list[Any]], list[list[Any]]]).decode


def encode(write: StreamWrite) -> tuple[bytes, bytes]:
    """Return (records, rest) of a batch."""
    numbers: dict[int, int] = {}
    keys: list[Key] = []

    def number(key: Any) -> int:
        known = numbers.get(id(key))
        if known is None:
            known = numbers[id(key)] = len(keys)
            keys.append(key)
        return known

    records = msgspec.msgpack.Encoder(enc_hook=number).encode((write.rows, write.lean))
    deltas = [
        (
            one.second, number(one.series), *one[2:8], _floats(one.latencies_ms), *one[9:12],
            None if one.responses_ms is None else _floats(one.responses_ms),
        )
        for one in write.deltas
    ]  # fmt: skip
    streams = [(*one[:3], number(one.series), one.bounds) for one in write.numbers]
    rest = Rest(
        write.process, write.run_day, write.previous_frame, write.last_frame, write.produced, write.dropped,
        write.users, write.seen_at, write.quarantined, write.privacy, write.closed_at, write.evicted,
        write.records, [(key.kind, key.values) for key in keys], deltas, write.occurrences, write.gauges,
        write.arrivals, streams, write.clock, write.erased,
    )  # fmt: skip
    return zlib.compress(records, _LEVEL), zlib.compress(_encode_rest(rest), _LEVEL)


def unpack(records: bytes | None, rest: bytes) -> tuple[list[Any] | None, Rest]:
    """Return a batch's [rows, lean] and the rest, with places in ``keys`` where `Key` objects were."""
    rows = None if records is None else list(_decode_rows(zlib.decompress(records)))
    return rows, _decode_rest(zlib.decompress(rest))


def pack(rows: list[Any] | None, rest: Rest) -> tuple[bytes | None, bytes]:
    """Return what `unpack` was given, after a change."""
    records = None if rows is None else zlib.compress(_encode_rows(rows), _LEVEL)
    return records, zlib.compress(_encode_rest(rest), _LEVEL)


def decode(records: bytes | None, rest: bytes) -> StreamWrite:
    """Return the batch that `encode` was given; without *records* those are counted as evicted."""
    found = _decode_rest(zlib.decompress(rest))
    keys = [Key(kind, tuple(values)) for kind, values in found.keys]  # type: ignore[arg-type]
    rows: list[Any] = []
    lean: list[Any] = []
    if records is not None:
        rows, lean = _decode_rows(zlib.decompress(records))
        _restore(rows, _ROW_KEYS, keys)
        _restore(lean, _LEAN_KEYS, keys)
    return StreamWrite(
        found.process, found.run_day, found.previous_frame, found.last_frame, found.produced, found.dropped,
        found.users, found.seen_at, found.quarantined, found.privacy, found.closed_at,
        found.evicted if records is not None else found.evicted + found.count, keys, rows, lean,
        [_delta(one, keys) for one in found.deltas], found.occurrences, found.gauges,
        found.arrivals,
        [Numbers(role, stream, subscriber, keys[key], bounds)
         for role, stream, subscriber, key, bounds in found.numbers],
        found.clock, found.erased,
    )  # fmt: skip


def _restore(rows: list[list[Any]], places: tuple[int, ...], keys: list[Key]) -> None:
    for row in rows:
        for place in places:
            if row[place] is not None:
                row[place] = keys[row[place]]


def _floats(values: Any) -> bytes:
    return np.asarray(values, dtype=np.float32).tobytes()


def _delta(values: tuple[Any, ...], keys: list[Key]) -> Delta:
    # A batch that an earlier version spooled ends before the response times.
    responses = _array(values[12]) if len(values) > 12 and values[12] is not None else None
    return Delta._make(
        (values[0], keys[values[1]], *values[2:8], _array(values[8]), *values[9:12], responses)
    )


def _array(data: bytes) -> Any:
    return np.frombuffer(data, dtype=np.float32).copy()  # the sketch wants one it might change
