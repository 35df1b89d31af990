"""The ledger balances or says that it does not."""

from __future__ import annotations

from streamlab_plugin.core.ledger import Ledger, total


class TestIsBalanced:
    """`Ledger.is_balanced`."""

    def test_an_empty_ledger_balances(self) -> None:
        """Nothing produced, nothing missing."""
        assert Ledger().is_balanced

    def test_every_place_counts(self) -> None:
        """Stored, spooled, quarantined and dropped add up to produced."""
        assert Ledger(produced=10, stored=4, spooled=3, quarantined=1, dropped={"no_run": 2}).is_balanced

    def test_one_missing_record_is_seen(self) -> None:
        """Off by one is not balanced."""
        assert not Ledger(produced=10, stored=9).is_balanced

    def test_one_record_too_many_is_seen(self) -> None:
        """A record stored twice is not balanced either."""
        assert not Ledger(produced=10, stored=11).is_balanced

    def test_pending_records_are_not_balanced(self) -> None:
        """At the end nothing may be on its way, even if the sum fits."""
        assert not Ledger(produced=10, stored=9, pending=1).is_balanced


class TestLossIsTolerable:
    """`Ledger.loss_is_tolerable`: at most 0.1 %."""

    def test_exactly_the_limit_is_tolerable(self) -> None:
        """1 of 1,000."""
        assert Ledger(produced=1000, stored=999, dropped={"handover_full": 1}).loss_is_tolerable

    def test_above_the_limit_is_not(self) -> None:
        """2 of 1,000."""
        assert not Ledger(produced=1000, stored=998, dropped={"handover_full": 2}).loss_is_tolerable

    def test_requests_outside_a_run_are_no_loss(self) -> None:
        """They were never part of it."""
        assert Ledger(produced=10, stored=5, dropped={"no_run": 5}).loss_is_tolerable


class TestTotal:
    """`total` adds up processes."""

    def test_it_adds_reasons_by_name(self) -> None:
        """The same reason in two processes becomes one entry."""
        parts = [Ledger(5, 4, dropped={"a": 1}), Ledger(7, 4, dropped={"a": 2, "b": 1})]
        assert Ledger(12, 8, dropped={"a": 3, "b": 1}) == total(parts)


class TestText:
    """`Ledger.text` is one line for people."""

    def test_it_names_losses_and_the_balance(self) -> None:
        """Zero places are left out, reasons are named."""
        text = Ledger(produced=1200, stored=1199, dropped={"handover_full": 1}).text()
        assert "produced 1,200 · stored 1,199 · dropped (handover_full) 1 · balanced" == text

    def test_it_says_how_many_were_erased(self) -> None:
        """They stay counted among what was stored, so that the ledger balances."""
        text = total([Ledger(produced=9, stored=9, erased=2), Ledger(produced=3, stored=3, erased=1)]).text()
        assert "produced 12 · stored 12 (3 erased since) · balanced" == text
