"""What the database says about the newest run, while it goes on and at its end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from streamlab_plugin.core.errors import InfrastructureError, NoVerdictError
from streamlab_plugin.core.ledger import Ledger
from streamlab_plugin.detect.delivery import Deliveries
from streamlab_plugin.store import queries
from streamlab_plugin.store.engine import open_store


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A run at one moment."""

    run: queries.Run
    protocols: Mapping[str, queries.Totals]
    ledger: Ledger
    signatures: Sequence[queries.Signature]
    fixes: Mapping[int, Sequence[queries.Fix]]
    privacy: Mapping[str, int]
    verdict: queries.Verdict | None
    deliveries: Deliveries | None


def read_snapshot(url: str, since: float) -> Snapshot | None:
    """Return what is known of the newest run that began after *since*, or None while there is none."""

    def query(connection: Connection) -> Snapshot | None:
        run = queries.find_run(connection, queries.LATEST)
        if run.started_at < since:
            return None
        signatures = queries.list_signatures(connection, queries.SignatureFilter(run_id=run.id), limit=100)
        return Snapshot(
            run,
            queries.run_summary(connection, run.id).protocols,
            queries.run_ledger(connection, run.id),
            signatures,
            queries.fixes_of(connection, [one.id for one in signatures]),
            queries.run_privacy(connection, run.id),
            queries.run_verdict(connection, run.id),
            queries.run_deliveries(connection, run.id),
        )

    try:
        return queries.read(open_store(url, read_only=True), query)
    except (InfrastructureError, NoVerdictError):
        return None  # the recorder has not made it yet
