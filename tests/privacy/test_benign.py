"""What a kept field does to values that say nothing about anybody."""

from __future__ import annotations

from tests.privacy.benign import BENIGN, values
from tests.privacy.measurement import BENIGN_COUNT, touched

MOST_TOUCHED = 0.01


class TestKeptValues:
    """Values through `Redactor.redact` on a policy that keeps their field."""

    def test_benign_values_stay(self) -> None:
        """Of 50,000 ids, hashes, times, versions and the like at most one in a hundred is touched."""
        changed = {kind: some for kind, some in touched().items() if some}
        share = sum(map(len, changed.values())) / BENIGN_COUNT
        assert MOST_TOUCHED >= share, {kind: (len(some), some[:20]) for kind, some in changed.items()}

    def test_corpus(self) -> None:
        """Every kind is in it, in equal parts."""
        kinds = [kind for kind, _value in values(BENIGN_COUNT)]
        assert 50_000 == BENIGN_COUNT
        assert set(BENIGN) == set(kinds)
        assert BENIGN_COUNT / len(BENIGN) * 0.99 <= min(map(kinds.count, BENIGN))
