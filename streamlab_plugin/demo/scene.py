"""What the three servers of the target share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from zlib import crc32

from streamlab_plugin.demo.oracle import OracleLog
from streamlab_plugin.demo.person import Person, persons
from streamlab_plugin.demo.timeline import Timeline


@dataclass(slots=True)
class Scene:
    """The people, the timeline and the log of one target."""

    timeline: Timeline
    oracle: OracleLog
    people: list[Person] = field(init=False)
    _turn: Iterator[Person] = field(init=False)

    def __post_init__(self) -> None:
        self.people = persons(self.timeline.schedule.seed)
        self._turn = cycle(self.people)

    def next_person(self) -> Person:
        """Return the people one after the other, for ever."""
        return next(self._turn)

    def person_of(self, user_id: str) -> Person:
        """Return the person who answers to *user_id*, whatever text it is; always the same one."""
        return self.people[crc32(user_id.encode()) % len(self.people)]
