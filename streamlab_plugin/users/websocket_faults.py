"""What injected faults do to WebSocket messages."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from websocket import ABNF

from streamlab_plugin.users.connection import ABNORMAL, ConnectionClosedError, StalledError
from streamlab_plugin.users.injector import Wire

if TYPE_CHECKING:
    from streamlab_plugin.core.record import Detail
    from streamlab_plugin.users.channel import Channel
    from streamlab_plugin.users.flight import Flight
    from streamlab_plugin.users.injector import Strike


def send(user: Any, strike: Strike, opcode: int, data: bytes, name: str, detail: Detail) -> bool:
    """Send a message without reply as the fault wants it; tell whether it was handed to the network.

    One that is held back has its row when it goes.
    """
    changed = strike.body(data)
    if detail.payload is not None:
        detail = detail._replace(payload=changed)
    if strike.holds_back:
        user._injector.hold(
            strike,
            lambda: _transmit(user, user._channel, strike, opcode, changed, name, detail, is_aside=True),
            lambda: user._rows.interrupted(name, perf_counter(), strike.marked(detail)),
        )
        return True
    channel = user._channel or user._open()  # a delay may have outlived the connection
    if channel is None:
        return False
    return _transmit(user, channel, strike, opcode, changed, name, detail, is_aside=False)


def request(user: Any, strike: Strike, channel: Channel, flight: Flight, data: bytes) -> None:
    """Send a request as the fault wants it.

    Raises:
        OSError: The connection is gone, by the fault or by itself.
    """
    if strike.holds_back:
        user._injector.hold(strike, lambda: _write_late(channel, flight, data), lambda: None)
    else:
        user._injector.send(strike, data, _wire(user, channel, ABNF.OPCODE_TEXT, strike))


def culprit(flights: Iterable[Flight]) -> Strike | None:
    """Return the strike over which the server may have ended the connection, if one was in flight."""
    return next((one.strike for one in flights if one.strike is not None and one.strike.provokes), None)


def _transmit(
    user: Any,
    channel: Channel | None,
    strike: Strike,
    opcode: int,
    data: bytes,
    name: str,
    detail: Detail,
    *,
    is_aside: bool,
) -> bool:
    rows = user._rows
    error: OSError | None = None
    started = perf_counter()
    try:
        if channel is None:
            raise ConnectionClosedError(ABNORMAL)
        user._injector.send(strike, data, _wire(user, channel, opcode, strike))
    except OSError as lost:
        error = lost
    except BaseException:
        rows.interrupted(name, started, strike.marked(detail))
        raise
    detail = strike.marked(detail)
    if isinstance(error, StalledError):
        detail = detail._replace(outcome="timeout")
    elif error is not None:
        detail = detail._replace(status=getattr(error, "code", ABNORMAL))
    ended = perf_counter()
    if is_aside:
        rows.aside(name, started, (ended - started) * 1000.0, len(data), error, detail)
    else:
        rows.fire(name, started, ended, len(data), error, detail)
    return error is None


def _write_late(channel: Channel, flight: Flight, data: bytes) -> None:
    """Send a request that was held back, unless it has ended meanwhile."""
    if channel.flights.get(flight.correlation_id) is flight:
        flight.started = perf_counter()
        try:
            channel.connection.write(ABNF.OPCODE_TEXT, data)
        except OSError:
            pass  # the reader ends what is in flight


def _wire(user: Any, channel: Channel, opcode: int, strike: Strike) -> Wire:
    write = partial(channel.connection.write_within, user.reply_timeout_s, opcode)
    return Wire(write, write, partial(_drop, user, channel, strike), partial(pause, channel, strike))


def _drop(user: Any, channel: Channel, strike: Strike) -> None:
    channel.strike = strike
    if user._channel is channel:
        user._channel = None  # the next message opens another one
    channel.connection.abort()


def pause(channel: Channel, strike: Strike, seconds: float) -> None:
    """Read nothing for so long; what waits for an answer is touched by it."""
    for flight in channel.flights.values():
        flight.strike = flight.strike or strike
    channel.connection.pause(seconds)
