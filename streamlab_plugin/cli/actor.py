"""Who gives an order, for the tables that keep note of it."""

from __future__ import annotations

import getpass
import os


def actor() -> str:
    """Return the operating system's name of the user, or the number where there is no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())  # a container's user may have no name
