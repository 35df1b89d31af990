"""``python -m benchmarks [--only NAME] [--quick]``: measure, print a table, write results.json."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import (
    accuracy,
    clients,
    history,
    ingest,
    peer,
    publish,
    rate,
    recorder_cost,
    redaction,
    redaction_text,
    report,
    request_cost,
    spool,
)
from benchmarks.figure import MISSED, Figure

MEASUREMENTS = {
    "request": request_cost.measure,
    "recorder": recorder_cost.measure,
    "redaction": redaction.measure,
    "spool": spool.measure,
    "rate": rate.measure,
    "publish": publish.measure,
    "clients": clients.measure,
    "accuracy": accuracy.measure,
    "ingest": ingest.measure,
    "history": history.measure,
    "peer": peer.measure,
    "redaction-text": redaction_text.measure,
}
RESULTS = Path(__file__).with_name("results.json")


def main() -> int:
    """Return 0 when every figure meets its must, 1 when one misses it; small numbers are not judged."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure the budgets of docs/benchmarks.md."
    )
    parser.add_argument("--only", choices=MEASUREMENTS, help="measure this alone; no results file is written")
    parser.add_argument(
        "--quick", action="store_true", help="small numbers, to see that everything works; no results file"
    )
    options = parser.parse_args()
    figures: list[Figure] = []
    for name, measure in MEASUREMENTS.items():
        if options.only in (None, name):
            figures += measure(is_quick=options.quick)
    figures.sort(key=lambda figure: figure.row)
    print(report.table(figures))
    if options.only is None and not options.quick:
        report.write_json(RESULTS, report.document(figures, report.machine()))
    return int(not options.quick and any(figure.verdict == MISSED for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
