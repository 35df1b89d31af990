"""A target for each test that asks for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from target_process import Target, started


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Target]]:
    """Return a function that starts a target; the test's targets are ended with it."""
    targets: list[Target] = []

    def begin(*options: str) -> Target:
        targets.append(started(tmp_path / f"oracle-{len(targets)}.jsonl", *options))
        return targets[-1]

    yield begin
    for target in targets:
        target.process.kill()
        target.process.wait()
        assert target.process.stdout is not None
        target.process.stdout.close()
