"""What a run proves: "nothing found" counts only where everything was sent, seen and recorded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streamlab_plugin.canary.outcome import Outcome
from streamlab_plugin.canary.planting import plantings
from streamlab_plugin.canary.sink import Find, Sink
from streamlab_plugin.canary.trial import Trial
from streamlab_plugin.core.ledger import Ledger

PLANTED = next(plantings("http", 1, 1))
SINKS = [Sink("database", [b"x"]), Sink("log files", [b"", b"y"])]
WHOLE = Trial(10, 1, SINKS, planted=60, seen=50, on_wire=50, ledger=Ledger(produced=70, stored=70))


def outcome(trial: Trial, *finds: Find) -> Outcome:
    """Return the outcome of *trial* with *finds*."""
    return Outcome(trial, [(PLANTED, field) for field in PLANTED.values], list(finds), 0)


class TestTrial:
    """`Trial.problem`."""

    def test_whole(self) -> None:
        """All was planted, seen and recorded, and there is something in every sink."""
        assert None is WHOLE.problem()

    @pytest.mark.parametrize(
        ("trial", "expected"),
        [
            (replace(WHOLE, planted=59), "only 59 of 60 plantings were made"),
            (replace(WHOLE, seen=49), "the target saw only 49 of 50 plantings as they were sent"),
            (replace(WHOLE, ledger=Ledger(produced=70, stored=69)), "NOT BALANCED"),
            (replace(WHOLE, ledger=Ledger(produced=40, stored=40)), "stored 40"),
            (replace(WHOLE, sinks=[*SINKS, Sink("spool", [b""])]), "nothing was there to search in: spool"),
        ],
    )
    def test_proves_nothing(self, trial: Trial, expected: str) -> None:
        """Whatever is missing is said, and the exit code is that of a run without a verdict."""
        assert expected in str(trial.problem())
        assert 3 == outcome(trial).exit_code
        assert outcome(trial).verdict().startswith("NO VERDICT: ")


class TestOutcome:
    """`Outcome`."""

    def test_clean(self) -> None:
        """Nothing found in a whole run is exit code 0."""
        assert 0 == outcome(WHOLE).exit_code
        assert "clean: none of 16 planted values is in any sink" == outcome(WHOLE).verdict()

    def test_leaked(self) -> None:
        """A hit is exit code 1, also in a run that would prove nothing else; no value is shown."""
        found = outcome(replace(WHOLE, planted=1), Find(PLANTED, "email", "database", "percent"))
        assert 1 == found.exit_code
        assert [1, 0] == [found.hits("database"), found.hits("log files")]
        assert [("email", 1)] == [(find.field, count) for find, count in found.groups()]
        assert [(PLANTED, 16, 1)] == found.ways()
        assert not [value for value in PLANTED.values.values() if value in str(found.to_dict())]
