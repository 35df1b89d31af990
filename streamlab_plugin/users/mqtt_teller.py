"""Tells what no greenlet of an MQTT user waits for: deliveries, `wait=False`, the loss of a connection.

These rows are fired, and the user's hook is called, by a greenlet that exists only while there are any.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from gevent import GreenletExit
from greenlet import getcurrent

from streamlab_plugin.users import mqtt_faults
from streamlab_plugin.users.delivery import Delivery
from streamlab_plugin.users.mqtt_rows import MqttRows
from streamlab_plugin.users.report import hook_failed
from streamlab_plugin.users.session import Session


class Teller:
    """Tell the news of all live sessions of *user*, an `MqttUser`; *read* opens the envelopes."""

    def __init__(self, user: Any, rows: MqttRows, read: Callable[..., Delivery]) -> None:
        self._user = user
        self._read = read
        self._rows = rows
        self._injector = user._injector
        self._greenlet: gevent.Greenlet[..., None] | None = None
        self._in_hook = False
        self.live: list[Session] = []  # all whose end has not been told
        self.is_over = False  # the user has ended

    def wake(self) -> None:
        """See to it that somebody tells the news; runs in the hub or in a sending greenlet."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._tell)

    def join(self) -> None:
        """Wait until all is told, unless this is the telling greenlet itself."""
        greenlet = self._greenlet
        if greenlet is not None and greenlet is not getcurrent():
            greenlet.join()

    def leave_hook(self) -> None:
        """End a hook that is running: its user has ended."""
        if self._in_hook and self._greenlet is not None:
            self._greenlet.throw(GreenletExit)

    def _tell(self) -> None:
        try:
            while session := next((each for each in self.live if each.has_news), None):
                self._tell_of(session)
        finally:
            self._greenlet = None

    def _tell_of(self, session: Session) -> None:
        while session.finished:
            self._rows.exchange(session.finished.popleft(), is_aside=True)
        while session.deliveries:
            message, arrived = session.deliveries.popleft()
            try:
                topic = message.topic
            except UnicodeDecodeError:
                topic = "(not UTF-8)"
            data = bytes(message.payload)
            delivery = self._read(topic, data, arrived, message.properties, is_retained=message.retain)
            self._delivered(session, delivery)
        if session.end is not None and not session.finished:
            self.live.remove(session)
            self._rows.close(session, session.end, is_over=self.is_over)

    def _delivered(self, session: Session, delivery: Delivery) -> None:
        strike = None
        if self._injector is not None:
            strike = self._injector.received("deliver", partial(mqtt_faults.pause, session))
            strike = strike or self._injector.late(delivery.sent_at)
        self._rows.delivery(delivery, self._user.subscriber, None if strike is None else strike.label)
        if not self.is_over:
            self._call_hook(delivery)

    def _call_hook(self, delivery: Delivery) -> None:
        self._in_hook = True
        try:
            self._user.on_message(delivery.topic, delivery.message)
        except GreenletExit:
            # The user's end kills the hook, not the telling.
            if not self.is_over:
                raise
        except Exception as error:  # noqa: BLE001 - the user's code; reported as Locust reports a task's
            hook_failed(self._user, error)
        finally:
            self._in_hook = False
