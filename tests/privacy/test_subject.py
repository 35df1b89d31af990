"""A subject is found by its pseudonyms, as whole values, under every key that is kept."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.privacy.keyring import Keyring
from streamlab_plugin.privacy.plan import Redactor
from streamlab_plugin.privacy.policy import Policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms
from streamlab_plugin.privacy.scalar import identifier
from streamlab_plugin.privacy.subject import (
    Subject,
    check_pseudonym,
    decode_pseudonym,
    encode_pseudonym,
    pseudonyms_of,
)

NAME = Pseudonyms(b"k" * 32).of("42")
OTHER = Pseudonyms(b"k" * 32).of("43")


class TestSubject:
    """`Subject`."""

    @pytest.mark.parametrize(
        "document",
        [NAME, [NAME], {"a": {"b": [1, {"c": NAME}]}}, ["x", [[NAME]]], [OTHER, None, True, 1.5, NAME]],
    )
    def test_a_value_at_any_depth(self, document: object) -> None:
        """It is found wherever a text of the document is the pseudonym."""
        assert Subject([NAME]).is_in_json(json.dumps(document))
        assert not Subject([OTHER + "x"]).is_in_json(json.dumps(document))

    @pytest.mark.parametrize(
        "document", [[f"{NAME}x"], [f" {NAME}"], {NAME: 1}, [f"a {NAME} b"], [OTHER], [], 1.5, None]
    )
    def test_only_a_whole_value_counts(self, document: object) -> None:
        """Neither a part of a longer text nor the name of a field."""
        assert not Subject([NAME]).is_in_json(json.dumps(document))

    @pytest.mark.parametrize("text", [f'["{NAME}"', f'\xff["{NAME}"]', "[" * 5_000 + f'"{NAME}"'])
    def test_what_is_no_json(self, text: str) -> None:
        """What cannot be read counts if it holds the letters: too much goes rather than too little."""
        assert Subject([NAME]).is_in_json(text)
        assert not Subject([OTHER]).is_in_json(text)

    def test_in_a_sentence(self) -> None:
        """By itself, with other letters around it or not."""
        subject = Subject([NAME, OTHER])
        assert all(subject.is_in_text(text) for text in (NAME, f"user {OTHER}: slow", f"({NAME})"))
        assert not any(subject.is_in_text(text) for text in (f"{NAME}x", f"-{NAME}", "", NAME[:-1]))

    def test_digests(self) -> None:
        """What a receipt keeps is the sha256 of each, in the order of the pseudonyms."""
        names = sorted({NAME, OTHER})
        expected = tuple(hashlib.sha256(name.encode()).hexdigest() for name in names)
        assert expected == Subject([OTHER, NAME, NAME]).digests


class TestPseudonymsOf:
    """`pseudonyms_of`."""

    def test_every_key(self, tmp_path: Path) -> None:
        """S002-68: today's key and every kept one give a pseudonym, a destroyed one does not."""
        keyring = Keyring(tmp_path / "key")
        first = keyring.rotate(keep=True)
        second = keyring.rotate(keep=True)
        assert {first.old, first.new, second.new} == set(pseudonyms_of("42", keyring))
        keyring.destroy(first.old)
        found = pseudonyms_of("42", keyring)
        assert {ident: [Pseudonyms(key).of("42")] for ident, key in keyring.all().items()} == found

    @pytest.mark.parametrize("value", [42, 42.0, "42", -7.0, "u-1", "42.5", 1e15, True, "ü" * 300, "4e2"])
    def test_the_id_as_it_was_hashed(self, tmp_path: Path, value: object) -> None:
        """Whatever type the id had in the payload, its text finds it."""
        keyring = Keyring(tmp_path / "key")
        stored = Pseudonyms(keyring.current()).of(identifier(value))
        (found,) = pseudonyms_of(str(value), keyring).values()
        assert stored in found

    def test_as_the_recorder_stores_it(self, tmp_path: Path, packaged: Policy) -> None:
        """The pseudonym is the one that redaction puts into a payload."""
        keyring = Keyring(tmp_path / "key")
        redactor = Redactor(packaged, Pseudonyms(keyring.current()))
        redacted = redactor.redact_json(b'{"user_id": 42, "session_id": "s"}', "/a")
        assert redacted is not None
        (found,) = pseudonyms_of("42", keyring).values()
        assert set(found) < set(redacted.values)

    def test_no_key(self, tmp_path: Path) -> None:
        """None is made: with a new one nothing would be found, and nobody would know why."""
        with pytest.raises(ConfigError, match=r"there is no key in .*; run this where the test ran"):
            pseudonyms_of("42", Keyring(tmp_path / "key"))
        assert [] == list(tmp_path.iterdir())


class TestCheckPseudonym:
    """`check_pseudonym`, `encode_pseudonym` and `decode_pseudonym`."""

    @settings(max_examples=100, deadline=None, derandomize=True)
    @given(st.binary(min_size=16, max_size=16))
    def test_every_pseudonym(self, raw: bytes) -> None:
        """It passes, and its bytes are its own."""
        text = encode_pseudonym(raw)
        assert (raw, text) == (decode_pseudonym(text), check_pseudonym(text))

    @pytest.mark.parametrize(
        "text",
        ["", "bob@example.org", NAME[:-1], NAME + "A", NAME[:-1] + "_", NAME[:-2] + "=A", NAME[:-1] + "+",
         NAME[:-1] + "ü", f" {NAME[1:]}", "\n" * 22],
    )  # fmt: skip
    def test_another_form(self, text: str) -> None:
        """It is refused, with its length only: it may be the id itself."""
        with pytest.raises(ConfigError, match=r"--hash: \d+ characters that are no pseudonym") as caught:
            check_pseudonym(text)
        assert not text.strip() or text not in str(caught.value)
