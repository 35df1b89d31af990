"""The results file: what `streamlab runs export --json` writes and `streamlab slo check FILE` judges.

A file that is cut off, edited or made by something else is an error, never a run that met its objectives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.core.ledger import Ledger
from streamlab_plugin.core.record import PROTOCOLS
from streamlab_plugin.core.wording import shown
from streamlab_plugin.slo.reading import (
    Path,
    read_count,
    read_key,
    read_mapping,
    read_number,
    read_text,
    refuse_unknown,
)
from streamlab_plugin.slo.verdict import ProtocolFacts, RunFacts

FORMAT = 1
_REMEDY = "write the file with: streamlab runs export --json"


@dataclass(frozen=True, slots=True)
class RunHeader:
    """Which run the results are of; times are epoch seconds, *stopped_at* is None while it runs."""

    id: str
    name: str
    started_at: float
    stopped_at: float | None


def results_dict(run: RunHeader, facts: RunFacts) -> dict[str, Any]:
    """Return the results file's document; `parse_results` is the way back to the facts."""
    return {
        "streamlab_results": FORMAT,
        "run": {
            "id": run.id,
            "name": run.name,
            "state": facts.state,
            "started_at": run.started_at,
            "stopped_at": run.stopped_at,
        },
        "duration_s": facts.duration_s,
        "protocols": {protocol: _protocol_dict(facts, protocol) for protocol in facts.protocols},
        "ledger": {**asdict(facts.ledger), "dropped": dict(facts.ledger.dropped)},
        "problems": list(facts.problems),
    }


def _protocol_dict(facts: RunFacts, protocol: str) -> dict[str, Any]:
    seen = facts.protocols[protocol]
    return {
        "count": seen.count,
        "errors": seen.errors,
        "answered": seen.answered,
        "interrupted": seen.interrupted,
        "faulted": seen.faulted,
        "latency_samples": seen.latency_samples,
        "p50_latency_ms": seen.p50_latency_ms,
        "p95_latency_ms": seen.p95_latency_ms,
        "p99_latency_ms": seen.p99_latency_ms,
        "throughput_rps": facts.throughput_rps(protocol),
        "error_rate": seen.error_rate,
    }


def parse_results(data: object) -> RunFacts:
    """Read a results document.

    Keys this version does not know are left alone; rates are computed again from the counts.

    Raises:
        ConfigError: It is no results document, or a key is missing, of the wrong type or contradicts another.
    """
    if not isinstance(data, Mapping) or "streamlab_results" not in data:
        raise ConfigError("this is no Streamlab results file", remedy=_REMEDY)
    version = data["streamlab_results"]
    if isinstance(version, bool) or version != FORMAT:
        raise ConfigError(
            f"results format {shown(version)} is not supported, only {FORMAT}",
            path=("streamlab_results",),
            remedy=_REMEDY,
        )
    run = _section(data, "run", ())
    for key in ("id", "name", "state"):
        read_text(read_key(run, key, ("run",), _REMEDY), ("run", key))
    read_number(read_key(run, "started_at", ("run",), _REMEDY), ("run", "started_at"))
    _optional_number(run, "stopped_at", ("run",))
    protocols = _section(data, "protocols", ())
    refuse_unknown(protocols, PROTOCOLS, ("protocols",))
    return RunFacts(
        state=read_text(run["state"], ("run", "state")),
        duration_s=read_number(read_key(data, "duration_s", (), _REMEDY), ("duration_s",)),
        protocols={name: _read_protocol(protocols, name) for name in protocols},
        ledger=_read_ledger(_section(data, "ledger", ())),
        problems=_read_problems(read_key(data, "problems", (), _REMEDY)),
    )


def _section(data: Mapping[str, object], key: str, path: Path) -> Mapping[str, object]:
    return read_mapping(read_key(data, key, path, _REMEDY), (*path, key))


def _count(data: Mapping[str, object], key: str, path: Path) -> int:
    return read_count(read_key(data, key, path, _REMEDY), (*path, key))


def _optional_number(data: Mapping[str, object], key: str, path: Path) -> float | None:
    value = read_key(data, key, path, _REMEDY)
    return None if value is None else read_number(value, (*path, key))


def _read_protocol(protocols: Mapping[str, object], name: str) -> ProtocolFacts:
    path: Path = ("protocols", name)
    entry = _section(protocols, name, ("protocols",))
    count, errors, answered, interrupted, samples = (
        _count(entry, key, path) for key in ("count", "errors", "answered", "interrupted", "latency_samples")
    )
    for key, part in (("errors", errors + interrupted), ("answered", answered), ("latency_samples", samples)):
        if part > count:
            raise ConfigError(
                f"{part:,} is more than the {count:,} requests", path=(*path, key), remedy=_REMEDY
            )
    p50, p95, p99, _, _ = (
        _optional_number(entry, key, path)
        for key in ("p50_latency_ms", "p95_latency_ms", "p99_latency_ms", "throughput_rps", "error_rate")
    )
    faulted = read_count(entry.get("faulted", 0), (*path, "faulted"))
    return ProtocolFacts(count, errors, answered, interrupted, samples, p95, p50, p99, faulted)


def _read_ledger(data: Mapping[str, object]) -> Ledger:
    path: Path = ("ledger",)
    dropped = _section(data, "dropped", path)
    return Ledger(
        produced=_count(data, "produced", path),
        stored=_count(data, "stored", path),
        spooled=_count(data, "spooled", path),
        pending=_count(data, "pending", path),
        quarantined=_count(data, "quarantined", path),
        dropped={reason: _count(dropped, reason, (*path, "dropped")) for reason in dropped},
        erased=read_count(data.get("erased", 0), (*path, "erased")),
    )


def _read_problems(data: object) -> tuple[str, ...]:
    if not isinstance(data, list):
        raise ConfigError(f"expected a list, got {shown(data)}", path=("problems",), remedy=_REMEDY)
    return tuple(read_text(item, ("problems", index)) for index, item in enumerate(data))
