"""Which bodies of HTTP are kept as payloads: decided by content type and size."""

from __future__ import annotations

from typing import Any

from streamlab_plugin.core.record import PAYLOAD_LIMIT_BYTES


def is_captured(content_type: object, captured_types: tuple[str, ...]) -> bool:
    """Tell whether one of *captured_types* is part of the media type."""
    if type(content_type) is not str:
        return False  # missing, or there several times
    media_type = content_type.partition(";")[0].lower()
    return any(part in media_type for part in captured_types)


def answered(response: Any, content: object, captured_types: tuple[str, ...]) -> object:
    """Return the body of an answer if it is to be kept: *content*, as far as it has been read."""
    headers = response.headers
    if headers is None or not content or not is_captured(headers.get("content-type"), captured_types):
        return None
    return _small(content)


def sent(request: Any, body: object, captured_types: tuple[str, ...]) -> object:
    """Return the *body* that a request was sent with if it is to be kept."""
    if not body or not is_captured(request.headers.get("content-type"), captured_types):
        return None
    return _small(body)


def _small(body: object) -> object:
    return body if isinstance(body, (bytes, str)) and len(body) <= PAYLOAD_LIMIT_BYTES else None
