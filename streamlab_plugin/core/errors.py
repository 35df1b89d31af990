"""Everything Streamlab raises on purpose.

StreamlabError            exit code
├── ConfigError           2   a file, option or value the user can correct
│   └── DocumentError     2   several of them in one document
├── NoVerdictError        3   there is nothing to judge (no run, no data)
└── InfrastructureError   4   database or recorder out of reach
"""

from __future__ import annotations

from collections.abc import Sequence

EXIT_MET = 0
EXIT_BREACHED = 1
EXIT_CONFIG = 2
EXIT_NO_VERDICT = 3
EXIT_INFRASTRUCTURE = 4


class StreamlabError(Exception):
    """Base of all errors that reach a user as one line."""

    exit_code = EXIT_CONFIG


class ConfigError(StreamlabError):
    """A value the user can correct.

    Args:
        what: What is wrong, with the offending value, as a sentence without a full stop.
        path: Where in the document, outermost key first, e.g. ``("rules", 3, "condition")``; the reader of
            the file turns it into ``file:line``.
        remedy: What to do about it.
    """

    exit_code = EXIT_CONFIG

    def __init__(self, what: str, *, path: tuple[str | int, ...] = (), remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.path = path
        self.remedy = remedy

    @property
    def problems(self) -> tuple[ConfigError, ...]:
        """Return what is wrong, one by one."""
        return (self,)

    def __str__(self) -> str:
        keys = ".".join(_printable(part) for part in self.path)
        text = f"{keys}: {self.what}" if keys else self.what
        return f"{text}; {self.remedy}" if self.remedy else text


class DocumentError(ConfigError):
    """Everything that is wrong with one document, a line for each."""

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self._problems = tuple(problems)

    @property
    def problems(self) -> tuple[ConfigError, ...]:
        """Return what is wrong, one by one."""
        return self._problems


def _printable(part: str | int) -> str:
    """Return a key as it is, or quoted and cut where it would break the line that names it."""
    text = str(part)
    return text if text.isprintable() and len(text) <= 60 else f"{text[:57]!r}..."


class NoVerdictError(StreamlabError):
    """There is nothing to judge."""

    exit_code = EXIT_NO_VERDICT


class InfrastructureError(StreamlabError):
    """The database or the recorder cannot be reached or used."""

    exit_code = EXIT_INFRASTRUCTURE
