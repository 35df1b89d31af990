"""What travels on the socket between a Locust process and its recorder.

Every message is a msgpack map with a ``type`` tag, length-prefixed by `framing`. Uplink messages that change
what is stored carry a number; the recorder acknowledges a number once it is on disk, and until then the
client keeps the message, so that a restarted recorder can be told again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from streamlab_plugin.core.record import RawRecord

LINK_VERSION = 3


class Hello(msgspec.Struct, tag="hello", frozen=True):
    """First message of a client; another link version is refused.

    ``role`` is ``standalone``, ``master``, ``worker`` or ``command``. ``is_back`` says that this process had
    been welcomed before: then a database that is out of reach is no reason to refuse it.
    """

    version: int
    pid: int
    role: str
    is_back: bool = False


class OpenRun(msgspec.Struct, tag="open_run", frozen=True):
    """The owner announces a run; repeated after a reconnect, so it must be idempotent.

    ``settings`` is the JSON of the effective policy, rules and objectives.
    """

    run: str
    name: str
    started_at: float
    host: str
    locustfile: str
    expected_workers: int
    settings: bytes
    versions: dict[str, str]


class OpenProcess(msgspec.Struct, tag="open_process", frozen=True):
    """A Locust process joins a run with a stream of its own; idempotent like `OpenRun`.

    ``is_retold`` says that another recorder has heard it before, and had acknowledged ``acknowledged``; it
    may have stored more than that.
    """

    run: str
    process: str
    role: str
    pid: int
    opened_at: float
    is_retold: bool = False
    acknowledged: int = 0


class Frame(msgspec.Struct, tag="frame", frozen=True):
    """Records in order. ``produced``, ``dropped`` and ``arrivals`` are totals of the stream so far.

    ``arrivals`` is empty without a schedule, see `core.arrival.Counts`.
    ``unreadable`` is set on arrival: records of the frame that had a value of the wrong type.
    """

    process: str
    number: int
    produced: int
    dropped: dict[str, int]
    users: int
    at: float
    records: list[RawRecord]
    arrivals: dict[str, int] = {}
    unreadable: int = 0


class LooseFrame(msgspec.Struct, tag="frame", frozen=True):
    """A `Frame` whose records are looked at one by one, because one of them cannot be read."""

    process: str
    number: int
    produced: int
    dropped: dict[str, int]
    users: int
    at: float
    records: list[msgspec.Raw]
    arrivals: dict[str, int] = {}


class CloseProcess(msgspec.Struct, tag="close_process", frozen=True):
    """The last numbered message of a stream, with its final totals.

    ``clock`` is how far the master's clock was ahead of a worker's, and the uncertainty of that
    (milliseconds).
    """

    process: str
    number: int
    produced: int
    dropped: dict[str, int]
    closed_at: float
    arrivals: dict[str, int] = {}
    clock: tuple[float, float] | None = None


class StopRun(msgspec.Struct, tag="stop_run", frozen=True):
    """The owner says that the test has stopped; the recorder finalises once all streams are closed."""

    run: str
    stopped_at: float
    expected_workers: int


class Order(msgspec.Struct, tag="order", frozen=True):
    """A command asks for a change of the database, which only a recorder writes.

    ``arguments`` is a JSON object; the answers are any number of `Progress` and one `OrderDone` or `Refused`.
    """

    name: str
    arguments: bytes


class Welcome(msgspec.Struct, tag="welcome", frozen=True):
    """Answer to `Hello`."""

    version: int
    pid: int


class Refused(msgspec.Struct, tag="refused", frozen=True):
    """The recorder cannot serve this client; ``exit_code`` is the one of docs/cli.md."""

    message: str
    exit_code: int


class RunOpened(msgspec.Struct, tag="run_opened", frozen=True):
    """The run is in the database: workers can find it now."""

    run: str


class Unrecorded(msgspec.Struct, tag="unrecorded", frozen=True):
    """This process cannot be recorded (its run is not in this recorder's database)."""

    process: str
    message: str


class Ack(msgspec.Struct, tag="ack", frozen=True):
    """Everything of the stream up to this number is on disk."""

    process: str
    number: int


class VerdictReached(msgspec.Struct, tag="verdict", frozen=True):
    """The run is finalised."""

    run: str
    exit_code: int
    text: str


class Notice(msgspec.Struct, tag="notice", frozen=True):
    """A line for the Locust log, e.g. that the database cannot be written."""

    message: str


class StopRequested(msgspec.Struct, tag="stop_requested", frozen=True):
    """Somebody asked for the run's end (``streamlab runs stop``); for its owner."""

    run: str


class Progress(msgspec.Struct, tag="progress", frozen=True):
    """A line about an order that takes longer."""

    text: str


class OrderDone(msgspec.Struct, tag="order_done", frozen=True):
    """An order is carried out; ``result`` is a JSON object."""

    result: bytes


Uplink = Hello | OpenRun | OpenProcess | Frame | CloseProcess | StopRun | Order
Downlink = (
    Welcome
    | Refused
    | RunOpened
    | Unrecorded
    | Ack
    | VerdictReached
    | StopRequested
    | Notice
    | Progress
    | OrderDone
)

_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
encode_into = _encoder.encode_into


def encoded_records(count: int, body: bytes | bytearray) -> Any:
    """Return *count* records that `encode_into` has put together, in place of a frame's list of records."""
    return msgspec.Raw(b"\xdd" + count.to_bytes(4, "big") + body)  # msgpack: array 32


_decode_uplink: Callable[[bytes], Uplink] = msgspec.msgpack.Decoder(Uplink).decode
_decode_loose_frame = msgspec.msgpack.Decoder(LooseFrame).decode
_decode_record = msgspec.msgpack.Decoder(RawRecord).decode
decode_downlink = msgspec.msgpack.Decoder(Downlink).decode


def decode_uplink(body: bytes) -> Uplink:
    """Read a message; in a frame, a record with a value of the wrong type costs only itself.

    Raises:
        msgspec.MsgspecError: it is no message.
    """
    try:
        return _decode_uplink(body)
    except msgspec.ValidationError:
        loose = _decode_loose_frame(body)
    records = []
    for raw in loose.records:
        try:
            records.append(_decode_record(raw))
        except msgspec.ValidationError:
            continue
    unreadable = len(loose.records) - len(records)
    return Frame(
        loose.process, loose.number, loose.produced, loose.dropped, loose.users, loose.at, records,
        loose.arrivals, unreadable,
    )  # fmt: skip
