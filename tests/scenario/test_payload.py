"""Payloads: seeded, JSON, of a known size, and nothing personal in them survives redaction."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from itertools import islice

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.config import packaged
from streamlab_plugin.privacy.plan import Redactor
from streamlab_plugin.privacy.policy import parse_policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms
from streamlab_plugin.scenario.payload import GENERATORS, Message, messages
from streamlab_plugin.scenario.person import person_of
from streamlab_plugin.scenario.scenario import Payload

KINDS = sorted(GENERATORS)


def some(payload: Payload, connection: int = 0, count: int = 20) -> list[Message]:
    """Return the first messages of a connection."""
    return list(islice(messages(payload, connection), count))


class TestMessages:
    """`messages` without end."""

    @pytest.mark.parametrize("kind", KINDS)
    @given(st.integers(0, 2**53), st.integers(0, 100_000))
    def test_they_are_json_of_8_to_16_fields(self, kind: str, seed: int, connection: int) -> None:
        """Each is a JSON object with a type, a number and a place for the correlation id."""
        for number, message in enumerate(some(Payload(kind, seed), connection, 3), 1):
            assert message == json.loads(json.dumps(message))
            assert 8 <= len(message) <= 16
            assert (kind, number, None) == (message["type"], message["seq"], message["correlation_id"])

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_seed_decides(self, kind: str) -> None:
        """The same seed and connection give the same messages; another seed or connection gives others."""
        assert some(Payload(kind, 3), 5) == some(Payload(kind, 3), 5)
        assert some(Payload(kind, 3), 5) != some(Payload(kind, 4), 5)
        assert some(Payload(kind, 3), 5) != some(Payload(kind, 3), 6)

    def test_in_any_process(self) -> None:
        """Another interpreter, with another hash seed, makes the same messages."""
        code = (
            "import json; from itertools import islice\n"
            "from streamlab_plugin.scenario.payload import messages\n"
            "from streamlab_plugin.scenario.scenario import Payload\n"
            "print(json.dumps(list(islice(messages(Payload('session', 3), 5), 20))))"
        )
        done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
        assert some(Payload("session", 3), 5) == json.loads(done.stdout)

    def test_fields_do_not_change(self) -> None:
        """All messages of a kind have the same keys and types, so that drift comes from faults only."""
        for kind in KINDS:
            shapes = {
                tuple((key, type(value)) for key, value in message.items())
                for connection in range(20)
                for message in some(Payload(kind), connection)
            }
            assert len(shapes) == 1, kind

    @pytest.mark.parametrize("size_bytes", [1, 4096, 65_536])
    def test_size_of_voice(self, size_bytes: int) -> None:
        """A chunk of voice has exactly the bytes asked for, in base64."""
        (message,) = some(Payload("voice", size_bytes=size_bytes), count=1)
        assert size_bytes == len(base64.b64decode(str(message["voice_sample"]), validate=True))

    @pytest.mark.parametrize("kind", KINDS)
    def test_redaction_leaves_nothing_personal(self, kind: str) -> None:
        """What the packaged policy stores of a message holds no name, contact, place, voice or plain id."""
        policy = parse_policy(yaml.safe_load((packaged("rules") / "privacy.yaml").read_text()))
        redactor = Redactor(policy, Pseudonyms(b"k" * 32))
        for connection in range(30):
            person = person_of(0, connection)
            personal = [
                person.user_id, person.device_id, person.name, person.email, person.phone, person.address,
                str(person.latitude), str(person.longitude),
            ]  # fmt: skip
            for message in some(Payload(kind), connection, 5):
                text = str(redactor.redact(message).values)
                personal += [
                    str(message.get(name))
                    for name in ("voice_sample", "access_token", "session_id")
                    if name in message
                ]
                assert [] == [value for value in personal if value in text]


class TestPeople:
    """`person_of` a connection."""

    def test_they_differ(self) -> None:
        """A thousand connections are a thousand people."""
        people = [person_of(1, number) for number in range(1000)]
        for name in ("user_id", "device_id", "email", "phone"):
            assert 1000 == len({getattr(one, name) for one in people})

    def test_they_come_again(self) -> None:
        """The next thousand are the same ones."""
        assert person_of(1, 5) == person_of(1, 1005)
        assert person_of(1, 5) != person_of(2, 5)
