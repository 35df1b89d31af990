"""``python -m streamlab_plugin.launch LOCUST-ARGUMENTS``: Locust with Streamlab switched on.

Any locustfile is recorded without an edit. Locust must be the very first import: it patches the standard
library, and requests imported before that recurses.
"""

from __future__ import annotations

import locust.main

# isort: split
from collections.abc import Callable

from streamlab_plugin import install

if __name__ == "__main__":
    install()
    start: Callable[[], None] = locust.main.main
    start()
