"""How a client checks its server's certificate, and shows its own: the same for WebSocket and MQTT."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, slots=True)
class Tls:
    """Options of TLS connections; files are in PEM format.

    Without `ca_file` the system's authorities count (or those of ``SSL_CERT_FILE``). `verify` off accepts any
    certificate, of any host.
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    verify: bool = True
    server_name: str | None = None  # instead of the URL's host

    def context(self) -> ssl.SSLContext:
        """Return the context for these options; made once, since reading authorities takes milliseconds.

        Raises:
            OSError, ssl.SSLError: a file cannot be read.
        """
        return _context(self)


@lru_cache(64)
def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file)
    if tls.cert_file is not None:
        # Without a password OpenSSL would ask for that of an encrypted key, on the terminal.
        context.load_cert_chain(tls.cert_file, tls.key_file, password="")
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
