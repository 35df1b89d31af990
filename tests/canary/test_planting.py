"""Every value goes in once, every way in is taken, and whatever it looks like it can be found."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from streamlab_plugin.canary.person import FIELDS, people
from streamlab_plugin.canary.planting import CARRIERS, PER_PERSON, PROTOCOLS, REASON_BYTES, plantings
from streamlab_plugin.canary.sink import Search, Sink


@pytest.mark.parametrize("protocol", PROTOCOLS)
class TestPlantings:
    """`plantings` of one protocol."""

    def test_each_value_once(self, protocol: str) -> None:
        """The two plantings of a person share nothing and leave nothing out."""
        found = Counter(
            (one.number // PER_PERSON, field) for one in plantings(protocol, 1, 60) for field in one.values
        )
        assert Counter((number, field) for number in range(60) for field in FIELDS) == found
        values = [value for one in plantings(protocol, 1, 1) for value in one.values.values()]
        assert sorted(next(people(f"{protocol} 1", 1))) == sorted(values)

    def test_all_ways_come_round(self, protocol: str) -> None:
        """Every carrier meets every disguise of its kind."""
        ways = {(one.carrier.name, one.carrier.kind, one.disguise) for one in plantings(protocol, 1, 300)}
        disguises = {kind: {way[2] for way in ways if way[1] == kind} for _name, kind, _disguise in ways}
        carriers = [carrier for carriers in CARRIERS[protocol] for carrier in carriers]
        assert {
            (one.name, one.kind, disguise) for one in carriers for disguise in disguises[one.kind]
        } == ways

    def test_whatever_it_looks_like(self, protocol: str) -> None:
        """The search finds every value in what is sent: the proof that it knows all disguises."""
        planted = list(plantings(protocol, 1, 120))
        search = Search(planted)
        sinks = [Sink(one.label, [_bytes(one.made())]) for one in planted]
        found = {(find.planting.number, find.field) for find in search.in_sinks(sinks)}
        wanted = {(one.number, field) for one, field in search.owners}
        assert set() == wanted - found

    def test_close_reasons_fit(self, protocol: str) -> None:
        """A text is never longer than its protocol allows."""
        reasons = [one for one in plantings(protocol, 1, 300) if one.carrier.name == "close reason"]
        assert all(len(one.made().encode()) <= REASON_BYTES for one in reasons)
        assert bool(reasons) is (protocol == "websocket")


def _bytes(made: Any) -> bytes:
    if isinstance(made, bytes):
        return made
    return made.encode() if isinstance(made, str) else msgspec.json.encode(made)
