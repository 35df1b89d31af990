"""A run as this recorder knows it: its settings compiled, its streams, its state."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamlab_plugin.detect.drift import SchemaDrift
from streamlab_plugin.detect.judge import Judge, compile_rules
from streamlab_plugin.detect.rule import RuleSet, parse_rules
from streamlab_plugin.privacy.policy import Policy, parse_policy
from streamlab_plugin.slo.objective import Objectives, parse_objectives

if TYPE_CHECKING:
    from streamlab_plugin.link.server import Connection
    from streamlab_plugin.recorder.stream import Stream
    from streamlab_plugin.store.run_writer import RunRow


@dataclass(frozen=True, slots=True)
class Compiled:
    """The settings of a run, ready to use."""

    policy: Policy
    rules: RuleSet
    judge: Judge
    objectives: Objectives


def compile_settings(body: str | bytes) -> Compiled:
    """Compile the JSON that the owner sent with the run.

    Raises:
        ConfigError, ValueError: the settings are not those of this version.
    """
    data = json.loads(body)
    rules = parse_rules(data["rules"])
    return Compiled(
        parse_policy(data["privacy"]), rules, compile_rules(rules.rules), parse_objectives(data["slo"])
    )


@dataclass(slots=True)
class Run:
    """One run: what all of its streams share, and for the owner's recorder how it ends."""

    row: RunRow
    settings: Compiled
    drift: SchemaDrift | None
    streams: dict[str, Stream] = field(default_factory=dict)
    key: int | None = None  # in the database, once it is known
    owner: Connection | None = None  # set only in the recorder beside the owner
    owner_left_at: float | None = None  # monotonic; the owner hung up before the test had stopped
    stopped_at: float | None = None
    stop_heard_at: float | None = None  # monotonic
    expected_workers: int = 0
    problems: list[str] = field(default_factory=list)
    stop_is_requested: bool = False


def make_run(row: RunRow) -> Run:
    """Build the shared part of a run from its stored form."""
    settings = compile_settings(row.settings)
    drift = SchemaDrift(settings.rules.drift.min_records) if settings.rules.drift else None
    return Run(row, settings, drift)
