"""Let Streamlab's own functions raise, at random, in a Locust process or in the recorder.

``FAULT_INJECT`` is JSON: ``seed``, ``probability`` of each call (among several hooks: of a frequent one), and
the ``hooks`` by name, as in the tuples below; ``once`` lets only the first call of each raise, always. The
locustfile patches its own process, a recorder is patched by a ``sitecustomize``. Each exception leaves a line
with the hook's name in ``injected-PID.log`` of the folder ``FAULT_FOLDER``.
"""

from __future__ import annotations

import functools
import importlib
import itertools
import json
import os
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

_P = "streamlab_plugin."
# Run for each request. All others are hit less often: a recorder that dies at each step does no work at all.
FREQUENT = (
    _P + "core.handover:Handover.put",
    _P + "recorder.stream:Stream._process",
    _P + "recorder.stream:Stream._count",
)
SELDOM = 1 / 50
# The first calls open the stream: without it there is nothing to record into, as with the hooks below.
SPARED = {_P + "link.client:encode": 5}
# Run for each request, each tick of the link, each line of the log.
LOCUST_HOOKS = (
    _P + "core.handover:Handover.put",
    _P + "core.handover:Handover.take",
    _P + "gate:Gate._template",
    _P + "privacy.exception:ExceptionCleaner.clean",
    _P + "privacy.log:clean_log_text",
    _P + "link.client:Client._collect",
    _P + "link.client:Client._send_outgoing",
    _P + "link.client:Client._hear",
    _P + "link.track:Track.acknowledge",
    _P + "link.client:encode",
    _P + "plugin:_users",
)
RECORDER_HOOKS = (
    _P + "link.server:decode_uplink",
    _P + "link.server:Connection.send",
    _P + "recorder.desk:Desk._frame",
    _P + "recorder.stream:Stream.receive",
    _P + "recorder.stream:Stream._process",
    _P + "recorder.stream:Stream._count",
    _P + "recorder.stream:Stream.take",
    _P + "recorder.storage:Storage.keep",
    _P + "recorder.storage:Storage.replay",
    _P + "store.writer:Writer.write",
    _P + "store.writer:Writer._register",
    _P + "store.writer:Writer._store",
    _P + "recorder.loop:Recorder._watch_run",
    _P + "recorder.watch:Watch.step",
    _P + "recorder.housekeeping:Housekeeping._work",
)
# Run once, when a test begins: without them there is nothing to record into.
OPENING_HOOKS = (
    _P + "plugin:_collect_rarely",
    _P + "session:Session.open_run",
    _P + "session:Session.end_run",
    _P + "link.client:Client.open_run",
    _P + "link.client:Client.open_process",
    _P + "gate:Gate.open",
)
# Run once, before a test can begin.
INIT_HOOKS = (
    _P + "plugin:role_of",
    _P + "session:Session.connect",
)
# Run a few times in a run.
RARE_LOCUST_HOOKS = (
    _P + "plugin:workers_of",
    _P + "plugin:fingerprint",
    _P + "users.closing:wait",
    _P + "session:Session.wait_end",
    _P + "session:Session.close",
    _P + "link.client:Client.close_process",
    _P + "link.client:Client.stop_run",
    _P + "link.client:Client.wait_verdict",
    _P + "gate:Gate.close",
)
RARE_RECORDER_HOOKS = (
    _P + "recorder.desk:Desk._hello",
    _P + "recorder.desk:Desk._open_run",
    _P + "recorder.desk:Desk._open_process",
    _P + "recorder.desk:Desk._close_process",
    _P + "recorder.desk:Desk._stop_run",
    _P + "recorder.desk:Desk.lose",
    _P + "recorder.desk:make_run",
    _P + "recorder.stream:Stream.close",
    _P + "recorder.loop:may_finalise",
    _P + "recorder.loop:finalise",
    _P + "recorder.finalise:decide",
    _P + "recorder.finalise:degradations",
)
IN_LOCUST = {*LOCUST_HOOKS, *INIT_HOOKS, *OPENING_HOOKS, *RARE_LOCUST_HOOKS}
IN_RECORDER = {*RECORDER_HOOKS, *RARE_RECORDER_HOOKS}
ERRORS: tuple[Callable[[], Exception], ...] = (
    lambda: ValueError("injected"),
    lambda: KeyError("injected"),
    lambda: TypeError("injected"),
    lambda: AttributeError("injected"),
    lambda: RuntimeError("injected"),
    lambda: OSError(5, "injected"),
    lambda: ZeroDivisionError("injected"),
    lambda: AssertionError("injected"),
    lambda: RecursionError("injected"),
    lambda: MemoryError("injected"),
    lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "injected"),
    lambda: StopIteration("injected"),
)


def variables(
    folder: Path, seed: int, hooks: Iterable[str], probability: float = 1.0, once: bool = False
) -> dict[str, str]:
    """Return the environment in which *hooks* raise, for Locust and the recorder that it starts."""
    plan = {"seed": seed, "probability": probability, "hooks": list(hooks), "once": once}
    return {
        "FAULT_INJECT": json.dumps(plan),
        "FAULT_FOLDER": str(folder),
        "PYTHONPATH": os.pathsep.join((str(_site_folder(folder)), str(Path(__file__).parent))),
    }


def injected(folder: Path) -> Counter[str]:
    """Return how often each hook has raised."""
    lines = [line for path in folder.glob("injected-*.log") for line in path.read_text().splitlines()]
    return Counter(lines)


def _site_folder(folder: Path) -> Path:
    """Return a folder whose ``sitecustomize`` patches a recorder; Python imports it before anything else."""
    site = folder / "site"
    site.mkdir(parents=True, exist_ok=True)
    (site / "sitecustomize.py").write_text("import fault_injection\n\nfault_injection.patch_recorder()\n")
    return site


def patch_locust() -> None:
    """Patch this Locust process if the environment says so; before Streamlab is installed."""
    _patch(IN_LOCUST)


def patch_recorder() -> None:
    """Patch this process if it is a recorder."""
    if "streamlab_plugin.recorder" in sys.orig_argv:
        _patch(IN_RECORDER)


def _patch(known: set[str]) -> None:
    plan = json.loads(os.environ.get("FAULT_INJECT", "{}"))
    wanted = [name for name in plan.get("hooks", ()) if name in known]
    chance = random.Random(f"{plan.get('seed')} {os.getpid()}")
    for name in wanted:
        owner, last = _place_of(name)
        setattr(owner, last, _raising(getattr(owner, last), name, chance, plan))


def _place_of(name: str) -> tuple[Any, str]:
    """Return what has the hook *name*, and what it is called there."""
    module, _, path = name.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, last = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    return owner, last


def _raising(function: Any, name: str, chance: random.Random, plan: dict[str, Any]) -> Any:
    folder = os.environ["FAULT_FOLDER"]
    done = Path(folder) / f"once-{name.replace(':', '-')}"

    alone = len(plan["hooks"]) == 1
    probability = plan["probability"] * (1 if alone or name in FREQUENT else SELDOM)

    calls = itertools.count()

    def is_due() -> bool:
        if not plan["once"]:
            return next(calls) >= SPARED.get(name, 0) and chance.random() < probability
        if done.exists():
            return False
        done.touch()
        return True

    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        if is_due():
            with open(f"{folder}/injected-{os.getpid()}.log", "a") as log:
                log.write(f"{name}\n")
            raise chance.choice(ERRORS)()
        return function(*arguments, **options)

    return call


if __name__ == "__main__":  # print the hooks that are nowhere any more
    for known in IN_LOCUST | IN_RECORDER:
        if not hasattr(*_place_of(known)):
            print(known)
