"""Runs driver scripts in children that begin with Locust and the users imported: that takes most of a second.

One order per line on standard input, JSON: the script's arguments, and the files for its two outputs. For
each, two lines are printed: the child's process id, and how it ended.
"""

from __future__ import annotations

import json
import os
import random
import runpy
import sys
import traceback
from typing import Any

import gevent.monkey
import gevent.os
import recorder  # noqa: F401 - with Locust

from streamlab_plugin.users import http, http_requests, mqtt, websocket  # noqa: F401


def main() -> None:
    """Obey orders until there are no more."""
    for line in sys.stdin:
        order = json.loads(line)
        child = gevent.os.fork_gevent()  # its loop is its own
        if child == 0:
            os._exit(_run(order))
        print(child, flush=True)
        _child, status = gevent.monkey.get_original("os", "waitpid")(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(order: dict[str, Any]) -> int:
    """Be the script."""
    for file, descriptor in ((os.devnull, 0), (order["out"], 1), (order["err"], 2)):
        opened = os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    random.seed()
    sys.argv = order["argv"]
    code = 0
    try:
        runpy.run_path(sys.argv[0], run_name="__main__")
    except BaseException as error:
        traceback.print_exc()
        code = error.code if isinstance(error, SystemExit) and isinstance(error.code, int) else 1
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    main()
