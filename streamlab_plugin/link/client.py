"""The Locust side of the link: a greenlet that frames what was handed over and sends it.

Nothing here runs in a user's greenlet. While the recorder is slow or gone, frames wait in a bounded window;
when that is full the handover fills and counts what it drops. A new recorder is told everything again that
the last one had not acknowledged.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

from streamlab_plugin.core.errors import InfrastructureError
from streamlab_plugin.core.handover import Handover
from streamlab_plugin.link.dial import RefusedError, dial
from streamlab_plugin.link.framing import FramingError, Unframer, frame
from streamlab_plugin.link.message import (
    LINK_VERSION,
    Ack,
    CloseProcess,
    Downlink,
    Frame,
    Hello,
    Notice,
    OpenProcess,
    OpenRun,
    Refused,
    RunOpened,
    StopRequested,
    StopRun,
    Unrecorded,
    VerdictReached,
    decode_downlink,
    encode,
    encoded_records,
)
from streamlab_plugin.link.track import Track

logger = logging.getLogger(__name__)

TICK_S = 0.02
WINDOW_BYTES = 32 * 1024 * 1024
CONNECT_TIMEOUT_S = 20.0
RETRY_S = 0.25
SAID_LIMIT = 100


class Client:
    """Connection of one Locust process to its recorder.

    Args:
        path: The recorder's socket.
        role: ``standalone``, ``master``, ``worker``.
        pid: This process.
        handover: Where the gate puts records.
        start_recorder: Starts a recorder if none holds the socket; returns at once.
        produced: Returns the number of records produced in the open stream.
        arrivals: Returns the totals of arrivals in the open stream, empty without a schedule.
        users: Returns the current number of simulated users.
        on_stop_requested: Called with the public id of a run that somebody wants to end.
    """

    def __init__(
        self,
        path: Path,
        role: str,
        pid: int,
        handover: Handover,
        start_recorder: Callable[[], None],
        produced: Callable[[], int],
        arrivals: Callable[[], dict[str, int]],
        users: Callable[[], int],
        on_stop_requested: Callable[[str], None],
    ) -> None:
        self._path = path
        self._hello = encode(Hello(LINK_VERSION, pid, role))
        self._hello_again = encode(Hello(LINK_VERSION, pid, role, is_back=True))
        self._handover = handover
        self._start_recorder = start_recorder
        self._produced = produced
        self._arrivals = arrivals
        self._users = users
        self._on_stop_requested = on_stop_requested
        self._socket: Any = None
        self._outgoing: deque[bytes] = deque()
        self._tracks: list[Track] = []
        self._current: Track | None = None
        self._wake = Event()
        self._changed = Event()
        self._closing = False
        self._greenlets: list[gevent.Greenlet[Any, Any]] = []
        self._opened_runs: set[str] = set()
        self._verdicts: dict[str, VerdictReached] = {}
        self._heartbeat_at = 0.0
        self._next_warning_at = 0.0
        self._dialled_at = float("-inf")
        self._said: dict[str, float] = {}

    # --- life cycle ---------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Reach a recorder, starting one if needed, and begin to send.

        Raises:
            RefusedError: the recorder refuses (link version, database).
            InfrastructureError: no recorder within 20 s.
        """
        deadline = time.monotonic() + CONNECT_TIMEOUT_S
        while True:
            try:
                # The first answer takes as long as a migration, or a distant database, does.
                self._socket = dial(self._path, self._hello, max(1.0, deadline - time.monotonic()))
                break
            except OSError as error:
                if time.monotonic() > deadline:
                    raise InfrastructureError(
                        f"no recorder on {self._path} within {CONNECT_TIMEOUT_S:.0f} s ({error})"
                    ) from error
                self._start_recorder()
                gevent.sleep(RETRY_S)
        self._greenlets = [gevent.spawn(self._pump), gevent.spawn(self._listen)]

    def close(self) -> None:
        """Stop sending and hang up; what is not acknowledged by now is lost."""
        self._closing = True
        gevent.killall(self._greenlets, block=False)
        self._hang_up()

    # --- what the plugin says -----------------------------------------------------------------------------

    def open_run(self, message: OpenRun) -> None:
        """Announce a run (owner only)."""
        self._current = Track(open_run=encode(message), run=message.run)
        self._tracks.append(self._current)
        self._say(encode(message))

    def open_process(self, message: OpenProcess) -> None:
        """Start this process's stream in a run."""
        if self._current is None or self._current.run != message.run:
            self._current = Track(run=message.run)
            self._tracks.append(self._current)
        # A process that went on unrecorded has filled it with requests that belong to no stream.
        self._handover.take()
        self._current.process = message.process
        self._current.open_process = message
        self._say(encode(message))

    def close_process(
        self,
        produced: int,
        dropped: dict[str, int],
        closed_at: float,
        clock: tuple[float, float] | None = None,
    ) -> None:
        """Send what is held and end the stream; *produced* and *dropped* are its final totals.

        *clock* is as in `CloseProcess`.
        """
        track = self._current
        if track is None or track.process is None or track.is_closed:
            return
        self._collect(final=True)
        if late := self._handover.dropped.pop("link_error", 0):
            dropped["link_error"] = dropped.get("link_error", 0) + late
        message = CloseProcess(
            track.process, track.next_number(), produced, dropped, closed_at, self._arrivals(), clock
        )
        self._say(track.keep(message.number, encode(message)))
        track.is_closed = True

    def stop_run(self, message: StopRun) -> None:
        """Say that the test has stopped (owner only)."""
        track = next((one for one in self._tracks if one.run == message.run), None)
        if track is not None:
            track.stop_run = encode(message)
            self._say(track.stop_run)

    def wait_run_opened(self, run: str, timeout_s: float) -> bool:
        """Wait until the run is in the database."""
        return self._wait(lambda: run in self._opened_runs, timeout_s)

    def wait_acknowledged(self, timeout_s: float) -> bool:
        """Wait until everything sent so far is on disk."""
        return self._wait(lambda: not any(track.unacked for track in self._tracks), timeout_s)

    def wait_verdict(self, run: str, timeout_s: float) -> VerdictReached | None:
        """Wait for the run to be finalised; None when that takes too long."""
        self._wait(lambda: run in self._verdicts, timeout_s)
        return self._verdicts.get(run)

    def _wait(self, reached: Callable[[], bool], timeout_s: float) -> bool:
        deadline = time.monotonic() + timeout_s
        while not reached():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._changed.clear()
            self._changed.wait(min(left, 0.25))
        return True

    # --- sending ------------------------------------------------------------------------------------------

    def _say(self, body: bytes) -> None:
        self._outgoing.append(body)
        self._wake.set()

    def _pump(self) -> None:
        while not self._closing:
            self._wake.wait(TICK_S)
            self._wake.clear()
            try:
                if self._socket is None:
                    self._reconnect()
                self._collect()
                self._send_outgoing()
            except OSError:
                self._hang_up()
                gevent.sleep(RETRY_S)
            except Exception as error:  # noqa: BLE001 - guard line: the link must outlive its own mistakes
                self._warn(f"the link to the recorder failed and starts anew ({error!r})")
                self._hang_up()
                gevent.sleep(1.0)

    def _send_outgoing(self) -> None:
        while self._outgoing:
            self._socket.sendall(frame(self._outgoing[0]))
            self._outgoing.popleft()

    def _collect(self, *, final: bool = False) -> None:
        track = self._current
        if track is None or track.process is None or track.is_closed:
            return
        now = time.time()
        if not final and sum(one.unacked_bytes for one in self._tracks) > WINDOW_BYTES:
            return
        # Whatever may fail comes before anything is taken.
        dropped, produced, users = dict(self._handover.dropped), self._produced(), self._users()
        arrivals = self._arrivals()
        held = self._handover.take()
        if not held and now - self._heartbeat_at < 1.0:
            return
        self._heartbeat_at = now
        for count, body in held or [(0, bytearray())]:
            try:
                number = track.next_number()
                records = encoded_records(count, body)
                message = Frame(track.process, number, produced, dropped, users, now, records, arrivals)
                self._outgoing.append(track.keep(number, encode(message)))
            except Exception as error:  # noqa: BLE001 - guard line: counted, and the next chunk goes on
                self._handover.drop("link_error", count)
                self._warn(f"{count} records could not be framed ({error!r})")

    # --- receiving ----------------------------------------------------------------------------------------

    def _listen(self) -> None:
        unframer, heard = Unframer(), None
        while not self._closing:
            sock = self._socket
            if sock is None:
                gevent.sleep(TICK_S)
                continue
            if sock is not heard:
                unframer, heard = Unframer(), sock
            try:
                data = sock.recv(65536)
                if not data:
                    raise ConnectionResetError("the recorder hung up")
                for body in unframer.feed(data):
                    self._hear(decode_downlink(body))
            except (OSError, FramingError):
                if sock is self._socket:
                    self._hang_up()
            except Exception as error:  # noqa: BLE001 - guard line
                self._warn(f"a message of the recorder could not be read ({error!r})")

    def _hear(self, message: Downlink) -> None:
        match message:
            case Ack():
                for track in self._tracks:
                    if track.process == message.process:
                        track.acknowledge(message.number)
                self._forget_finished()
            case RunOpened():
                self._opened_runs.add(message.run)
            case VerdictReached():
                self._verdicts[message.run] = message
                self._forget_finished()
            case StopRequested():
                self._on_stop_requested(message.run)
            case Unrecorded():
                logger.error("Streamlab: %s; this process goes on unrecorded", message.message)
                self._tracks = [track for track in self._tracks if track.process != message.process]
                if self._current is not None and self._current.process == message.process:
                    self._current = None
            case Refused() | Notice():
                self._relay(message.message)
        self._changed.set()

    def _forget_finished(self) -> None:
        self._tracks = [track for track in self._tracks if not track.is_finished(self._verdicts)]

    # --- connecting ---------------------------------------------------------------------------------------

    def _reconnect(self) -> None:
        # A recorder that has hung up may do so again: it waits for a database that does not answer.
        gevent.sleep(max(0.0, self._dialled_at + RETRY_S - time.monotonic()))
        self._dialled_at = time.monotonic()
        self._start_recorder()
        try:
            self._socket = dial(self._path, self._hello_again, CONNECT_TIMEOUT_S)
        except RefusedError as error:
            self._warn(str(error))
            raise ConnectionRefusedError(str(error)) from error
        self._outgoing = deque(body for track in self._tracks for body in track.retold())

    def _relay(self, text: str) -> None:
        """Log what the recorder says; the same words once in 10 s."""
        now = time.monotonic()
        if now >= self._said.get(text, 0.0):
            if len(self._said) >= SAID_LIMIT:
                self._said.clear()
            self._said[text] = now + 10.0
            logger.warning("Streamlab: %s", text)

    def _warn(self, what: str) -> None:
        """Log *what*, one line per 10 s at most."""
        now = time.monotonic()
        if now >= self._next_warning_at:
            self._next_warning_at = now + 10.0
            logger.warning("Streamlab: %s", what)

    def _hang_up(self) -> None:
        sock, self._socket = self._socket, None
        if sock is not None:
            sock.close()
