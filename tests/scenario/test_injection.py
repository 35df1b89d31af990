"""Which fault strikes: as often as was said, the same for the same seed, whatever the time it takes."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any

import pytest

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.scenario.fault import Fault
from streamlab_plugin.scenario.fault_form import parse_fault
from streamlab_plugin.scenario.injection import Faults, delay_s

SENDS = 20_000


def fault(name: str, probability: float, kind: str = "duplicate", **more: Any) -> dict[str, Any]:
    """Return a fault as plain values."""
    return {"id": name, "kind": kind, "probability": probability, **more}


def struck(faults: Faults, count: int, user: str = "App/0", operation: str = "send", at_s: float = 0) -> Any:
    """Return what strikes each of *count* operations: an id or None."""
    found = (faults.strike(user, operation, number, at_s) for number in range(1, count + 1))
    return [None if one is None else one[0].id for one in found]


class TestStrike:
    @pytest.mark.parametrize("seed", range(5))
    def test_as_often_as_was_said(self, seed: int) -> None:
        """Probability 0.05 strikes 5 % ± 0.5 of 20,000 sends, also behind another fault."""
        found = Counter(struck(Faults([fault("a", 0.05), fault("b", 0.2), fault("c", 0.05)], seed), SENDS))
        assert 0.045 <= found["a"] / SENDS <= 0.055
        assert 0.045 <= found["c"] / SENDS <= 0.055
        assert 0.19 <= found["b"] / SENDS <= 0.21

    def test_users_together(self) -> None:
        """One operation each of 20,000 users is struck as often as 20,000 of one."""
        faults = Faults([fault("a", 0.05)])
        hits = sum(faults.strike(f"App/0/{user}", "send", 1, 0.0) is not None for user in range(SENDS))
        assert 0.045 <= hits / SENDS <= 0.055

    def test_never_and_always(self) -> None:
        """Probabilities 0 and 1 are exact."""
        assert {None} == set(struck(Faults([fault("a", 0)]), 500))
        assert {"a"} == set(struck(Faults([fault("a", 1)]), 500))

    def test_same_seed_same_faults(self) -> None:
        """Another process with the same seed strikes the same, in the same way; another seed does not."""
        declared = [fault("a", 0.3, "corrupt"), fault("b", 0.3, "delay", delay_ms=5)]
        first, second, other = (Faults(declared, seed) for seed in (7, 7, 8))
        assert struck(first, 200) == struck(second, 200)
        assert struck(first, 200) != struck(other, 200)
        dice = [one.strike("App/0", "send", 3, 0.0) for one in (Faults([fault("a", 1)], 7) for _ in "12")]
        assert 1 == len({each[1].random() for each in dice if each is not None})

    def test_independent_of_order_and_time(self) -> None:
        """What is struck depends neither on what was asked before nor on when it is asked."""
        faults = Faults([fault("a", 0.5)], 7)
        forward = struck(faults, 100)
        backward = [faults.strike("App/0", "send", number, 99.0) for number in range(100, 0, -1)]
        assert forward == [None if one is None else one[0].id for one in reversed(backward)]

    def test_users_and_operations_differ(self) -> None:
        """Two users, or two operations of one, are not struck in step."""
        faults = Faults([fault("a", 0.5)], 7)
        assert struck(faults, 100) != struck(faults, 100, user="App/1")
        assert struck(faults, 100) != struck(faults, 100, operation="request")

    def test_only_its_operations_in_its_time(self) -> None:
        """From from_s on, and no longer at until_s."""
        faults = Faults([fault("a", 1, operations=["publish", "GET"], from_s=10, until_s=20)])
        assert [None] == struck(faults, 1, at_s=15)
        times = [(9.9, [None]), (10.0, ["a"]), (19.9, ["a"]), (20.0, [None])]
        assert times == [(at, struck(faults, 1, operation="GET", at_s=at)) for at, _ in times]


class TestFaults:
    def test_ids(self) -> None:
        """A fault without an id is named after its kind, with a number where that is taken."""
        declared = [
            Fault("corrupt", 0.1),
            {"kind": "corrupt", "probability": 0.1},
            fault("corrupt-2", 0.1),
            {"kind": "malformed", "probability": 0.1},
        ]
        expected = ["corrupt:corrupt", "corrupt-3:corrupt", "corrupt-2:duplicate", "malformed:malformed"]
        assert expected == [one.label for one in Faults(declared).faults]

    def test_values(self) -> None:
        """Equal declarations are equal values; without faults it is false."""
        assert Faults([fault("a", 0.1)], 7) == Faults([fault("a", 0.1)], 7) != Faults([fault("a", 0.1)], 8)
        assert not Faults()
        assert Faults([fault("a", 0)])

    def test_one_after_the_other(self) -> None:
        """Faults that are never active together, or strike different operations, need not share."""
        Faults([fault("a", 0.9, until_s=10), fault("b", 0.9, from_s=10)])
        Faults([fault("a", 0.9, operations=["GET"]), fault("b", 0.9, operations=["POST"])])

    @pytest.mark.parametrize(
        ("declared", "what"),
        [
            ([fault("a", 0.6), fault("b", 0.6)], "of a, b add up to 1.2 at 0 s"),
            ([fault("a", 0.6, operations=["GET"]), fault("b", 0.6)], "add up to 1.2 for 'GET'"),
            ([fault("a", 0.6, until_s=11), fault("b", 0.6, from_s=10)], "at 10 s"),
            (
                [fault("a", 0.3, operations=["GET"]), fault("b", 0.6, "reorder"), fault("c", 0.6)],
                "of b, c add",
            ),
            ([fault("a", 0.1), fault("a", 0.1)], "1.id: the id 'a' occurs twice"),
            ([fault("a", 0.1), fault("b", 2)], "1.probability: 2 is out of range"),
        ],
    )
    def test_refused(self, declared: Any, what: str) -> None:
        """What cannot be is refused when it is declared."""
        with pytest.raises(ConfigError) as caught:
            Faults(declared)
        assert what in str(caught.value)


class TestDelay:
    @pytest.mark.parametrize(
        ("delay_ms", "middle_s", "range_s"),
        [
            (40, 0.04, (0.04, 0.04)),
            ([10, 30], 0.02, (0.01, 0.03)),
            ({"distribution": "exponential", "mean": 100}, 0.0693, (0.0, 2.0)),
            ({"distribution": "lognormal", "median": 5e7, "sigma": 1}, 50_000, (0.0, 86_400)),
        ],
    )
    def test_distribution(self, delay_ms: Any, middle_s: float, range_s: tuple[float, float]) -> None:
        """Half of the delays are shorter than the median of the distribution, none is longer than a day."""
        parsed = parse_fault(fault("a", 1, "delay", delay_ms=delay_ms))
        dice = Random(1)
        delays = sorted(delay_s(parsed, dice) for _ in range(2_000))
        assert pytest.approx(middle_s, rel=0.1) == delays[1_000]
        assert range_s[0] <= delays[0] <= delays[-1] <= range_s[1]
