"""What the canary found, and what it proves: planted, seen by the target, recorded, and in which sinks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamlab_plugin.canary.place import open_place
from streamlab_plugin.canary.planting import Planting
from streamlab_plugin.canary.sink import Find, Search, Sink, everything
from streamlab_plugin.canary.trial import Trial, run_trial
from streamlab_plugin.core.errors import EXIT_BREACHED, EXIT_MET, EXIT_NO_VERDICT

# Chance can put a few planted values into a sink; more need no second run to be believed.
MOST_COINCIDENCES = 200
_CONTROL = "control"

Way = tuple[str, str, str]  # protocol, carrier, disguise


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a canary run.

    ``planted`` holds planting and field of each value that was searched for, ``coincidences`` counts those
    that a run with other people had, too.
    """

    trial: Trial
    planted: list[tuple[Planting, str]]
    finds: list[Find]
    coincidences: int

    @property
    def exit_code(self) -> int:
        """Return 0 for nothing found, 1 for a hit, 3 when the run proves nothing."""
        if self.finds:
            return EXIT_BREACHED
        return EXIT_NO_VERDICT if self.trial.problem() else EXIT_MET

    @property
    def values(self) -> int:
        """Return how many values were searched for."""
        return len(self.planted)

    def hits(self, sink: str) -> int:
        """Return how many planted values are in a sink."""
        return len({(id(find.planting), find.field) for find in self.finds if find.sink == sink})

    def groups(self) -> list[tuple[Find, int]]:
        """Return one find for each field, way in, sink and decoding, with the number of values."""
        first: dict[tuple[object, ...], Find] = {}
        counts: Counter[tuple[object, ...]] = Counter()
        for find in self.finds:
            key = (*_way(find.planting), find.field, find.sink, find.decoding)
            first.setdefault(key, find)
            counts[key] += 1
        return [(find, counts[key]) for key, find in first.items()]

    def ways(self) -> list[tuple[Planting, int, int]]:
        """Return one planting of each way in, the number of values that took it, and of those found."""
        found = {(id(find.planting), find.field) for find in self.finds}
        first: dict[Way, Planting] = {}
        values: Counter[Way] = Counter()
        hits: Counter[Way] = Counter()
        for planting, field in self.planted:
            way = _way(planting)
            first.setdefault(way, planting)
            values[way] += 1
            hits[way] += (id(planting), field) in found
        return [(planting, values[way], hits[way]) for way, planting in first.items()]

    def verdict(self) -> str:
        """Return the result as one line."""
        if self.finds:
            values = len({(id(find.planting), find.field) for find in self.finds})
            return f"LEAKED: {values:,} of {self.values:,} planted values are in a sink"
        if problem := self.trial.problem():
            return f"NO VERDICT: {problem}"
        return f"clean: none of {self.values:,} planted values is in any sink"

    def to_dict(self) -> dict[str, Any]:
        """Return everything for programs; no value is in it."""
        trial = self.trial
        return {
            "people": trial.people, "seed": trial.seed, "values": self.values, "exit_code": self.exit_code,
            "verdict": self.verdict(), "planted": trial.planted, "planted_on_wire": trial.on_wire,
            "seen": trial.seen, "records": trial.ledger.stored, "ledger": trial.ledger.text(),
            "coincidences": self.coincidences,
            "sinks": [
                {"name": sink.name, "bytes": sink.size_bytes, "hits": self.hits(sink.name)}
                for sink in trial.sinks
            ],
            "ways": [
                {**_named(one), "is_recorded": one.carrier.is_recorded, "values": values, "found": found}
                for one, values, found in self.ways()
            ],
            "hits": [
                {**_named(find.planting), "field": find.field, "sink": find.sink,
                 "decoding": find.decoding, "values": count}
                for find, count in self.groups()
            ],
        }  # fmt: skip


def find_canaries(
    people: int, seed: int, kept: Path | None, vocabulary: frozenset[str], say: Callable[[str], None]
) -> Outcome:
    """Run the canary and search what it left.

    Args:
        people: How many are planted on each protocol.
        seed: Decides who they are.
        kept: A folder that stays, or None.
        vocabulary: Words that error texts may keep.
        say: Takes a line about what is going on.

    Raises:
        InfrastructureError: the load could not be made.
    """
    trial = _trial(people, seed, kept, say)
    search = Search(everything(seed, people), vocabulary)
    size_mb = sum(sink.size_bytes for sink in trial.sinks) / 1e6
    say(f"searching {size_mb:,.0f} MB for {len(search.owners):,} values")
    finds = search.in_sinks(trial.sinks)
    excluded = 0
    if 0 < len(_values(finds)) <= MOST_COINCIDENCES:
        say("something was found: once more with other people, to tell chance from a leak")
        control = _trial(people, seed + 1, kept and kept / _CONTROL, say)
        chance = _values(_again(finds, control.sinks))
        excluded = len(chance)
        finds = [find for find in finds if (find.planting.values[find.field]) not in chance]
    return Outcome(trial, search.owners, finds, excluded)


def _trial(people: int, seed: int, kept: Path | None, say: Callable[[str], None]) -> Trial:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
    with open_place(kept) as place:
        return run_trial(place, people, seed, say)


def _again(finds: list[Find], sinks: list[Sink]) -> list[Find]:
    """Search *sinks* for what has been found, and only for that."""
    wanted: dict[int, Planting] = {}
    for find in finds:
        values = dict(wanted.get(id(find.planting), find.planting._replace(values={})).values)
        values[find.field] = find.planting.values[find.field]
        wanted[id(find.planting)] = find.planting._replace(values=values)
    search = Search(wanted.values())
    return search.in_sinks(sinks)


def _values(finds: list[Find]) -> set[str]:
    return {find.planting.values[find.field] for find in finds}


def _way(planting: Planting) -> Way:
    return planting.protocol, planting.carrier.name, planting.disguise


def _named(planting: Planting) -> dict[str, str]:
    return dict(zip(("protocol", "carrier", "disguise"), _way(planting), strict=True))
