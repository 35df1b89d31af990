"""What a browser gets: every page that a page links to, and the answers of the API behind them."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterable
from urllib.parse import quote, urljoin, urlsplit

from streamlab_plugin.core.errors import InfrastructureError

_TIMEOUT_S = 60.0
_MOST_PAGES = 400
_SAFE = "/?&=%:,;+~"
_LINK = re.compile(rb"""(?:href|src)=["']([^"'#]+)""")
LOCUST_PAGES = (
    "/", "/stats/requests", "/stats/requests/csv", "/stats/failures/csv", "/exceptions",
    "/exceptions/csv", "/logs", "/tasks", "/streamlab/",
)  # fmt: skip
OWN_PAGES = (
    "/streamlab/", "/streamlab/runs/", "/streamlab/anomalies/", "/streamlab/api/v1/overview",
    "/streamlab/api/v1/runs?limit=100", "/streamlab/api/v1/anomalies?limit=500",
    "/streamlab/api/v1/runs/latest", "/streamlab/api/v1/runs/latest/timeline",
    "/streamlab/api/v1/runs/latest/endpoints", "/streamlab/api/v1/anomalies/1", "/streamlab/nowhere",
)  # fmt: skip


def crawl(base: str, first: Iterable[str]) -> list[bytes]:
    """Return the bodies of *first* and of what they link to below ``/streamlab/``, at most 400.

    Raises:
        InfrastructureError: a page did not answer.
    """
    waiting = list(first)
    known = set(waiting)
    bodies: list[bytes] = []
    while waiting and len(bodies) < _MOST_PAGES:
        path = waiting.pop(0)
        body = _get(base + quote(path, safe=_SAFE))
        bodies.append(body)
        for link in _LINK.findall(body) if path.startswith("/streamlab/") else ():
            parts = urlsplit(urljoin(base + path, link.decode(errors="replace")))
            following = parts.path + (f"?{parts.query}" if parts.query else "")
            is_ours = base.endswith(parts.netloc) and parts.path.startswith("/streamlab/")
            if is_ours and following not in known and "/static/" not in following:
                known.add(following)
                waiting.append(following)
    return bodies


def _get(url: str) -> bytes:
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:  # noqa: S310 - always http
            body: bytes = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            body = error.read()  # an error page may show too much, as well
    except OSError as error:
        raise InfrastructureError(f"the canary cannot read {url}: {error}") from error
    return body
