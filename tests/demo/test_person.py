"""The synthetic people: finite, repeatable, and worth searching for."""

from __future__ import annotations

import base64
import json
import re

import pytest

from streamlab_plugin.demo.person import PERSON_COUNT, Person, personal_values, persons

EVERYBODY = [person for seed in range(20) for person in persons(seed)]


class TestPersons:
    """`persons`."""

    def test_the_same_seed_gives_the_same_people(self) -> None:
        """Target and test agree without talking."""
        assert persons(7) == persons(7)

    def test_another_seed_gives_other_people(self) -> None:
        """No e-mail address is shared."""
        assert not {p.email for p in persons(1)} & {p.email for p in persons(2)}

    def test_cards_pass_the_luhn_check(self) -> None:
        """A detector that checks digits must see them."""
        assert all(_luhn_sum(person.card) % 10 == 0 for person in EVERYBODY)

    def test_ibans_pass_the_check_of_iso_7064(self) -> None:
        """Country and check digits moved to the end, D=13, E=14: the remainder by 97 is 1."""
        assert all(int(p.iban[4:] + "1314" + p.iban[2:4]) % 97 == 1 for p in EVERYBODY)

    def test_tokens_have_the_three_parts_of_a_jwt(self) -> None:
        """The first part says so in JSON."""
        headers = [person.token.split(".")[0] for person in EVERYBODY]
        assert all(json.loads(base64.urlsafe_b64decode(part + "=="))["typ"] == "JWT" for part in headers)
        assert all(re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]{43}", person.token) for person in EVERYBODY)

    def test_voice_samples_are_base64(self) -> None:
        """240 bytes each."""
        assert {len(base64.b64decode(p.voice_sample, validate=True)) for p in EVERYBODY} == {240}


class TestPersonalValues:
    """`personal_values`."""

    def test_lists_every_field_but_the_user_id(self) -> None:
        """Ten values per person, each once."""
        assert len(set(personal_values(7))) == PERSON_COUNT * (len(Person.__slots__) - 1)

    @pytest.mark.parametrize("seed", range(20))
    def test_every_value_is_plain_and_long_enough_to_search_for(self, seed: int) -> None:
        """No escape of JSON or HTML changes it, and ten characters do not turn up by chance."""
        for value in personal_values(seed):
            assert len(value) >= 10
            assert not re.search(r"[^ -~]|[\"\\<>&']", value)

    def test_json_writes_coordinates_as_listed(self) -> None:
        """The text of a number is what is searched for."""
        assert all(
            json.dumps(p.latitude) in p.values and json.dumps(p.longitude) in p.values for p in EVERYBODY
        )


def _luhn_sum(card: str) -> int:
    digits = [int(digit) for digit in reversed(card)]
    return sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
