"""Certificates for the tests, made by openssl: an authority, what it signed, and one that signed itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

_NEW = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def make(folder: Path, name: str, host: str | None = None, signer: str | None = None) -> None:
    """Write ``name.pem`` and ``name.key`` into *folder*: for *host*, signed by *signer* or by itself."""
    command = [*_NEW, "-days", "2", "-subj", f"/CN={name}", "-out", f"{name}.pem", "-keyout", f"{name}.key"]
    if host is not None:
        command += ["-addext", f"subjectAltName=DNS:{host}", "-addext", "basicConstraints=critical,CA:FALSE"]
    if signer is not None:
        command += ["-CA", f"{signer}.pem", "-CAkey", f"{signer}.key"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def make_all(folder: Path) -> None:
    """Write two authorities, certificates of the first for three hosts, and a self-signed one."""
    for name in ("ca", "other_ca"):
        make(folder, name)
    for name, host in (("localhost", "localhost"), ("elsewhere", "elsewhere.test"), ("device", "device")):
        make(folder, name, host, "ca")
    make(folder, "self_signed", "localhost")
