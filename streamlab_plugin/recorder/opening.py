"""How what is said about runs and processes is stored, at once or out of the spool."""

from __future__ import annotations

import hashlib
import json
import logging
from typing import TYPE_CHECKING, Any

import msgspec

from streamlab_plugin.link.message import OpenProcess, OpenRun, StopRun
from streamlab_plugin.privacy.policy import parse_policy
from streamlab_plugin.store import run_writer
from streamlab_plugin.store.run_writer import ProcessRow, RunRow

if TYPE_CHECKING:
    from streamlab_plugin.store.spool import Spool
    from streamlab_plugin.store.writer import Writer

logger = logging.getLogger(__name__)

# Says of a run which fields are stored although they would always be removed.
UNSAFE_TAG = "unsafe_fields"

encode = msgspec.msgpack.Encoder().encode
_decode_run = msgspec.msgpack.Decoder(tuple[OpenRun, str]).decode
_decode_process = msgspec.msgpack.Decoder(OpenProcess).decode
_decode_stop = msgspec.msgpack.Decoder(StopRun).decode
_decode_at = msgspec.msgpack.Decoder(float).decode


def encode_run(message: OpenRun, key_id: str) -> bytes:
    """Return a run's opening as bytes for the spool."""
    return encode((message, key_id))


def make_row(message: OpenRun, key_id: str) -> RunRow:
    """Return a run as it will be stored."""
    return RunRow(
        message.run, int(message.started_at // 86_400), message.started_at, key_id, message.settings.decode()
    )


def run_row(body: bytes) -> RunRow:
    """Return a run whose opening waits in the spool."""
    return make_row(*_decode_run(body))


def store_run(writer: Writer, message: OpenRun, key_id: str) -> None:
    """Store a run unless it is there."""
    row = make_row(message, key_id)
    values: dict[str, Any] = {
        "run": message.run, "name": message.name, "run_day": row.run_day, "started_at": message.started_at,
        "key_id": key_id, "host": message.host, "locustfile": message.locustfile,
        "expected_workers": message.expected_workers,
        "versions": json.dumps(message.versions, sort_keys=True),
    }  # fmt: skip
    unsafe = parse_policy(json.loads(row.settings).get("privacy", {})).unsafe_names
    if unsafe:
        values["tags"] = json.dumps({UNSAFE_TAG: " ".join(unsafe)})
    settings_hash = hashlib.sha256(message.settings).hexdigest()[:16]
    run_writer.open_run(writer.connection, values, settings_hash, row.settings)


def store_process(writer: Writer, message: OpenProcess) -> ProcessRow:
    """Store a process unless it is there.

    Raises:
        LookupError: its run is not in this database.
    """
    return run_writer.open_process(
        writer.connection, message.run, message.process, message.role, message.pid, message.opened_at
    )


def store_stop(writer: Writer, _run: str, body: bytes) -> None:
    """Store a run's end."""
    message = _decode_stop(body)
    run_writer.stop_run(writer.connection, message.run, message.stopped_at, message.expected_workers)


def store_lost(writer: Writer, process: str, body: bytes) -> None:
    """Store that a process vanished."""
    writer.mark_lost(process, _decode_at(body))


def replay_openings(spool: Spool, writer: Writer, opened_runs: list[str]) -> None:
    """Store the runs and processes that wait in the spool; the runs are added to *opened_runs*."""
    for run, body in spool.words("run"):
        store_run(writer, *_decode_run(body))
        spool.unsay("run", run)
        opened_runs.append(run)
    for process, body in spool.words("process"):
        try:
            store_process(writer, _decode_process(body))
        except LookupError as error:
            # Left by a run whose database was replaced.
            logger.error("%s; process %s is not stored", error, process)
        spool.unsay("process", process)


def replay_endings(spool: Spool, writer: Writer) -> None:
    """Store the ends that wait in the spool; nothing else waits any more."""
    for kind, store in (("lost", store_lost), ("stop", store_stop)):
        for name, body in spool.words(kind):
            store(writer, name, body)
            spool.unsay(kind, name)
