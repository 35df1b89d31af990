"""What stands behind a target's TLS: version, cipher, and everything that is wrong with its certificate."""

from __future__ import annotations

import ssl
import time
from typing import Any

from streamlab_plugin.probe.answer import TLS, Failure
from streamlab_plugin.probe.attempt import Attempt
from streamlab_plugin.probe.dial import WRONG_HOST, UntrustedError, client_context, dial_tcp, encrypt

VERSIONS = ("1.2", "1.3")
_DAY_S = 86_400
_NO_CHECK_TIME = 0x20_0000  # X509_V_FLAG_NO_CHECK_TIME, for which Python has no name


def probe(attempt: Attempt, min_version: str = "1.2", warn_days: float = 30) -> None:
    """Shake hands and look at the certificate.

    Where it is not trusted, more handshakes find out what it is and all that is wrong with it.

    Args:
        attempt: Where to, and how long.
        min_version: One of `VERSIONS`; an older one is a failure.
        warn_days: Warn when the certificate ends within so many days.

    Raises:
        Failure: this encryption is not to be trusted.
        TimeoutError: it took too long.
    """
    facts = attempt.facts
    problems: list[str] = []
    try:
        certificate = _shake_hands(attempt, client_context()).getpeercert()
        facts |= {"chain_is_valid": True, "host_matches": True}
    except UntrustedError as failure:
        certificate = _inspect(attempt, problems)
        problems = problems or [failure.reason]
    version = str(facts["tls_version"]).removeprefix("TLSv")
    if version < min_version:
        problems.append(f"TLS {version} is older than {min_version}")
    if certificate:
        ends = ssl.cert_time_to_seconds(str(certificate["notAfter"]))
        left = (ends - time.time()) / _DAY_S
        facts["expires_on"] = time.strftime("%Y-%m-%d", time.gmtime(ends))
        facts["days_left"] = round(left, 1)
        if 0 <= left < warn_days:
            attempt.warnings.append(f"the certificate expires in {left:.0f} days")
    if problems:
        raise Failure(TLS, "; ".join(problems))


def _inspect(attempt: Attempt, problems: list[str]) -> dict[str, Any] | None:
    """Add what is wrong with an untrusted certificate to *problems*; return its fields, if it can be read."""
    anything = client_context()
    anything.check_hostname = False
    anything.verify_mode = ssl.CERT_NONE
    encoded = _shake_hands(attempt, anything).getpeercert(binary_form=True)
    chain = client_context()
    chain.check_hostname = False
    attempt.facts |= {"chain_is_valid": True, "host_matches": True}
    try:
        _shake_hands(attempt, chain)
    except UntrustedError as failure:
        attempt.facts["chain_is_valid"] = False
        problems.append(failure.reason)
    # Python shows the fields of trusted certificates only: trust this one, whenever it is valid.
    for checks_host in (True, False):
        pinned = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        pinned.check_hostname = checks_host
        pinned.load_verify_locations(cadata=encoded)
        pinned.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
        try:
            return _shake_hands(attempt, pinned).getpeercert()
        except UntrustedError as failure:
            if failure.code in WRONG_HOST:
                attempt.facts["host_matches"] = False
                problems.append(failure.reason)
    return None


def _shake_hands(attempt: Attempt, context: ssl.SSLContext) -> ssl.SSLSocket:
    connection = encrypt(attempt, dial_tcp(attempt), context)
    attempt.keep(connection)
    cipher = connection.cipher()
    attempt.facts["cipher"] = cipher[0] if cipher else ""
    return connection
