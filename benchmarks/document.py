"""The tables of figures in the documents, from results.json; ``python -m benchmarks.document`` renews them.

A table stands between ``<!-- figures: NAME -->`` and ``<!-- end -->``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.recorder_cost import LOG, SERVER_TIME
from benchmarks.report import number
from benchmarks.spool import LASTS

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "docs" / "benchmarks.md", ROOT / "docs" / "scaling.md")
RESULTS = Path(__file__).with_name("results.json")
NOTHING = "–"
_PLACE = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

Entry = dict[str, Any]
Row = tuple[str, ...]


class Results:
    """What results.json holds, by name of the figure."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.machine: dict[str, Any] = content["machine"]
        self.figures: list[Entry] = content["figures"]
        self._by_name = {one["name"]: one for one in self.figures}

    def median(self, name: str, factor: float = 1.0, unit: str = "") -> str:
        """Return the median of the figure *name* times *factor*, or `NOTHING`."""
        found = self._by_name.get(name)
        return NOTHING if found is None else f"{number(found['median'] * factor)} {unit}".strip()

    def detail(self, name: str, what: str, factor: float = 1.0, unit: str = "") -> str:
        """Return what else was seen beside the figure *name*, or `NOTHING`."""
        value = self._by_name.get(name, {}).get("details", {}).get(what)
        if value is None:
            return NOTHING
        return f"{value if isinstance(value, str) else number(value * factor)} {unit}".strip()


def filled(text: str, results: Results) -> str:
    """Return *text* with every table renewed.

    Raises:
        KeyError: a mark names a table that does not exist.
    """
    return _PLACE.sub(lambda found: found[1] + TABLES[found[2]](results) + found[3], text)


def main() -> None:
    """Renew the tables of all documents."""
    results = Results(json.loads(RESULTS.read_text(encoding="utf-8")))
    for page in PAGES:
        page.write_text(filled(page.read_text(encoding="utf-8"), results), encoding="utf-8")


def _table(headings: Row, rows: Iterator[Row]) -> str:
    lines = [headings, tuple("---" for _heading in headings), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _figures(results: Results) -> str:
    def rows() -> Iterator[Row]:
        for one in results.figures:
            peer = one["peer"]
            yield (
                str(one["row"]), one["name"], f"{number(one['median'])} {one['unit']}".strip(),
                f"{number(one['min'])} … {number(one['max'])}", one["verdict"],
                "" if peer is None else f"{peer['name']}: {number(peer['median'])}",
            )  # fmt: skip

    return _table(("row", "what", "median", "min … max", "verdict", "peer"), rows())


def _ingest(results: Results) -> str:
    columns: Sequence[tuple[str, str]] = (
        ("stored when the test stops", "stored when the test stops"),
        ("everything stored after", "everything stored after, s"),
        ("dropped", "dropped"),
        ("Locust, cores", "Locust, cores"),
        ("recorder, cores", "recorder, cores"),
        ("PostgreSQL, cores", "PostgreSQL, cores"),
        ("Locust, MB", "Locust, MB"),
        ("recorder, MB", "recorder, MB"),
    )

    def rows() -> Iterator[Row]:
        for one in results.figures:
            if one["row"] == 9:
                seen = tuple(results.detail(one["name"], detail) for _heading, detail in columns)
                yield one["name"].removeprefix("sustained ingest, "), f"{number(one['median'])} /s", *seen

    return _table(("record", "rate", *(heading for heading, _detail in columns)), rows())


def _sizing(results: Results) -> str:
    work = "recorder, time per record (PostgreSQL)"
    disk = "disk per record with a 12-field payload (PostgreSQL)"
    spool = "spool per record with a 12-field payload"
    lean, full = (
        f"sustained ingest, {kind} (PostgreSQL)" for kind in ("without payload", "12-field payload")
    )
    # A byte per record is a megabyte per million, a microsecond per record a hundredth of a core per 10,000.
    rows = {
        "one Locust process and one recorder, without payload": results.median(lean, unit="/s"),
        "the same, with a 12-field payload": results.median(full, unit="/s"),
        "a recorder that is fed as fast as it takes": results.median(
            "recorder, rate (PostgreSQL)", unit="/s"
        ),
        "recorder, cores per 10,000 records/s": results.median(work, 0.01),
        "PostgreSQL, cores per 10,000 records/s": results.detail(work, SERVER_TIME, 0.01),
        "recorder, memory at the start and at most": results.detail(full, "recorder, MB", unit="MB"),
        "disk per million records": results.median(disk, unit="MB"),
        "write-ahead log per million records": results.detail(disk, LOG, unit="MB"),
        "spool per million records": results.median(spool, unit="MB"),
        "1 GB of spool at 10,000 records/s lasts": results.detail(spool, LASTS, 1 / 60, "minutes"),
    }
    return _table(("what", "measured"), iter(rows.items()))


def _machine(results: Results) -> str:
    machine = results.machine
    return (
        f"Measured on {machine['date'][:10]}: {machine['cores']} cores, Python {machine['python']}, Locust"
        f" {machine['locust']}, SQLite {machine.get('sqlite', NOTHING)}, PostgreSQL"
        f" {machine.get('postgresql', NOTHING)} with its default settings.\n"
    )


TABLES: dict[str, Callable[[Results], str]] = {
    "all": _figures,
    "ingest": _ingest,
    "sizing": _sizing,
    "machine": _machine,
}


if __name__ == "__main__":
    main()
