"""Certificates for the tests: an authority, what it signed, and what nobody trusts."""

from __future__ import annotations

from pathlib import Path

import trustme


def make_all(folder: Path) -> None:
    """Write two authorities and, each with its key in one file, four certificates into *folder*.

    ``localhost`` and ``device`` are good, ``elsewhere`` is another host's, ``self_signed`` has no authority.
    """
    authority, stranger, alone = trustme.CA(), trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    stranger.cert_pem.write_to_path(str(folder / "other_ca.pem"))
    for name, host in (
        ("localhost", "localhost"),
        ("elsewhere", "elsewhere.test"),
        ("device", "device.test"),
    ):
        pem = authority.issue_cert(host).private_key_and_cert_chain_pem
        pem.write_to_path(str(folder / f"{name}.pem"))
    alone.private_key_pem.write_to_path(str(folder / "self_signed.pem"))
    alone.cert_pem.write_to_path(str(folder / "self_signed.pem"), append=True)
