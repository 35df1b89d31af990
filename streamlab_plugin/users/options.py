"""Options of user classes that cannot be used: told in one line, and the test ends.

Each of Streamlab's user classes has ``check_options``, so that a mistake is found before the first user is
there. Its constructor checks the same, for options that only it has: there the test ends in the midst of
spawning, when other users are at work already.
"""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import gevent
from gevent import GreenletExit
from locust.exception import StopTest
from locust.runners import LocalRunner

from streamlab_plugin.core.errors import EXIT_CONFIG

logger = logging.getLogger(__name__)


def checked_options(environment: Any) -> tuple[list[str], list[str]]:
    """Return what is wrong with the options of user classes, and what has no effect.

    Each line names class, attribute and value. Classes with a constructor of their own, which may set
    options, are left to it.
    """
    wrong, odd = [], []
    for user_class in environment.user_classes:
        host = environment.host or user_class.host
        if not _is_settled(user_class) or not isinstance(host, str | None):
            continue
        try:
            odd += [f"{user_class.__name__}.{line}" for line in user_class.check_options(host)]
        except ValueError as error:
            wrong.append(f"{user_class.__name__}.{error}")
    return wrong, odd


def refuse(user: Any, environment: Any, error: ValueError) -> NoReturn:
    """End the test over an option of *user*; *error* begins with the attribute's name.

    Raises:
        GreenletExit: Where Locust spawns users in this process: it ends that, and the line is in the log.
        StopTest: Anywhere else.
    """
    line, runner = f"{type(user).__name__}.{error}", environment.runner
    if not isinstance(runner, LocalRunner) or gevent.getcurrent() is not runner.spawning_greenlet:
        raise StopTest(line) from None
    logger.error("Streamlab: %s; the test ends", line)
    end_test(environment)
    raise GreenletExit


def end_test(environment: Any) -> None:
    """End the test over a mistake of its author: with its exit code or, with a web UI, as its Stop button."""
    if environment.web_ui is None:
        environment.process_exit_code = EXIT_CONFIG
        gevent.spawn(environment.runner.quit)
    else:
        gevent.spawn(environment.runner.stop)


def _is_settled(user_class: type) -> bool:
    """Whether a class is one of Streamlab's and its attributes are what its users will have."""
    for cls in user_class.__mro__:
        if "check_options" in vars(cls):
            return True
        if "__init__" in vars(cls):
            return False
    return False
