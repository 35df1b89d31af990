from __future__ import annotations

import subprocess
import sys

IMPORTS = """
import sys
import streamlab_plugin.users.closing
print([name for name in ("locust", "paho", "websocket", "msgspec") if name in sys.modules])
"""

WAITING = """
import gevent
from gevent.pool import Group
from types import SimpleNamespace
from streamlab_plugin.users import closing
environment = SimpleNamespace(runner=None, stop_timeout=None)
done = []
def drain(seconds):
    gevent.sleep(seconds)
    done.append(seconds)
nothing = closing.wait(environment, 1.0)
closing.closers(environment).spawn(drain, 0.01)
short = closing.wait(environment, 5.0)
closing.closers(environment).spawn(drain, 60)
long = closing.wait(environment, 0.01)
closing.closers(environment).kill()
ended = gevent.spawn(lambda: None)
ended.rawlink(lambda _: closing.closers(environment).spawn(drain, 0.02))
while not ended.ready():
    gevent.sleep(0)
linked = closing.wait(environment, 5.0)
environment.runner = SimpleNamespace(user_greenlets=Group())
user = environment.runner.user_greenlets.spawn(gevent.sleep, 0.05)
user.rawlink(lambda _: closing.closers(environment).spawn(drain, 0.03))
ending = closing.wait(environment, 5.0)
own = environment.runner.user_greenlets.spawn(closing.wait, environment, 60.0)
own.join(timeout=1.0)
print([nothing, short, long, linked, ending, own.ready(), done])
"""


def output_of(script: str) -> str:
    """Run *script* in a fresh interpreter."""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout


class TestClosing:
    def test_imports_only_gevent(self) -> None:
        """The plugin may import it where no user of ours is used."""
        assert output_of(IMPORTS) == "[]\n"

    def test_waits_for_closers_at_most_so_long(self) -> None:
        """Short drains are waited for, also those of users that are still ending; a long one is not."""
        assert output_of(WAITING) == "[True, True, False, True, True, True, [0.01, 0.02, 0.03]]\n"
