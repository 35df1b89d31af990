"""Opens and ends the sessions of an MQTT user, and gives each attempt and each end exactly one row.

After a loss a greenlet of its own opens the next session, so that who only listens comes back, too. All
attempts after a failure keep the pauses of the `Backoff`, whoever wants them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import gevent
from gevent import GreenletExit
from gevent.lock import Semaphore

from streamlab_plugin.users import ticker
from streamlab_plugin.users.backoff import Backoff, next_seed
from streamlab_plugin.users.closing import DRAIN_LIMIT_S, closers
from streamlab_plugin.users.mqtt_client import Memory, MqttClient
from streamlab_plugin.users.mqtt_rows import MqttRows
from streamlab_plugin.users.mqtt_teller import Teller
from streamlab_plugin.users.report import CONTROL_EXCEPTIONS, pass_on
from streamlab_plugin.users.session import Session

_POLL_S = 0.01
_AFTER_ABORT_S = 0.3
# Silence of this length ends the listening of a subscriber whose user has ended.
QUIET_S = 0.2
_QUIET_POLL_S = 0.05


class Connector:
    """Keep at most one open session for *user*.

    Args:
        user: An `MqttUser`; its attributes say how long to wait.
        client: Makes a client for the next connection.
        rows: Where attempts are recorded.
        teller: Who tells what the sessions bring.
        on_open: Called with each new session before anybody else may use it.
    """

    def __init__(
        self,
        user: Any,
        client: Callable[[], MqttClient],
        rows: MqttRows,
        teller: Teller,
        on_open: Callable[[Session], None],
    ) -> None:
        self._user = user
        self._client = client
        self._rows = rows
        self._teller = teller
        self._on_open = on_open
        self._hub = gevent.get_hub()
        self._lock = Semaphore(1)
        self._opening: Session | None = None  # waiting for CONNACK
        self._seed = next_seed(user.environment)
        self._backoff: Backoff | None = None  # made by the first failure
        self._next_at = 0.0  # `perf_counter` reading
        self._reconnecting: gevent.Greenlet[..., None] | None = None
        self._memory: Memory | None = None  # of the session before
        self.session: Session | None = None  # open

    # Opening

    def open(self) -> Session | None:
        """Return the open session, opening it if need be; None where that failed, which has its row.

        Raises:
            GreenletExit: The user has ended.
        """
        with self._lock:
            if self.session is not None:
                return self.session
            if self._backoff is not None:
                gevent.sleep(max(0.0, self._next_at - perf_counter()))
            if self._teller.is_over:
                raise GreenletExit
            session = self._opening or self._begin()
            timer = self._hub.loop.timer(self._user.connect_timeout_s)
            timer.start(session.waiter.switch, None)
            try:
                session.waiter.get()
            except BaseException as stop:
                self._stopped(session, stop)
                raise
            finally:
                timer.close()
            if not session.opened:
                session.fail(TimeoutError("no CONNACK in time"))
            self._opening = None
            self._settle(session)
            if self._teller.is_over:
                raise GreenletExit
            if not session.is_open:
                self._pause()
                return None
            if self._backoff is not None:
                self._backoff.succeeded()
            self.session = session
            self._on_open(session)
            return self.session

    def _begin(self) -> Session:
        user = self._user
        session = Session(self._client(), self._on_news, None if user.clean_session else self._memory)
        self._opening = session
        self._teller.live.append(session)
        gevent.spawn(self._call, session)
        ticker.of(user.environment).add(partial(self._tick, session))
        return session

    def _call(self, session: Session) -> None:
        """Reach the broker: the body of a greenlet that ends when CONNECT is sent."""
        try:
            session.open()
        except (OSError, ValueError) as failure:
            session.fail(failure)

    def _tick(self, session: Session, now_s: float) -> bool:
        if session.over.is_set():
            return False
        session.tick(now_s, self._user.ack_timeout_s)
        return True

    def _on_news(self, session: Session) -> None:
        if session.end is not None and self.session is session:
            self.session = None
            self._memory = session.memory
            self._pause()
            if self._user.keeps_connected and self._reconnecting is None:
                self._reconnecting = gevent.spawn(self._reconnect)
        self._teller.wake()

    def _pause(self) -> None:
        """See to it that the next attempt waits."""
        if self._backoff is None:
            user = self._user
            self._backoff = Backoff(
                user.reconnect_delay_s,
                user.reconnect_delay_most_s,
                jitter=user.reconnect_jitter,
                chance=random.Random(self._seed).random,
            )
        self._backoff.failed()
        self._next_at = perf_counter() + self._backoff.delay_s()

    def _reconnect(self) -> None:
        try:
            while self.session is None:
                self.open()
        except CONTROL_EXCEPTIONS as control:
            pass_on(self._user, control)
        finally:
            self._reconnecting = None

    def _stay_away(self) -> None:
        if self._reconnecting is not None:
            self._reconnecting.kill(block=False)

    def _settle(self, session: Session) -> None:
        """Fire the row of an attempt that has ended, unless it has its row."""
        if session.failure is not None and session in self._teller.live:
            self._teller.live.remove(session)
        if not session.is_settled:
            session.is_settled = True
            self._rows.connect(session)

    def _stopped(self, session: Session, stop: BaseException) -> None:
        """Settle an attempt whose greenlet was told to stop; CONNACK may have come just before."""
        if not session.opened and isinstance(stop, gevent.Timeout):
            session.fail(TimeoutError("gave up on CONNACK"))
        if session.opened:
            self._opening = None
            self._settle(session)
            if session.is_open and not self._teller.is_over:
                self.session = session
        else:
            self._interrupt(session)

    def _interrupt(self, session: Session) -> None:
        if not session.is_settled:
            session.is_settled = True
            self._rows.connect_interrupted(session)

    # Ending

    def close(self) -> bool:
        """Disconnect: wait for acknowledgements and for the broker's end; tell whether it came."""
        self._stay_away()
        session, self.session = self.session, None
        if session is None:
            return False
        self._memory = session.memory
        gevent.with_timeout(DRAIN_LIMIT_S, _until_idle, session, timeout_value=None)
        session.close()
        gevent.with_timeout(DRAIN_LIMIT_S, session.over.wait, timeout_value=None)
        self._see_off(session)
        return not session.gave_up

    def leave(self) -> None:
        """Settle what an ended user leaves behind; runs in the hub, and cannot wait."""
        self._teller.is_over = True
        self._stay_away()
        self.session = None
        for session in tuple(self._teller.live):
            if not session.opened:
                self._interrupt(session)
            closers(self._user.environment).spawn(self._drain, session)
            exchanges = session.take_all()
            for exchange in exchanges:
                exchange.release()
                self._rows.exchange_interrupted(exchange)
            for exchange in exchanges:
                if exchange.waiter is not None:
                    exchange.waiter.throw(GreenletExit)
        self._teller.leave_hook()

    def _drain(self, session: Session) -> None:
        """Listen for what is under way, say goodbye, and record all until the broker has closed."""
        if self._user.listens:
            gevent.with_timeout(self._user.drain_s, _until_quiet, session, timeout_value=None)
        gevent.with_timeout(DRAIN_LIMIT_S, _say_goodbye, session, timeout_value=None)
        self._see_off(session)

    def _see_off(self, session: Session) -> None:
        """Wait until the end of *session* is told; a broker that has not closed by now is left."""
        if not session.over.is_set():
            session.gave_up = True
            session.fail(TimeoutError("left while connecting"))
            session.over.wait(_AFTER_ABORT_S)
        self._teller.join()


def _until_idle(session: Session) -> None:
    while session.exchanges and not session.over.is_set():
        gevent.sleep(_POLL_S)


def _until_quiet(session: Session) -> None:
    begun = perf_counter()
    while session.is_open and perf_counter() - max(begun, session.heard_at) < QUIET_S:
        gevent.sleep(_QUIET_POLL_S)


def _say_goodbye(session: Session) -> None:
    while not session.opened:
        gevent.sleep(_POLL_S)
    if session.is_open:
        session.close()
    session.over.wait()
