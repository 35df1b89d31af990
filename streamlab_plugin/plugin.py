"""The Locust side, composition root: roles, life cycle, and the only knowledge of Locust's events.

Nothing starts at import: ``--processes`` forks after the locustfile has been read. Everything is built in
``init``; until the first request Streamlab may refuse to start, afterwards it never stops a test.
"""

from __future__ import annotations

import atexit
import functools
import gc
import logging
import os
import signal
import sys
from argparse import Namespace
from collections.abc import Callable
from typing import Any

import gevent
import locust
from gevent import GreenletExit
from gevent.event import Event
from locust.runners import MasterRunner, WorkerRunner

from streamlab_plugin import config, preflight
from streamlab_plugin.core.errors import EXIT_NO_VERDICT, StreamlabError
from streamlab_plugin.privacy.log import install_cleaning
from streamlab_plugin.privacy.policy import ALLOW_UNSAFE
from streamlab_plugin.session import VERDICT_S, Session
from streamlab_plugin.store.url import fingerprint
from streamlab_plugin.users import clock_offset, closing
from streamlab_plugin.users.joining import runner_of, workers_of
from streamlab_plugin.users.options import checked_options, end_test

logger = logging.getLogger(__name__)

# How long the end of a stream waits for connections that still drain.
CLOSING_S = 3.0

# The thresholds that versions of Python come with. Thousands of users live long and wait all the time: with
# these the collector looks at all of them every few seconds, which stops the process for up to a second and
# is measured as latency.
_USUAL_COLLECTING = {(700, 10, 10), (2_000, 10, 10), (2_000, 10, 0)}
_RARE_COLLECTING = (10_000, 20, 50)

_OPTIONS = {
    "rules": "rules file (YAML) instead of the packaged one",
    "privacy": "privacy policy (YAML) instead of the packaged one",
    "slo": "objectives (YAML) that decide the exit code of this run",
}


def install(environment: Any = None) -> None:
    """Switch Streamlab on: for every environment that Locust creates, or for one given *environment*.

    Call it at the top of a locustfile. A second call changes nothing. With an *environment* (Locust as a
    library) the recorder is started at once and everything is closed at exit.

    Raises:
        SystemExit: with *environment* only; settings or database cannot be used (codes in docs/cli.md).
    """
    if os.name == "nt":
        print("Streamlab works on Linux and macOS; on Windows it stays inactive.", file=sys.stderr)
        return
    events: Any = locust.events if environment is None else environment.events
    if getattr(events, "streamlab_plugin", None) is not None:
        return
    plugin = events.streamlab_plugin = Plugin()
    events.init_command_line_parser.add_listener(add_options)
    events.init.add_listener(plugin.on_init)
    events.test_start.add_listener(plugin.on_test_start)
    events.test_stop.add_listener(plugin.on_test_stop)
    events.quitting.add_listener(plugin.on_quitting)
    if environment is not None:
        plugin.on_init(environment=environment, runner=environment.runner, web_ui=environment.web_ui)


def add_options(parser: Any, **_arguments: Any) -> None:
    """Add Streamlab's options to Locust's command line; none of them may hold a secret."""
    for kind, text in _OPTIONS.items():
        parser.add_argument(
            f"--streamlab-{kind}", metavar="FILE", default=None, help=text, include_in_web_ui=False,
            env_var=f"LOCUST_STREAMLAB_{kind.upper()}",
        )  # fmt: skip
    parser.add_argument(
        "--streamlab-allow-unsafe", action="store_true", default=False, include_in_web_ui=False,
        help="let the privacy policy keep what is always removed; recorded in the run",
    )  # fmt: skip


def guarded(listener: Callable[..., None]) -> Callable[..., None]:
    """Let no mistake of a listener reach Locust, where it would turn the test's exit code to 2."""

    @functools.wraps(listener)
    def call(self: Plugin, **arguments: Any) -> None:
        try:
            listener(self, **arguments)
        except Exception as error:  # guard line: the test goes on
            logger.error("Streamlab: %s failed (%r); the test goes on", listener.__name__, error)
            logger.debug("details", exc_info=True)

    return call


class Plugin:
    """One Locust process's part in Streamlab."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._environment: Any = None
        self._slo_is_chosen = False
        self._is_built = False
        self._is_off = False
        self._quitting: Event | None = None
        self._clock: clock_offset.ClockOffset | None = None

    # --- Locust's events ----------------------------------------------------------------------------------

    def on_init(self, environment: Any, runner: Any = None, web_ui: Any = None, **_arguments: Any) -> None:
        """Build everything, or refuse to start with one line and a documented exit code."""
        if self._is_built:
            return
        self._is_built = True
        try:
            session = self._prepare(environment, runner)
            if web_ui is not None:
                from streamlab_plugin.web.attach import attach  # Flask only where there are pages

                # Before anything waits: a web UI that has answered takes no more pages.
                attach(web_ui, session.settings.database_url, lambda: session.run)
            session.connect()
        except StreamlabError as error:
            print(f"streamlab: {error}", file=sys.stderr, flush=True)
            sys.exit(error.exit_code)
        except Exception as error:  # guard line: a mistake of ours is no reason to refuse a test
            if self._session is not None:
                self._session.gate.close()
            self._session, self._is_off = None, True
            logger.error("Streamlab: on_init failed (%r); the test goes on unrecorded", error)
            logger.debug("details", exc_info=True)
            return
        atexit.register(self._close_at_exit)
        # Behind the test's own listeners, which may still set options.
        environment.events.test_start.add_listener(self.on_test_started)
        if runner is not None:
            _treat_hangup_as_termination()
            _deliver_interrupts_to_locust()
        if session.role == "master":
            environment.events.worker_connect.add_listener(session.worker_joined)
            runner.register_message(clock_offset.QUESTION, clock_offset.answer)

    def _prepare(self, environment: Any, runner: Any) -> Session:
        """Build the session and put the gate in place, without giving way to another greenlet."""
        if self._session is None:
            options = environment.parsed_options or Namespace()
            chosen = {kind: getattr(options, f"streamlab_{kind}", None) for kind in (*_OPTIONS, ALLOW_UNSAFE)}
            settings = config.load(chosen)
            install_cleaning(settings.error_reducer())
            self._slo_is_chosen = not settings.is_packaged("slo")
            self._environment = environment
            self._session = Session(
                settings, role_of(runner), lambda: _users(environment), lambda: _stop(environment)
            )
            self._session.gate.install(environment.events)
        return self._session

    @guarded
    def on_test_start(self, environment: Any, **_arguments: Any) -> None:
        """Open the run (owner) and this process's stream."""
        if self._is_off:
            return
        _collect_rarely()
        # A worker may be told to start while its `init` still waits for the recorder, or even before.
        session = self._prepare(environment, runner_of(environment))
        if environment.parsed_options is None:
            environment.parsed_options = Namespace()
        options = environment.parsed_options
        self._check_machine(environment=environment)
        if session.role == "worker":
            self._ask_for_the_time(runner=environment.runner)
            session.join_run(
                getattr(options, "streamlab_run", None), getattr(options, "streamlab_database", None)
            )
            return
        options.streamlab_run = session.open_run(
            name=getattr(environment, "streamlab_name", None),
            host=environment.host or _host_of(environment),
            locustfile=environment.locustfile or "",
            workers=workers_of(environment.runner),
        )
        options.streamlab_database = fingerprint(session.settings.database_url)

    @guarded
    def _ask_for_the_time(self, runner: Any) -> None:
        if self._clock is None:
            self._clock = clock_offset.ClockOffset(runner)
            assert self._session is not None
            self._session.clock = self._clock.estimate
        self._clock.begin()

    @guarded
    def _check_machine(self, environment: Any) -> None:
        workers = len(workers_of(environment.runner))
        preflight.before_test(environment, role_of(environment.runner), workers)

    @guarded
    def on_test_started(self, environment: Any, **_arguments: Any) -> None:
        """Let no user come whose options cannot be used: a line for each class, and the test ends.

        Raises:
            GreenletExit: ends the greenlet in which Locust would spawn them.
        """
        if self._is_off or role_of(environment.runner) == "worker":
            return  # the master has the same classes
        wrong, odd = checked_options(environment)
        for line in odd:
            logger.warning("Streamlab: %s", line)
        if not wrong:
            return
        for line in wrong:
            logger.error("Streamlab: %s; the test does not start", line)
        if self._session is not None:
            self._session.call_off()
        end_test(environment)
        raise GreenletExit

    @guarded
    def on_test_stop(self, environment: Any, **_arguments: Any) -> None:
        """End this process's stream; the owner says that the test has stopped."""
        if self._session is not None:
            closing.wait(environment, CLOSING_S)
            self._session.end_run()
            if self._clock is not None:
                self._clock.end()

    def on_quitting(self, environment: Any, **_arguments: Any) -> None:
        """Stop what still runs, wait for the verdict and set the exit code; Locust may call this twice."""
        if self._session is None:
            is_owner = role_of(environment.runner) != "worker"
            if self._is_off and is_owner and self._slo_is_chosen and environment.process_exit_code is None:
                environment.process_exit_code = EXIT_NO_VERDICT
            return
        if self._quitting is not None:
            self._quitting.wait(VERDICT_S + 10)
            return
        self._quitting = Event()
        try:
            self._quit(environment=environment)
        finally:
            self._quitting.set()

    @guarded
    def _quit(self, environment: Any) -> None:
        session = self._session
        assert session is not None
        if environment.runner is not None:
            # Users still run here after a signal, and workers have been told nothing yet.
            environment.runner.quit()
        closing.wait(environment, CLOSING_S)
        session.end_run()
        outcome = session.wait_end()
        if outcome is not None and self._slo_is_chosen and environment.process_exit_code is None:
            environment.process_exit_code = outcome
        session.close()

    # --- endings that Locust does not announce ------------------------------------------------------------

    def _close_at_exit(self) -> None:
        """Close for a library user or ``run_single_user``, where Locust fires no event."""
        session, self._session = self._session, None
        if session is None or self._quitting is not None:
            return
        try:
            closing.wait(self._environment, CLOSING_S)
            session.end_run()
            session.wait_end()
            session.close()
        except Exception as error:  # noqa: BLE001 - guard line: the process is ending anyway
            logger.debug("Streamlab: closing at exit failed: %r", error)


def role_of(runner: Any) -> str:
    """Return ``master``, ``worker`` or ``standalone``."""
    if isinstance(runner, MasterRunner):
        return "master"
    return "worker" if isinstance(runner, WorkerRunner) else "standalone"


def _collect_rarely() -> None:
    """Spare the garbage collector what is there before the users; whoever has tuned it keeps that."""
    if gc.get_threshold() in _USUAL_COLLECTING:
        gc.freeze()
        gc.set_threshold(*_RARE_COLLECTING)


def _users(environment: Any) -> int:
    runner = environment.runner
    return 0 if runner is None or isinstance(runner, MasterRunner) else int(runner.user_count)


def _stop(environment: Any) -> None:
    """End the test as the Stop button or, without a web UI, Ctrl-C would; returns at once."""
    runner = environment.runner
    if runner is not None:
        gevent.spawn(runner.quit if environment.web_ui is None else runner.stop)


def _host_of(environment: Any) -> str:
    hosts = {user.host for user in environment.user_classes if user.host}
    return ", ".join(sorted(hosts))


def _treat_hangup_as_termination() -> None:
    """SIGHUP would kill a master and orphan its workers; end the test in order instead."""
    if signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        gevent.signal_handler(signal.SIGHUP, os.kill, os.getpid(), signal.SIGTERM)


def _deliver_interrupts_to_locust() -> None:
    """Let Ctrl-C reach Locust where it waits for it, not whichever greenlet happens to run.

    Python raises KeyboardInterrupt in the running greenlet: a user in mid-request, or our own link, which
    could then not send the end of its stream. A second Ctrl-C is raised at once.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    hub = gevent.get_hub()

    def on_interrupt(_number: int, _frame: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        hub.loop.run_callback_threadsafe(hub.handle_system_error, KeyboardInterrupt, KeyboardInterrupt())

    signal.signal(signal.SIGINT, on_interrupt)
