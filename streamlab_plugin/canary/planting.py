"""What is planted where: every value of every person exactly once, so that a hit names its own way in.

Each person makes two exchanges on a protocol: one carries most values as data, the other three of them in a
text, a name or a path. Which carrier and which disguise they take follows from the person's number, so that
all pairs come round; every process works it out for itself and no value is ever handed over.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from streamlab_plugin.canary.disguise import BODIES, DOCUMENTS, PATHS, TEXTS, Body
from streamlab_plugin.canary.person import FIELDS, RECOGNISABLE, Person, people

Kind = Literal["document", "body", "text", "path"]

_PATH_FIELDS = tuple(field for field in RECOGNISABLE if field != "ssn")
# Ids may stay under an encoding, where the text is no error's.
_LOGGED_FIELDS = tuple(field for field in RECOGNISABLE if field != "device_id")
_KEPT_FIELDS = tuple(field for field in _PATH_FIELDS if field != "device_id")  # ids stay in kept values
# Without a sign of being a phone number, as some countries write it, it is known in a field only.
_SAID_FIELDS = tuple(field for field in FIELDS if field != "local_phone")
_DISGUISES: Mapping[Kind, Mapping[str, Any]] = {
    "document": DOCUMENTS,
    "body": BODIES,
    "text": TEXTS,
    "path": PATHS,
}
PER_PERSON: Final = 2
REASON_BYTES: Final = 123  # RFC 6455: what a close frame holds beside the code


class Carrier(NamedTuple):
    """One way into a test.

    Args:
        name: What people call it, and by which users know what to do.
        kind: Which disguises it takes.
        is_wire: The target sees it; otherwise it happens within Locust.
        is_recorded: Without redaction it would end in a sink; otherwise no part of Streamlab looks at it.
        fields: Whose values it may take.
        most: How many values.
        most_bytes: What the protocol allows.
    """

    name: str
    kind: Kind
    is_wire: bool = True
    is_recorded: bool = True
    fields: tuple[str, ...] = _SAID_FIELDS
    most: int = 3
    most_bytes: int = 10_000


# protocol -> carriers of data, carriers of texts
CARRIERS: Final[Mapping[str, tuple[tuple[Carrier, ...], tuple[Carrier, ...]]]] = {
    "http": (
        (
            Carrier("request document", "document"),
            Carrier("answer document", "document"),
            Carrier("request body", "body"),
            Carrier("answer body", "body"),
        ),
        (
            Carrier("error body", "text"),
            Carrier("reason phrase", "text", is_recorded=False),
            Carrier("response.failure", "text", is_wire=False),
            Carrier("exception in a block", "text", is_wire=False),
            Carrier("exception in a task", "text", is_wire=False),
            Carrier("chained exception", "text", is_wire=False),
            Carrier("logged exception", "text", is_wire=False),
            Carrier("log line", "text", is_wire=False, fields=_LOGGED_FIELDS),
            Carrier("URL", "path", fields=_PATH_FIELDS),
            Carrier("query", "path", fields=_PATH_FIELDS),
            Carrier("header", "path", is_recorded=False),
            Carrier("request name", "path", is_wire=False, fields=_PATH_FIELDS),
        ),
    ),
    "websocket": (
        (
            Carrier("sent document", "document"),
            Carrier("answered document", "document"),
            Carrier("pushed document", "document"),
            Carrier("raw message", "body", is_recorded=False),
        ),
        (
            Carrier("close reason", "text", most=1, most_bytes=REASON_BYTES),
            Carrier("refused upgrade", "text", is_recorded=False),
            Carrier("exception in on_push", "text"),
            Carrier("undecodable message", "text", is_recorded=False),
            Carrier("exception in a task", "text", is_wire=False),
            Carrier("push type", "path", fields=_KEPT_FIELDS),
            Carrier("URL", "path", fields=_PATH_FIELDS),
            Carrier("query", "path", is_recorded=False),
        ),
    ),
    "mqtt": (
        (
            Carrier("published document", "document"),
            Carrier("delivered document", "document"),
            Carrier("raw message", "body", is_recorded=False),
        ),
        (
            Carrier("topic", "path", fields=_PATH_FIELDS),
            Carrier("client id", "path", fields=_PATH_FIELDS),
            Carrier("user name and password", "path", is_recorded=False),
            Carrier("reason string", "text", is_recorded=False),
            Carrier("exception in on_message", "text"),
            Carrier("exception in a task", "text", is_wire=False),
        ),
    ),
}
PROTOCOLS: Final = tuple(CARRIERS)


class Planting(NamedTuple):
    """One exchange with personal values in it; ``number`` is unique within its protocol."""

    protocol: str
    number: int
    carrier: Carrier
    disguise: str
    values: Mapping[str, str]

    def made(self) -> Any:
        """Return what is sent: a document, a `bytes` body or a text."""
        made: Body | Callable[[Mapping[str, str]], Any] = _DISGUISES[self.carrier.kind][self.disguise]
        return made.make(self.values) if isinstance(made, Body) else made(self.values)

    @property
    def media_type(self) -> str:
        """Return the media type of a raw body."""
        return BODIES[self.disguise].media_type

    @property
    def label(self) -> str:
        """Return the way in, in words."""
        return f"{self.carrier.name}, {self.disguise}"


def plantings(protocol: str, seed: int, count: int) -> Iterator[Planting]:
    """Yield what *count* people plant on *protocol*."""
    rng = random.Random(f"streamlab canary plantings {protocol} {seed}")
    for index, person in enumerate(people(f"{protocol} {seed}", count)):
        yield from _of_person(protocol, index, person, rng)


def _of_person(protocol: str, index: int, person: Person, rng: random.Random) -> Iterator[Planting]:
    of_data, of_texts = CARRIERS[protocol]
    said = _fitting(protocol, index * PER_PERSON + 1, *_way(of_texts, index), person._asdict(), rng)
    rest = {field: value for field, value in person._asdict().items() if field not in said.values}
    yield Planting(protocol, index * PER_PERSON, *_way(of_data, index), rest)
    yield said


def _fitting(
    protocol: str, number: int, carrier: Carrier, disguise: str, values: Mapping[str, str], rng: random.Random
) -> Planting:
    """Return a planting of some of the *values*; where they are too long as others, in plain prose."""
    for _ in range(100):
        said = {field: values[field] for field in rng.sample(carrier.fields, carrier.most)}
        planting = Planting(protocol, number, carrier, disguise, said)
        if carrier.most_bytes >= 10_000 or len(str(planting.made()).encode()) <= carrier.most_bytes:
            return planting
        disguise = "prose"
    raise AssertionError(f"none of the person's values has less than {carrier.most_bytes} bytes")


def _way(carriers: tuple[Carrier, ...], index: int) -> tuple[Carrier, str]:
    """Return the carrier and the disguise of a person: all pairs in turn, along the diagonal."""
    around, at = divmod(index, len(carriers))
    disguises = list(_DISGUISES[carriers[at].kind])
    return carriers[at], disguises[(around + at) % len(disguises)]
