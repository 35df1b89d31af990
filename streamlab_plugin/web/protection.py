"""What every answer of the blueprint goes through: the guard before it, the headers after it, the error page.

The guard fails closed, and no answer ever carries a traceback, whatever the host application's settings.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify, make_response, render_template, request
from werkzeug.exceptions import Forbidden, HTTPException

from streamlab_plugin.core.errors import ConfigError, InfrastructureError, NoVerdictError

Guard = Callable[[], Any]

logger = logging.getLogger(__name__)

_CSP = "; ".join(
    (
        "default-src 'self'",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)


def protect(blueprint: Blueprint, guard: Guard | None) -> None:
    """Put guard, headers and error handling around everything that *blueprint* serves, static files too."""

    def check() -> Any:
        if guard is None:
            return None
        try:
            return guard()
        except Exception as error:
            logger.exception("the guard of the pages failed; access refused")
            raise Forbidden("Access could not be checked, so it is refused.") from error

    blueprint.before_request(check)
    blueprint.after_request(_add_headers)
    blueprint.register_error_handler(Exception, _explain)


def _add_headers(response: Response) -> Response:
    headers = response.headers
    # Our own value, or flask-cors on Locust's app would let any origin read the answers.
    headers["Access-Control-Allow-Origin"] = f"{request.scheme}://{request.host}"
    headers["Content-Security-Policy"] = _CSP
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Referrer-Policy"] = "same-origin"
    is_static = request.endpoint is not None and request.endpoint.endswith(".static")
    headers["Cache-Control"] = "no-cache" if is_static else "no-store"
    return response


def _explain(error: Exception) -> Response:
    """Answer with one sentence: JSON for the API, a page for people."""
    status, sentence = _status_of(error)
    if status == 500:
        logger.error("%s failed", request.path, exc_info=error)
    if request.endpoint is not None and ".api_" in request.endpoint:
        return make_response(jsonify(error=sentence), status)
    page = render_template("streamlab/error.html", status=status, sentence=sentence, active="")
    return make_response(page, status)


def _status_of(error: Exception) -> tuple[int, str]:
    if isinstance(error, HTTPException):
        return error.code or 500, error.description or error.name
    if isinstance(error, InfrastructureError):
        return 503, _sentence(error)
    if isinstance(error, ConfigError | NoVerdictError):
        return 404, _sentence(error)
    return 500, "Something went wrong inside Streamlab; its log has the details."


def _sentence(error: Exception) -> str:
    words = str(error)
    return f"{words[:1].upper()}{words[1:]}."
