"""The benchmark table and its JSON, on given numbers; nothing is timed here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.figure import MET, MISSED, MOONSHOT, Figure, Peer, ratios, surplus
from benchmarks.report import document, number, table, write_json
from benchmarks.traffic import NAMES, messages, records


def cost(*values: float, peer: Peer | None = None, beats_peer: bool = False) -> Figure:
    """A figure with an upper limit of 4 and a moonshot of 2.5."""
    return Figure(1, "cost per request", "µs", values, 4.0, 2.5, peer=peer, beats_peer=beats_peer)


def share(*values: float) -> Figure:
    """A figure with a lower limit of 0.72 and a moonshot of 0.85."""
    return Figure(3, "rate", "", values, 0.72, 0.85, is_ceiling=False)


class TestFigure:
    def test_the_median_decides(self) -> None:
        """One bad repetition does not miss a budget."""
        assert cost(3.0, 3.1, 9.0).verdict == MET

    @pytest.mark.parametrize(("value", "verdict"), [(4.01, MISSED), (4.0, MET), (2.51, MET), (2.5, MOONSHOT)])
    def test_an_upper_limit_is_inclusive(self, value: float, verdict: str) -> None:
        """A cost exactly at its limit is within it."""
        assert cost(value).verdict == verdict

    @pytest.mark.parametrize(
        ("value", "verdict"), [(0.71, MISSED), (0.72, MET), (0.84, MET), (0.85, MOONSHOT)]
    )
    def test_a_lower_limit_is_inclusive(self, value: float, verdict: str) -> None:
        """A rate exactly at its limit is within it."""
        assert share(value).verdict == verdict

    def test_a_moonshot_may_have_to_beat_the_peer(self) -> None:
        """Being fast is not enough where the peer is faster."""
        faster, slower = Peer("csv", (1.0,)), Peer("csv", (3.0,))
        assert cost(2.0, peer=faster, beats_peer=True).verdict == MET
        assert cost(2.0, peer=slower, beats_peer=True).verdict == MOONSHOT

    def test_nothing_measured_is_an_error(self) -> None:
        """A row without numbers cannot be judged."""
        with pytest.raises(ValueError, match="nothing was measured"):
            cost()


class TestRounds:
    def test_rounds_are_divided_one_by_one(self) -> None:
        """A slow round slows numerator and denominator alike."""
        assert ratios([80.0, 8.0], [100.0, 10.0]) == (0.8, 0.8)

    def test_the_median_of_plain_is_subtracted(self) -> None:
        """One bad plain round does not make recording look cheap."""
        assert surplus([7.0, 9.0, 8.0], [4.0, 4.0, 9.0]) == (3.0, 5.0, 4.0)

    def test_a_missing_round_is_an_error(self) -> None:
        """Values of different rounds are never paired."""
        with pytest.raises(ValueError, match="argument 2 is longer"):
            ratios([80.0], [100.0, 10.0])


class TestTable:
    def test_one_line_per_figure_under_aligned_headings(self) -> None:
        """Each column starts where its heading starts."""
        peer = Peer("CsvRequestLogger", (3.9, 4.1, 4.0))
        lines = table([cost(3.0, 3.5, 3.25, peer=peer), share(0.5)]).splitlines()
        assert len(lines) == 4
        for heading, first, second in (
            ("measured", "3.25 µs", "0.5"),
            ("must", "≤ 4", "≥ 0.72"),
            ("verdict", "met", "missed"),
        ):
            at = lines[0].index(heading)
            assert (first, second) == (lines[2][at : at + len(first)], lines[3][at : at + len(second)])

    def test_the_spread_and_the_peer_are_shown(self) -> None:
        """A reader sees how steady the number is and what somebody else's tool needs."""
        line = table([cost(3.0, 3.5, 3.25, peer=Peer("CsvRequestLogger", (3.9, 4.1, 4.0)))]).splitlines()[2]
        assert ("3 … 3.5" in line, line.endswith("CsvRequestLogger 4")) == (True, True)

    @pytest.mark.parametrize(
        ("value", "text"), [(60_000.4, "60,000"), (2.456, "2.46"), (0.805, "0.805"), (234.2, "234")]
    )
    def test_numbers_are_short(self, value: float, text: str) -> None:
        """Three significant digits are all that a benchmark knows."""
        assert number(value) == text


class TestDocument:
    def test_every_figure_has_its_spread(self, tmp_path: Path) -> None:
        """What is written is what was measured, with the machine it was measured on."""
        path = tmp_path / "results.json"
        write_json(path, document([cost(3.5, 3.0, 3.25, peer=Peer("csv", (4.0,)))], {"cores": 2}))
        assert json.loads(path.read_text()) == {
            "machine": {"cores": 2},
            "figures": [
                {
                    "row": 1, "name": "cost per request", "unit": "µs",
                    "min": 3.0, "median": 3.25, "max": 3.5, "repetitions": 3,
                    "limit": "at most", "must": 4.0, "moonshot": 2.5, "verdict": "met",
                    "peer": {"name": "csv", "min": 4.0, "median": 4.0, "max": 4.0, "repetitions": 1},
                }
            ],
        }  # fmt: skip

    def test_only_the_result_is_left(self, tmp_path: Path) -> None:
        """The draft it was written to has gone."""
        write_json(tmp_path / "results.json", document([share(0.8)], {}))
        assert [tmp_path / "results.json"] == list(tmp_path.iterdir())


class TestTraffic:
    def test_a_message_has_twelve_fields_and_its_correlation_id(self) -> None:
        """The payload is the one that the budgets speak of."""
        ((correlation_id, payload),) = messages(1)
        message = json.loads(payload)
        assert (12, correlation_id) == (len(message), message["correlation_id"])

    def test_the_same_seed_gives_the_same_traffic(self) -> None:
        """Two runs measure the same work."""
        assert list(messages(50)) == list(messages(50))

    def test_records_are_numbered_from_one_and_take_turns(self) -> None:
        """The recorder accepts them as one stream."""
        made = records(40, started_at=1_000.0, per_second=10)
        first, last = made[0], made[-1]
        assert (1, NAMES[0], 1_000.0) == (first[0], first[3], first[6])
        assert (40, NAMES[19], 1_003.9) == (last[0], last[3], last[6])
