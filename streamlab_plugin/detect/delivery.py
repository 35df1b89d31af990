"""From the numbers that publishers sent and subscribers got to what was lost, doubled, late or unaccounted.

* A publish counts once it was acknowledged (QoS 0: written). One that failed, or that an injected fault
  touched, may or may not arrive: it is never lost.
* Each subscriber of a stream is expected to get every such number between the first and the last one that it
  got: what is missing there is *lost*. Before, it may not have been subscribed.
* What comes after the last number that any subscriber got is *unaccounted*: nobody saw it, but the test's end
  may have been faster than the broker.
* A stream that nobody got anything of is *unheard*; perhaps nobody subscribed to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from streamlab_plugin.detect.track import Track, overlap, shared, within

Role = Literal["sent", "failed", "got"]
# The name of the streams beyond the limit of what is tracked; only counted.
UNTRACKED = ""
MOST_ENDPOINTS = 100
_HIGHEST = 2**63 - 1


class Tracked(NamedTuple):
    """What one process saw of one stream; ``subscriber`` is empty for what was sent."""

    role: str
    stream: str
    subscriber: str
    endpoint: str
    track: Track


@dataclass(slots=True)
class Delivered:
    """Messages counted per subscriber: ``expected`` = ``lost`` + what came of them at least once.

    ``is_exact`` is False where so much was missing or tracked that a part is only known in number.
    """

    endpoint: str = ""
    streams: int = 0
    subscribers: int = 0
    published: int = 0
    unacknowledged: int = 0
    delivered: int = 0
    expected: int = 0
    lost: int = 0
    duplicates: int = 0
    reordered: int = 0
    unaccounted: int = 0
    unheard: int = 0
    is_exact: bool = True

    def include(self, other: Delivered) -> None:
        """Add what *other* has counted."""
        for name, value in asdict(other).items():
            if name == "is_exact":
                self.is_exact &= value
            elif name != "endpoint":
                setattr(self, name, getattr(self, name) + value)

    def text(self) -> str:
        """Return it in one line."""
        parts = [f"published {self.published:,}"]
        if self.unacknowledged:
            parts[0] += f" and {self.unacknowledged:,} unacknowledged"
        if not self.subscribers:
            return f"{parts[0]}, none of which came to a subscriber of this test"
        parts += [
            f"delivered {self.delivered:,}",
            f"lost {self.lost:,} of {self.expected:,}" + ("" if self.is_exact else " (about)"),
            f"duplicates {self.duplicates:,}",
            f"reordered {self.reordered:,}",
            f"unaccounted {self.unaccounted:,}",
        ]
        if self.unheard:
            parts.append(f"{self.unheard:,} of {self.streams:,} streams unheard")
        return " · ".join(parts)


@dataclass(frozen=True, slots=True)
class Deliveries:
    """All streams of a run, and by endpoint (of the publisher), those with most trouble first."""

    everything: Delivered
    endpoints: list[Delivered]

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain values; at most `MOST_ENDPOINTS` endpoints."""
        return {
            "everything": asdict(self.everything),
            "endpoints": [asdict(one) for one in self.endpoints[:MOST_ENDPOINTS]],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Deliveries:
        """Return what `to_dict` was made of."""
        return cls(Delivered(**values["everything"]), [Delivered(**one) for one in values["endpoints"]])


@dataclass(slots=True)
class _Stream:
    endpoint: str = ""
    sent: Track = field(default_factory=Track)
    failed: Track = field(default_factory=Track)
    got: dict[str, Track] = field(default_factory=dict)


def account(tracked: Iterable[Tracked]) -> Deliveries | None:
    """Return what became of everything that was published in a run, None if nothing was."""
    streams: dict[str, _Stream] = {}
    untracked = 0
    for role, name, subscriber, endpoint, track in tracked:
        if name == UNTRACKED:
            untracked += track.count
            continue
        stream = streams.setdefault(name, _Stream())
        if role == "got":
            stream.got.setdefault(subscriber, Track()).merge(track)
        else:
            stream.endpoint = endpoint
            (stream.sent if role == "sent" else stream.failed).merge(track)
    endpoints: dict[str, Delivered] = {}
    subscribers: dict[str, set[str]] = {}
    for stream in streams.values():
        # Streams of other publishers, e.g. another test on the same broker, are nobody's business here.
        if stream.sent.count or stream.failed.count:
            counted = _counted(stream)
            endpoints.setdefault(stream.endpoint, Delivered(stream.endpoint)).include(counted)
            subscribers.setdefault(stream.endpoint, set()).update(stream.got)
    if not endpoints:
        return None
    everything = Delivered(is_exact=not untracked)
    for one in endpoints.values():
        one.subscribers = len(subscribers[one.endpoint])
        everything.include(one)
    everything.subscribers = len(set().union(*subscribers.values()))
    return Deliveries(everything, sorted(endpoints.values(), key=_worst_first))


def _counted(stream: _Stream) -> Delivered:
    sent = stream.sent
    found = Delivered(
        streams=1,
        published=sent.count,
        unacknowledged=stream.failed.count,
        unheard=0 if stream.got else 1,
        is_exact=not sent.forgotten and not any(track.forgotten for track in stream.got.values()),
    )
    for track in stream.got.values():
        first, last = track.spans[0][0], track.spans[-1][1]
        due = within(sent.spans, first, last)
        missing = sum(end - begin + 1 for begin, end in due) - shared(track.spans, due)
        found.delivered += track.count
        found.lost += missing + track.forgotten
        found.expected += sum(end - begin + 1 for begin, end in due)
        found.duplicates += track.duplicates
        found.reordered += track.reordered
    if stream.got:
        last = max(track.spans[-1][1] for track in stream.got.values())
        found.unaccounted = overlap(sent.spans, last + 1, _HIGHEST)
    return found


def _worst_first(one: Delivered) -> tuple[int, int, int, str]:
    return -one.lost, -one.unaccounted, -(one.duplicates + one.reordered), one.endpoint
