"""The people: many, of many countries, the same ones everywhere, and known by their forms."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from streamlab_plugin.canary.person import FIELDS, LOCALES, RECOGNISABLE, forms, people
from streamlab_plugin.privacy.detector import clean_text

_PRINT = "from streamlab_plugin.canary.person import people; print(ascii(list(people('x', 100))))"


class TestPeople:
    """`people`."""

    def test_every_process_knows_the_same(self) -> None:
        """Neither another process nor another order of hashes changes anybody."""
        answers = {
            subprocess.run(
                [sys.executable, "-c", _PRINT], env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True, check=True, timeout=60,
            ).stdout
            for seed in ("1", "3")
        }  # fmt: skip
        assert {ascii(list(people("x", 100))).encode() + b"\n"} == answers

    def test_values_are_distinctive(self) -> None:
        """No two people share an account, an id, a token or an address to write to."""
        everybody = list(people("x", 1_000))
        for field in RECOGNISABLE:
            assert 1_000 == len({getattr(person, field) for person in everybody}), field

    def test_many_countries(self) -> None:
        """They write in many alphabets."""
        names = [person.full_name for person in people("x", len(LOCALES))]
        assert 25 < len(LOCALES) == len(set(names))
        assert sum(not name.isascii() for name in names) > 10

    def test_long_enough(self) -> None:
        """Of each kind nearly all values have the eight characters that are searched for."""
        everybody = list(people("x", 1_000))
        short = {field: sum(len(getattr(person, field)) < 8 for person in everybody) for field in FIELDS}
        assert {"full_name"} >= {field for field, count in short.items() if count > 200}, short

    @pytest.mark.parametrize("field", RECOGNISABLE)
    def test_known_by_its_form(self, field: str) -> None:
        """Detectors know each value of these kinds, in each of its forms that they promise to know."""
        said = "ssn {}" if field == "ssn" else "from {}"
        values = (getattr(person, field) for person in people("x", 200))
        shown = [form for value in values for form in forms(field, value) if form != value[1:]]
        assert [] == [form for form in shown if form in clean_text(said.format(form))]
