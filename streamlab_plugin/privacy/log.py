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

from streamlab_plugin.privacy.detector import clean_long

# Locust reports users as {"ClassName": 5} and names workers host_uuid; both are needed to read its log.
_LOCUSTS_OWN = re2.compile(
    r'\{(?:"[A-Za-z_][A-Za-z0-9_]*": \d{1,6}(?:, )?)*\}|\b[A-Za-z0-9.-]+_[0-9a-f]{32}\b'
)


_TRACEBACK = "Traceback (most recent call last):"
# The last line of a traceback: the exception's class, and what it says.
_EXCEPTION = re2.compile(r"([\w.]+): (.*)")

Reduce = Callable[[str], str]
"""Makes of a cleaned error text what may be known of it, see `masking.reducer`."""


def cleans(name: str) -> bool:
    """Whether records of this logger are cleaned: all but our own, which say nothing of the target's data."""
    return name != "streamlab_plugin" and not name.startswith("streamlab_plugin.")


def cleaning_factory(
    make: Callable[..., logging.LogRecord], reduce: Reduce
) -> Callable[..., logging.LogRecord]:
    """Wrap a log record factory so that records of `cleans` loggers carry clean text only."""

    def factory(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if cleans(record.name):
            _clean(record, reduce)
        return record

    factory.streamlab_cleaning = True  # type: ignore[attr-defined]
    return factory


def install_cleaning(reduce: Reduce) -> None:
    """Put the cleaning factory in front of the current one; a second call changes nothing."""
    current = logging.getLogRecordFactory()
    if not getattr(current, "streamlab_cleaning", False):
        logging.setLogRecordFactory(cleaning_factory(current, reduce))


def _clean(record: logging.LogRecord, reduce: Reduce) -> None:
    try:
        message = clean_log_text(record.getMessage(), reduce)
        if record.exc_info and record.exc_info[0] is not None:
            text = "".join(traceback.format_exception(*record.exc_info)).rstrip()
            record.exc_text = clean_log_text(text, reduce)
            record.exc_info = None
            # Whoever logs an exception says in the message what it was about.
            message = "\n".join(map(reduce, message.split("\n")))
        record.msg = message
    except Exception:  # noqa: BLE001 - logging must not raise; fail closed
        record.msg = "[unreadable log message]"
        record.exc_info = record.exc_text = None
    record.args = ()


def clean_log_text(text: str, reduce: Reduce) -> str:
    """Return a message or traceback with clean lines; what exceptions say is reduced like error texts."""
    # Line by line: the cap of the detector applies to a line, not to a whole traceback.
    lines = text.split("\n")
    if _TRACEBACK not in text:
        return "\n".join(_clean_line(line) if line.strip() else line for line in lines)
    # Before a traceback Locust says what the exception says, and so does all that follows its frames.
    is_frame = False
    cleaned = []
    for line in lines:
        if line.strip().endswith(_TRACEBACK):
            is_frame = True
        elif is_frame and line.lstrip(" |+-") == line and line.strip():
            is_frame = False
        cleaned.append(_clean_line(line) if is_frame or not line.strip() else _reduced(line, reduce))
    return "\n".join(cleaned)


def _reduced(line: str, reduce: Reduce) -> str:
    match = _EXCEPTION.fullmatch(line)
    if match is None:
        return reduce(_clean_line(line))
    return f"{match.group(1)}: {reduce(_clean_line(match.group(2)))}"


def _clean_line(line: str) -> str:
    pieces, end = [], 0
    for match in _LOCUSTS_OWN.finditer(line):
        pieces += [clean_long(line[end : match.start()]), match.group()]
        end = match.end()
    return "".join([*pieces, clean_long(line[end:])])
