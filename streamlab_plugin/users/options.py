"""What cannot be used of the options of user classes, found before the first user is there.

Each of Streamlab's user classes has ``check_options``, whose checks its constructor makes too: there a
mistake would end the run in the midst of spawning, when other users are at work already.
"""

from __future__ import annotations

from typing import Any


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


def _is_settled(user_class: type) -> bool:
    """Whether a class is one of Streamlab's and its attributes are what its users will have."""
    for cls in user_class.__mro__:
        if "check_options" in vars(cls):
            return True
        if "__init__" in vars(cls):
            return False
    return False
