"""When what a client reads had come to this machine, by the kernel's note.

A process that is busy reads late; that delay is its own, not the target's. Linux notes the arrival of what is
read from a TCP socket (``SO_TIMESTAMPNS``, socket(7)), from a moment after the first socket of the machine
asked for it. TLS hides the note, and other systems take none. Without one, data arrives when it is read.
"""

from __future__ import annotations

import socket
import ssl
import struct
import sys
from time import perf_counter, time
from typing import Any

# Neither is in `socket`; the note is a `timespec` of 64 bits each.
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
_ROOM_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)
_HAS_NOTES = sys.platform == "linux" and struct.calcsize("P") == 8
# What seems to have waited longer: the clock by which the kernel takes its notes has been set meanwhile.
_LONGEST_WAIT_S = 10.0


def take_notes(sock: Any) -> bool:
    """Ask the kernel to note arrivals at *sock*; tell whether `receive` may be used on it."""
    if not _HAS_NOTES or isinstance(sock, ssl.SSLSocket):
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def receive(sock: Any, limit_bytes: int) -> tuple[bytes, float]:
    """Return what there is, and when the last of it came (a `perf_counter` reading).

    Raises:
        OSError: As `socket.recv` does.
    """
    data, notes, _flags, _address = sock.recvmsg(limit_bytes, _ROOM_BYTES)
    read = perf_counter()
    for _level, _kind, note in notes:
        seconds, nanoseconds = _TIMESPEC.unpack(note)
        waited_s = time() - seconds - nanoseconds * 1e-9
        if 0.0 < waited_s < _LONGEST_WAIT_S:
            return data, read - waited_s
    return data, read
