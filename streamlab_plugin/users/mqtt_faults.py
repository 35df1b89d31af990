"""What injected faults do to MQTT publishes."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any

from streamlab_plugin.users.injector import ConnectionDroppedError, Wire
from streamlab_plugin.users.mqtt_error import FAILURE, ConnectionLostError

if TYPE_CHECKING:
    from streamlab_plugin.users.delivery import Stamped
    from streamlab_plugin.users.exchange import Exchange
    from streamlab_plugin.users.injector import Strike
    from streamlab_plugin.users.session import Session


def publish(
    user: Any,
    strike: Strike,
    session: Session,
    exchange: Exchange,
    topic: str,
    stamped: Stamped,
    qos: int,
    *,
    wait: bool,
) -> bool:
    """Publish as the fault wants it; tell whether it succeeded.

    A message that is held back has its number already, so that its subscribers see it out of order; it is
    not waited for, and has its row when it has gone.

    Raises:
        ValueError: The topic has wildcards or the QoS is not 0, 1 or 2.
    """
    changed = strike.body(stamped.data)
    exchange.size_bytes = len(changed)
    if changed != stamped.data and stamped.payload is not None:
        # Behind a binary envelope there is no telling what is left of the payload.
        exchange.extra["payload"] = changed if stamped.payload == stamped.data else None
    if strike.has_struck:
        exchange.extra["fault"] = strike.label
    if strike.holds_back:
        send = partial(
            _publish_late, user, strike, session, exchange, topic, changed, qos, stamped.properties
        )
        user._injector.hold(strike, send, partial(_interrupt, user, exchange))
        return True
    _add_wait(exchange, strike)
    try:
        user._injector.send(
            strike, changed, _wire(user, strike, session, exchange, topic, qos, stamped.properties)
        )
    except ConnectionDroppedError as dropped:
        exchange.end(FAILURE, ConnectionLostError(str(dropped)))
    except ValueError:
        exchange.release()
        raise
    told: bool = user._finished(session, exchange, wait)
    return told


def _publish_late(
    user: Any,
    strike: Strike,
    session: Session,
    exchange: Exchange,
    topic: str,
    data: bytes,
    qos: int,
    properties: Any,
) -> None:
    _add_wait(exchange, strike)
    exchange.started = perf_counter()
    try:
        session.publish(exchange, topic, data, qos, properties)
    except ValueError as error:
        exchange.end(FAILURE, error)
    if exchange.is_done:
        user._rows.exchange(exchange, is_aside=True)


def _add_wait(exchange: Exchange, strike: Strike) -> None:
    if strike.wait_ms is not None:
        exchange.extra["wait_ms"] = (exchange.extra["wait_ms"] or 0.0) + strike.wait_ms


def _interrupt(user: Any, exchange: Exchange) -> None:
    exchange.release()
    user._rows.exchange_interrupted(exchange)


def _wire(
    user: Any, strike: Strike, session: Session, exchange: Exchange, topic: str, qos: int, properties: Any
) -> Wire:
    def drop() -> None:
        session.strike = strike
        _touch(session, strike)
        if user._connector.session is session:
            user._connector.session = None  # the next publish opens another one
        session.abort()

    return Wire(
        lambda data: session.publish(exchange, topic, data, qos, properties),
        lambda data: session.repeat(topic, data, qos, properties),
        drop,
        partial(pause, session, strike),
    )


def pause(session: Session, strike: Strike, seconds: float) -> None:
    """Read nothing for so long; what waits for an acknowledgement is touched by it."""
    _touch(session, strike)
    session.pause(seconds)


def _touch(session: Session, strike: Strike) -> None:
    """Label what waits for an acknowledgement: it will be late, or never come."""
    for exchange in session.exchanges.values():
        exchange.extra.setdefault("fault", strike.label)
