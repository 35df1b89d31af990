"""Exceptions that may be shown: same class for every `except` and `isinstance`, clean text, nothing else.

Locust puts `repr(exception)` into its failures table and `str(exception)` into its exceptions table, and
other listeners may read any attribute. An exception is therefore replaced by an instance of a cached
subclass of its class that carries the clean texts and no other attribute.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, NamedTuple

from streamlab_plugin.privacy.detector import clean_text

TEXT_LIMIT = 500
_CACHE_LIMIT = 4096


class CleanError(NamedTuple):
    """What may be known of an error: the object for Locust's listeners, its class name and its text."""

    shown: object
    error_type: str
    message: str
    is_timeout: bool


class ExceptionCleaner:
    """Replace exceptions by clean ones; bounded caches, one instance per Locust process.

    Args:
        reduce: Makes of a cleaned text what may be known of it, see `masking.reducer`.
    """

    def __init__(self, reduce: Callable[[str], str]) -> None:
        self._reduce = reduce
        self._classes: dict[type[BaseException], type[BaseException]] = {}
        self._texts: dict[str, str] = {}

    def clean(self, error: object) -> CleanError:
        """Return the clean form of what was passed as a request's or a task's exception.

        Locust allows a text or an integer enum in place of an exception.
        """
        if isinstance(error, BaseException):
            kind = type(error)
            message = self._text(_safely(str, error)) or _code(error)
            shown = self._instance(kind, message, self._representation(kind.__name__, error, message))
            return CleanError(shown, kind.__name__, message, _is_timeout(kind))
        if isinstance(error, (enum.Enum, int)) and not isinstance(error, str):
            name = error.name if isinstance(error, enum.Enum) else str(error)
            return CleanError(error, type(error).__name__, name, False)
        raw = _safely(str, error)
        message = self._text(raw)
        return CleanError(message, "Error", message, "timed out" in raw.lower())

    def _representation(self, name: str, error: BaseException, message: str) -> str:
        """Return how the exception shows itself; the class's name stays, the rest is a text like others."""
        raw = _safely(repr, error)
        if not raw.startswith(name):
            return self._text(raw) or f"{name}({message})"
        rest = self._text(raw[len(name) :])
        return name + rest if rest else f"{name}({message})"

    def _text(self, raw: str) -> str:
        found = self._texts.get(raw)
        if found is None:
            if len(self._texts) >= _CACHE_LIMIT:
                self._texts.clear()
            found = self._texts[raw] = self._reduce(clean_text(raw))[:TEXT_LIMIT]
        return found

    def _instance(self, kind: type[BaseException], message: str, representation: str) -> BaseException:
        subclass = self._classes.get(kind)
        if subclass is None:
            subclass = self._classes[kind] = _clean_subclass(kind)
        # The class's own __new__ and __init__ may want other arguments; the built-in base takes any.
        builtin: Any = next(base for base in kind.__mro__ if base.__module__ == "builtins")
        instance: BaseException = builtin.__new__(subclass, message)
        instance.args = (message,)
        instance.__dict__["_streamlab_texts"] = (message, representation)
        return instance


def _safely(render: type[str] | object, error: object) -> str:
    try:
        return str(error) if render is str else repr(error)
    except Exception:  # noqa: BLE001 - a class may fail to print itself
        return f"<{type(error).__name__}>"


def _code(error: BaseException) -> str:
    """Return the number by which an error is known, for those whose text says nothing."""
    for name in ("errno", "sqlstate", "status_code", "status", "code", "reason_code"):
        code = _attribute(error, name)
        if isinstance(code, int) and not isinstance(code, bool) and 0 <= code < 100_000:
            return f"code {int(code)}"
        if name == "sqlstate" and isinstance(code, str) and len(code) == 5 and code.isalnum():
            return f"code {code}"
    return ""


def _attribute(error: BaseException, name: str) -> object:
    try:
        return getattr(error, name, None)
    except Exception:  # noqa: BLE001 - a class may fail to tell
        return None


def _is_timeout(kind: type[BaseException]) -> bool:
    return issubclass(kind, TimeoutError) or "timeout" in kind.__name__.lower()


def _clean_subclass(kind: type[BaseException]) -> type[BaseException]:
    def text(self: BaseException) -> str:
        return str(self.__dict__["_streamlab_texts"][0])

    def representation(self: BaseException) -> str:
        return str(self.__dict__["_streamlab_texts"][1])

    names = {"__str__": text, "__repr__": representation, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), names)
