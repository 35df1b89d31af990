"""Peers for the probes, and one attempt at them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from probe_peers import Ask, Certificates, http_server, websocket_server

from streamlab_plugin.probe import address
from streamlab_plugin.probe.answer import Answer
from streamlab_plugin.probe.attempt import Attempt, attempt

LONG_S = 20.0
_SCHEMES = {**address.ANY, **address.TLS}


@pytest.fixture
def ask() -> Ask:
    """Make one attempt at a URL."""

    def once(url: str, steps: Callable[[Attempt], None], timeout_s: float = LONG_S) -> Answer:
        return attempt(address.parse_address(url, _SCHEMES), timeout_s, steps)

    return once


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority that nobody trusts by default."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trusted(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> Certificates:
    """An authority that this test trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.file))
    return certificates


@pytest.fixture(scope="module")
def ws_port() -> Iterator[int]:
    """A WebSocket server."""
    with websocket_server() as port:
        yield port


@pytest.fixture(scope="module")
def http_port() -> Iterator[int]:
    """An HTTP server."""
    with http_server() as port:
        yield port
