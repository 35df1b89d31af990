"""Schema drift: an endpoint that has settled on its shapes sends another one.

A shape is known by the hash of its keys and types. Once one shape of an endpoint has been seen often enough,
every shape seen until then is normal and every later one is drift.
"""

from __future__ import annotations

from dataclasses import dataclass

from streamlab_plugin.detect.fix import Fix

# The name under which drift appears among the rules.
DRIFT_RULE = "schema_drift"

HASH_LIMIT = 64
ENDPOINT_LIMIT = 10_000
MESSAGE_LIMIT = 200


@dataclass(frozen=True, slots=True)
class DriftRule:
    """How drift is reported; *min_records* is how often one shape must be seen before another is drift."""

    description: str
    severity: str
    anomaly_type: str = DRIFT_RULE
    min_records: int = 50
    tags: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()

    @property
    def name(self) -> str:
        """The rule name of its findings."""
        return DRIFT_RULE


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """A record whose shape is drift; *message* says what is gone, new or of another type."""

    message: str


_UNDECIDED = DriftFinding("")
_MANY_SHAPES = DriftFinding(f"another new shape, after {HASH_LIMIT} different ones")


class _Endpoint:
    """What is known of one endpoint."""

    __slots__ = ("counts", "has_settled", "is_shapeless", "shapes", "verdicts")

    def __init__(self) -> None:
        self.verdicts: dict[str, DriftFinding | None] = {}
        self.has_settled = False
        self.is_shapeless = False
        # Per hash, until the endpoint settles: how often seen, and with which paths.
        self.counts: dict[str, int] = {}
        self.shapes: dict[str, tuple[str, ...]] = {}


class SchemaDrift:
    """Watch the payload shapes of endpoints.

    Bounded: 64 shapes per endpoint and 10,000 endpoints. An endpoint that shows 64 shapes before it repeats
    one often enough has no fixed shape and never drifts; the shapes beyond 64 of one that has settled share a
    finding.

    Args:
        min_records: Records of one shape after which an endpoint has settled.
    """

    def __init__(self, min_records: int = 50) -> None:
        self._min_records = min_records
        self._endpoints: dict[str, _Endpoint] = {}

    def observe(self, endpoint_key: str, schema_hash: str, paths: tuple[str, ...]) -> DriftFinding | None:
        """Count a record with a payload; return a finding for every record whose shape is drift.

        Args:
            endpoint_key: What shapes are compared within, e.g. protocol, operation and endpoint.
            schema_hash: Hash of the payload's keys and types.
            paths: The same as ``path:type`` texts; the finding quotes them.
        """
        endpoint = self._endpoints.get(endpoint_key)
        if endpoint is None:
            if len(self._endpoints) >= ENDPOINT_LIMIT:
                return None
            endpoint = self._endpoints[endpoint_key] = _Endpoint()
        verdict = endpoint.verdicts.get(schema_hash, _UNDECIDED)
        if verdict is not _UNDECIDED:
            return verdict
        if endpoint.has_settled:
            return _judge(endpoint, schema_hash, paths)
        if not endpoint.is_shapeless:
            self._count(endpoint, schema_hash, paths)
        return None

    def _count(self, endpoint: _Endpoint, schema_hash: str, paths: tuple[str, ...]) -> None:
        seen = endpoint.counts.get(schema_hash, 0)
        if not seen:
            if len(endpoint.counts) >= HASH_LIMIT:
                endpoint.is_shapeless = True
                endpoint.counts, endpoint.shapes = {}, {}
                return
            endpoint.shapes[schema_hash] = paths
        endpoint.counts[schema_hash] = seen + 1
        if seen + 1 >= self._min_records:
            endpoint.verdicts.update(dict.fromkeys(endpoint.counts))
            endpoint.has_settled = True
            endpoint.counts = {}


def _judge(endpoint: _Endpoint, schema_hash: str, paths: tuple[str, ...]) -> DriftFinding:
    if len(endpoint.verdicts) >= HASH_LIMIT:
        return _MANY_SHAPES
    nearest = min(endpoint.shapes.values(), key=lambda shape: len(set(shape) ^ set(paths)))
    finding = DriftFinding(_difference(nearest, paths))
    endpoint.verdicts[schema_hash] = finding
    return finding


def _difference(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    """Say what distinguishes two shapes in at most 200 characters."""
    gone = [path for path in before if path not in after]
    new = [path for path in after if path not in before]
    types = {path.rpartition(":")[0]: path.rpartition(":")[2] for path in new}
    parts = []
    for path in gone:
        name, _, kind = path.rpartition(":")
        if name in types:
            other = types.pop(name)
            new.remove(f"{name}:{other}")
            parts.append(f"{name} changed from {kind} to {other}")
        else:
            parts.append(f"{path} gone")
    parts += [f"{path} new" for path in new]
    text = ", ".join(parts) or "same keys in another arrangement"
    return text if len(text) <= MESSAGE_LIMIT else f"{text[: MESSAGE_LIMIT - 1]}…"
