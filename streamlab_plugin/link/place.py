"""Where a recorder's socket lives: one per user, host and database.

A Unix socket path holds 108 bytes at most, so the name is a short hash in a short folder.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

from streamlab_plugin.core.errors import InfrastructureError


def socket_path(fingerprint: str) -> Path:
    """Return the socket path for the database with this *fingerprint*.

    Raises:
        InfrastructureError: the folder belongs to somebody else or is open to others.
    """
    name = hashlib.sha256(f"{os.getuid()}\n{fingerprint}".encode()).hexdigest()[:16]
    return _folder() / f"{name}.sock"


def _folder() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isdir(runtime) and len(runtime) < 60:
        folder = Path(runtime) / "streamlab"
    else:
        folder = Path(tempfile.gettempdir()) / f"streamlab-{os.getuid()}"
    if len(str(folder)) > 80:
        folder = Path("/tmp") / f"streamlab-{os.getuid()}"  # noqa: S108 - owner and mode are checked below
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise InfrastructureError(f"cannot create the socket folder {folder}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise InfrastructureError(
            f"the socket folder {folder} must be a directory of yours with mode 0700; "
            "remove it or set XDG_RUNTIME_DIR"
        )
    return folder
