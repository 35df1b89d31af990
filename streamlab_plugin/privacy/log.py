"""Clean log records at their birth, before any handler can see them.

Task exceptions reach the log of Locust as message and traceback; a filter would have to sit on every
handler, also on those added later. A record factory sees every record once.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import re2

from streamlab_plugin.privacy.detector import clean_text

# Locust reports users as {"ClassName": 5} and names workers host_uuid; both are needed to read its log.
_LOCUSTS_OWN = re2.compile(
    r'\{(?:"[A-Za-z_][A-Za-z0-9_]*": \d{1,6}(?:, )?)*\}|\b[A-Za-z0-9.-]+_[0-9a-f]{32}\b'
)


def cleans(name: str) -> bool:
    """Whether records of this logger are cleaned: Locust's own and the root logger, which Locust uses too."""
    return name in ("root", "locust") or name.startswith("locust.")


def cleaning_factory(make: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    """Wrap a log record factory so that records of `cleans` loggers carry clean text only."""

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if cleans(record.name):
            _clean(record)
        return record

    factory.streamlab_cleaning = True  # type: ignore[attr-defined]
    return factory


def install_cleaning() -> None:
    """Put the cleaning factory in front of the current one; a second call changes nothing."""
    current = logging.getLogRecordFactory()
    if not getattr(current, "streamlab_cleaning", False):
        logging.setLogRecordFactory(cleaning_factory(current))


def _clean(record: logging.LogRecord) -> None:
    try:
        message = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            record.exc_text = _clean_lines("".join(traceback.format_exception(*record.exc_info)).rstrip())
            record.exc_info = None
        record.msg = _clean_lines(message)
    except Exception:  # noqa: BLE001 - logging must not raise; fail closed
        record.msg = "[unreadable log message]"
        record.exc_info = None
    record.args = ()


def _clean_lines(text: str) -> str:
    # Line by line: the cap of the detector applies to a line, not to a whole traceback.
    return "\n".join(_clean_line(line) if line.strip() else line for line in text.split("\n"))


def _clean_line(line: str) -> str:
    pieces, end = [], 0
    for match in _LOCUSTS_OWN.finditer(line):
        pieces += [clean_text(line[end : match.start()]), match.group()]
        end = match.end()
    return "".join([*pieces, clean_text(line[end:])])
