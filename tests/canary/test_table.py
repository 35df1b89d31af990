"""The table finds every value wherever it stands, and nothing else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.canary.table import Table

VALUES = [
    "anna.mueller@example.org",
    "Müller-Lüdenscheidt",
    "74664699300",
    "52.123457",
    "田中さくら通り一丁目",
]


def found(data: bytes, values: list[str] = VALUES) -> list[tuple[int, int]]:
    """Return (index, place) of everything that a table of *values* finds in *data*."""
    return sorted((hit.key, hit.at) for hit in Table(enumerate(values)).find(data))


class TestTable:
    """`Table.find`."""

    @pytest.mark.parametrize("index", range(len(VALUES)))
    @pytest.mark.parametrize("before", range(17))
    def test_at_any_place(self, index: int, before: int) -> None:
        """A value is found whatever its distance from the beginning, and at the very end."""
        assert [(index, before)] == found(b"\n" * before + VALUES[index].encode())

    def test_over_the_edge_of_a_chunk(self) -> None:
        """Data is looked at in chunks; a value on two of them is found once."""
        edge = 4 * 1024 * 1024
        for at in (edge - 25, edge - 8, edge - 1, edge, edge + 1):
            data = bytearray(b"\n" * (edge + 100))
            data[at : at + len(VALUES[0])] = VALUES[0].encode()
            assert [(0, at)] == found(bytes(data))

    def test_as_often_as_it_is_there(self) -> None:
        """Several values and repetitions are all found."""
        data = f"{VALUES[1]} {VALUES[0]} {VALUES[1]}".encode()
        assert [0, 1, 1] == [index for index, _at in found(data)]

    @pytest.mark.parametrize("text", ["ANNA.Mueller@EXAMPLE.org", "müller-lüdenscheidt"])
    def test_case(self, text: str) -> None:
        """Case makes no difference where ASCII has it."""
        assert found(text.encode())

    def test_latin_1(self) -> None:
        """The bytes of a wrong charset are known."""
        assert [1] == [index for index, _at in found("Müller-Lüdenscheidt".encode("latin-1"))]

    @pytest.mark.parametrize("text", ["174664699300", "746646993001", "0.521234572", "152.123457"])
    def test_part_of_a_longer_number(self, text: str) -> None:
        """A latency with sixteen digits contains many numbers and means none of them."""
        assert [] == found(text.encode())

    @pytest.mark.parametrize("text", ["id 74664699300.", "[52.123457,", '"74664699300"'])
    def test_whole_number(self, text: str) -> None:
        """A number is found between whatever is no digit."""
        assert 1 == len(found(text.encode()))

    def test_same_beginning(self) -> None:
        """Values that agree in what is compared first are told apart."""
        values = ["Hauptstrasse 1a", "Hauptstrasse 1b", "Hauptstrasse"]
        assert [(1, 0), (2, 0)] == found(b"hauptstrasse 1b", values)

    @given(
        st.lists(st.text("abAB ", min_size=8, max_size=12), min_size=1, max_size=20), st.integers(0, 2**32)
    )
    def test_against_the_slow_way(self, values: list[str], seed: int) -> None:
        """In text of the same few letters exactly those are found that Python's `in` finds."""
        data = "".join(random.Random(seed).choices("abAB ", k=2_000)).encode()
        expected = {index for index, value in enumerate(values) if value.lower().encode() in data.lower()}
        assert expected == {index for index, _at in found(data, values)}
