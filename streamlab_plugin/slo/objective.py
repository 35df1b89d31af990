"""What a run has to reach."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.core.record import PROTOCOLS
from streamlab_plugin.slo.reading import (
    Path,
    read_count,
    read_mapping,
    read_number,
    read_switch,
    refuse_unknown,
)

MAX_ERROR_RATE = "max_error_rate"
MAX_P95_LATENCY_MS = "max_p95_latency_ms"
MIN_THROUGHPUT_RPS = "min_throughput_rps"
NAMES = (MAX_ERROR_RATE, MAX_P95_LATENCY_MS, MIN_THROUGHPUT_RPS)

MIN_SAMPLES = 50


@dataclass(frozen=True, slots=True)
class Objectives:
    """Limits by protocol and objective name, and how many samples a judgement takes.

    Exchanges that injected faults touched count only with *include_injected_faults*.
    """

    limits: Mapping[str, Mapping[str, float]]
    min_samples: int = MIN_SAMPLES
    include_injected_faults: bool = False


def parse_objectives(data: object) -> Objectives:
    """Check a parsed objectives document and return its values.

    Raises:
        ConfigError: A key is unknown, a value is out of range or of the wrong type, or no objective is given.
    """
    document = read_mapping(data, ())
    refuse_unknown(document, ("objectives", "min_samples", "include_injected_faults"), ())
    protocols = read_mapping(document.get("objectives"), ("objectives",))
    refuse_unknown(protocols, PROTOCOLS, ("objectives",))
    if not protocols:
        raise ConfigError("there is no objective", path=("objectives",), remedy="add at least one protocol")
    limits = {name: _parse_limits(value, ("objectives", name)) for name, value in protocols.items()}
    return Objectives(
        limits,
        read_count(document.get("min_samples", MIN_SAMPLES), ("min_samples",), low=1),
        read_switch(document.get("include_injected_faults", False), ("include_injected_faults",)),
    )


def _parse_limits(data: object, path: Path) -> Mapping[str, float]:
    entry = read_mapping(data, path)
    refuse_unknown(entry, NAMES, path)
    if not entry:
        raise ConfigError("there is no objective", path=path, remedy=f"add one of {', '.join(NAMES)}")
    limits = {}
    for name, value in entry.items():
        here = (*path, name)
        limits[name] = (
            read_number(value, here, high=1.0) if name == MAX_ERROR_RATE else read_number(value, here)
        )
    return limits
