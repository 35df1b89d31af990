"""The published JSON schema says what the reader does."""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from scenario_corpus import FULL, OLD, RIGHT, SMALL, UNFIT, WRONG

from streamlab_plugin.config import packaged
from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.scenario.document import json_schema, parse_scenario

VALIDATOR = Draft202012Validator(json_schema())
MUTATIONS = 120
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 0.5, 5.0, 1e9, "", "a", "a b", "http", "websocket", "ws://h", [],
    [1, 2], ["a"], {}, {"a": 1},
    {"distribution": "constant", "value": 1}, {"generator": "voice"}, [{"kind": "delay", "delay_ms": 5}],
]  # fmt: skip


def is_read(document: Any) -> bool | None:
    """Whether the reader takes *document*; None where it knows more than a schema can."""
    try:
        parse_scenario(document)
    except ConfigError as error:
        return None if any(words in str(error) for _document, _path, words in UNFIT) else False
    return True


def mutated(document: Any, rng: random.Random) -> Any:
    """Return a copy with one value replaced, one key renamed, taken away or added, somewhere."""
    document = copy.deepcopy(document)
    places = list(containers(document))
    place = rng.choice(places)
    if isinstance(place, list):
        if place and rng.random() < 0.7:
            place[rng.randrange(len(place))] = copy.deepcopy(rng.choice(VALUES))
        else:
            place.append(copy.deepcopy(rng.choice(VALUES)))
        return document
    key = rng.choice(sorted(place)) if place else "a"
    match rng.randrange(4):
        case 0:
            place[key] = copy.deepcopy(rng.choice(VALUES))
        case 1:
            place[key + "s"] = place.pop(key, None)
        case 2:
            place.pop(key, None)
        case _:
            place[rng.choice(["seed", "probability", "path", "to", "qos", "rampUpSeconds", "x"])] = (
                rng.choice(VALUES[:12])
            )
    return document


def containers(value: Any) -> Any:
    """Yield every list and mapping in *value*."""
    if isinstance(value, dict | list):
        yield value
        for one in value.values() if isinstance(value, dict) else value:
            yield from containers(one)


class TestSchema:
    """`json_schema`."""

    def test_it_is_a_schema(self) -> None:
        """It keeps to draft 2020-12."""
        Draft202012Validator.check_schema(json_schema())

    def test_the_published_file(self) -> None:
        """The packaged file is what `streamlab scenario schema` prints; write it again after a change."""
        assert json_schema() == json.loads((packaged("rules") / "scenario.schema.json").read_text())

    def test_every_key_is_described(self) -> None:
        """An editor can show what each key means."""
        properties = json_schema()["properties"]
        assert [] == [name for name, one in properties.items() if not one.get("description")]

    @pytest.mark.parametrize("name", RIGHT)
    def test_right(self, name: str) -> None:
        """What is right for the reader is right for the schema."""
        assert [] == [error.message for error in VALIDATOR.iter_errors(RIGHT[name])]

    @pytest.mark.parametrize("document", [document for document, _path, _words in WRONG])
    def test_wrong(self, document: object) -> None:
        """What is wrong for the reader is wrong for the schema."""
        assert not VALIDATOR.is_valid(document)

    @pytest.mark.parametrize("document", [document for document, _path, _words in UNFIT])
    def test_unfit(self, document: object) -> None:
        """What only the reader can know is the whole difference."""
        assert VALIDATOR.is_valid(document)

    @pytest.mark.parametrize("base", [SMALL, FULL, OLD], ids=["small", "full", "old"])
    def test_mutated(self, base: dict[str, Any]) -> None:
        """Documents that were changed at random are judged alike."""
        rng = random.Random(4)
        counts = Counter[bool | None]()
        for _ in range(MUTATIONS):
            document = mutated(base, rng)
            expected = is_read(document)
            counts[expected] += 1
            if expected is not None:
                assert expected == VALIDATOR.is_valid(document), document
        assert counts[True]
        assert counts[False]
