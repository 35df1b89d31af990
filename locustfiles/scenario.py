"""The load of a scenario file: ``STREAMLAB_SCENARIO=my.yaml locust -f locustfiles/scenario.py --headless``.

`streamlab run` starts this file, too. Without the variable it is the packaged scenario ``http``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from streamlab_plugin import install
from streamlab_plugin.config import packaged, read_scenario
from streamlab_plugin.core.errors import StreamlabError
from streamlab_plugin.users.scripted import shape_class, user_classes

install()
try:
    path = os.environ.get("STREAMLAB_SCENARIO") or packaged("rules") / "scenarios" / "http.yaml"
    # Its redaction rules are checked where they are applied: `streamlab run` makes a policy of them.
    scenario = read_scenario(Path(path), allow_unsafe=True)
except StreamlabError as error:
    print(f"streamlab: {error}", file=sys.stderr)
    sys.exit(error.exit_code)

globals().update(user_classes(scenario))
Shape = shape_class(scenario)
