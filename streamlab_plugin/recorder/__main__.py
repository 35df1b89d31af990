"""``python -m streamlab_plugin.recorder --socket PATH``: started by the first Locust process on a host.

The database URL and the key file come through the environment, since the arguments of a process are public.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
from pathlib import Path

from streamlab_plugin.core.errors import StreamlabError
from streamlab_plugin.link.server import Server, claim

# Nice enough to leave the load generator in front, not so nice as to starve.
NICENESS = 3


def main() -> int:
    """Serve one socket until everybody has gone; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m streamlab_plugin.recorder")
    parser.add_argument("--socket", type=Path, required=True)
    path = parser.parse_args().socket
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s recorder %(process)d: %(message)s"
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    try:
        lock = claim(path, wait_s=10.0)
        if lock is None:
            return 0
        # Only the one that will serve loads the rest: several may have been started at the same moment.
        from streamlab_plugin.recorder.loop import Recorder
        from streamlab_plugin.store.spool import Spool
        from streamlab_plugin.store.spool_status import spool_capacity_bytes, spool_path

        _quieten_collector()
        url = os.environ["STREAMLAB_DATABASE_URL"]
        spool = Spool(spool_path(url), spool_capacity_bytes())
        # Not before: a test waits for a recorder that starts, long enough on a crowded machine.
        os.nice(NICENESS)
        return Recorder(Server(path), url, Path(os.environ["STREAMLAB_KEY_FILE"]), spool).serve()
    except StreamlabError as error:
        logging.error("%s", error)
        return error.exit_code
    except Exception:  # guard line: say why in the log beside the socket
        logging.exception("the recorder failed")
        return 1


def _quieten_collector() -> None:
    """Let the cyclic garbage collector look seldom: records are tuples without cycles, and there are many."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 20)


if __name__ == "__main__":
    sys.exit(main())
