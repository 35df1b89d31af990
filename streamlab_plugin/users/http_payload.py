"""Which bodies of HTTP are kept as payloads: decided by content type and size."""

from __future__ import annotations

from typing import Any

from streamlab_plugin.core.record import PAYLOAD_LIMIT_BYTES

# Content types that are remembered; a server may make up a new one for each answer.
_REMEMBERED = 256


class Capture:
    """Decide which bodies are kept.

    Args:
        types: Parts of media types, lower case.

    Raises:
        ValueError: *types* is a text, of which each letter would be a part.
    """

    def __init__(self, types: tuple[str, ...] | str) -> None:
        if isinstance(types, str):
            raise ValueError(f"captured_types must be a tuple of texts, got {types!r}: write ({types!r},)")
        self._types = types
        self._decided: dict[str, bool] = {}

    def answer(self, headers: Any, content: bytes | None) -> bytes | None:
        """Return the *content* of an answer, as far as it has been read, if it is to be kept."""
        if not content or len(content) > PAYLOAD_LIMIT_BYTES or headers is None:
            return None
        return content if self.keeps(headers.get("content-type")) else None

    def request(self, headers: Any, body: object) -> bytes | str | None:
        """Return the *body* that a request was sent with if it is to be kept."""
        if not isinstance(body, (bytes, str)) or not body or len(body) > PAYLOAD_LIMIT_BYTES:
            return None
        return body if self.keeps(headers.get("content-type")) else None

    def keeps(self, content_type: Any) -> bool:
        """Tell whether bodies of a type are kept; never where the type is missing or there several times."""
        try:
            return self._decided[content_type]
        except (KeyError, TypeError):
            return self._decide(content_type)

    def _decide(self, content_type: object) -> bool:
        if not isinstance(content_type, str):
            return False
        media_type = content_type.partition(";")[0].lower()
        if len(self._decided) >= _REMEMBERED:
            self._decided.clear()
        is_kept = self._decided[content_type] = any(part in media_type for part in self._types)
        return is_kept
