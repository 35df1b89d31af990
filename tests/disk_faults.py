"""Disks that are full, read-only or broken while a process works on them.

Two ways, since neither can do all: a small disk of its own in memory, which really is full or read-only but
needs the right to mount; and a library preloaded into the process under test, which lets its calls fail but
needs a C compiler.
"""

from __future__ import annotations

import atexit
import errno
import functools
import mmap
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

BALLAST = ".ballast"
SOURCE = Path(__file__).with_suffix(".c")
NUMBERS = {"EIO": errno.EIO, "EROFS": errno.EROFS, "ENOSPC": errno.ENOSPC}
SWITCH = struct.Struct("=ii")  # the errno to fail with, or 0; how many calls failed


class DiskFaultUnavailable(Exception):  # noqa: N818 - the reason to skip a test, not an error of it
    """This machine cannot make that fault; the text says what is missing."""


@contextmanager
def small_disk(folder: Path, size_mb: int) -> Iterator[Path]:
    """Mount a disk of *size_mb* MiB on *folder* and take it away at the end, also while files on it are open.

    Raises:
        DiskFaultUnavailable: Mounting is not permitted here.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "-o", f"size={size_mb}m", "streamlab-test", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> int:
    """Take all space that is left on the small disk at *folder*; return how many bytes that were.

    Space that a file there gives back afterwards is free for all.

    Raises:
        ValueError: *folder* is not a disk of its own: filling it would fill the machine's.
    """
    if not os.path.ismount(folder):
        raise ValueError(f"{folder} is not a small disk: mount one there with small_disk")
    taken = 0
    with (folder / BALLAST).open("ab", buffering=0) as ballast:
        for block in (1 << 20, 1 << 12):
            try:
                while True:
                    taken += ballast.write(bytes(block))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return taken


def free(folder: Path) -> None:
    """Give back what `fill` took."""
    (folder / BALLAST).unlink(missing_ok=True)


def remount_read_only(folder: Path) -> None:
    """Make the small disk at *folder* read-only.

    The kernel refuses while a file there is open for writing: for a process at work use `FaultyDisk`.

    Raises:
        DiskFaultUnavailable: A file is open for writing, or mounting is not permitted.
    """
    _mount("-o", "remount,ro", folder)


def remount_writable(folder: Path) -> None:
    """Undo `remount_read_only`."""
    _mount("-o", "remount,rw", folder)


class FaultyDisk:
    """Let a child process's calls on the files below *folder* fail, on demand and at once.

    Writing, truncating, allocating and syncing fail; with EROFS also opening for writing, making, renaming
    and removing. Reading goes on, and so does writing through a mapping (of SQLite's files, the `-shm` file).
    It takes a child that starts with `environment` and is linked dynamically; its own children inherit it.

    Args:
        folder: An existing folder; the switch is kept beside it, in a file with the suffix `.fault`.

    Raises:
        DiskFaultUnavailable: Not Linux, or no C compiler.
    """

    def __init__(self, folder: Path) -> None:
        self._library = _library()
        self._folder = folder.resolve(strict=True)
        self._switch = self._folder.with_name(f"{self._folder.name}.fault")
        self._switch.write_bytes(SWITCH.pack(0, 0))
        with self._switch.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), SWITCH.size)

    def environment(self) -> dict[str, str]:
        """Return the variables to add to a child's environment."""
        preloaded = [str(self._library), *os.environ.get("LD_PRELOAD", "").split()]
        return {
            "LD_PRELOAD": " ".join(preloaded),
            "STREAMLAB_TEST_FAULT_PREFIX": str(self._folder),
            "STREAMLAB_TEST_FAULT_SWITCH": str(self._switch),
        }

    def fail(self, name: Literal["EIO", "EROFS", "ENOSPC"]) -> None:
        """Let every call fail with the errno *name* from now on."""
        self._set(NUMBERS[name])

    def heal(self) -> None:
        """Let every call through from now on."""
        self._set(0)

    @property
    def struck(self) -> int:
        """How many calls failed so far: the proof that a fault met the process at all."""
        return int(SWITCH.unpack(self._memory)[1])

    def _set(self, number: int) -> None:
        self._memory[:4] = struct.pack("=i", number)


@functools.cache
def _library() -> Path:
    """Compile the library, once per process."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if sys.platform != "linux":
        raise DiskFaultUnavailable(f"failing calls need LD_PRELOAD of Linux, this is {sys.platform}")
    if compiler is None:
        raise DiskFaultUnavailable("failing calls need a C compiler, none found: install cc, gcc or clang")
    folder = Path(tempfile.mkdtemp(prefix="streamlab-disk-faults-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    library = folder / "disk_faults.so"
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-U_FORTIFY_SOURCE", "-U_FILE_OFFSET_BITS",
         "-o", library, SOURCE, "-ldl"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode:
        raise DiskFaultUnavailable(f"{compiler} cannot compile {SOURCE.name}: {done.stderr}")
    return library


def _mount(*arguments: str | Path) -> None:
    if sys.platform != "linux":
        raise DiskFaultUnavailable(f"small disks need tmpfs of Linux, this is {sys.platform}")
    done = subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)
    if done.returncode:
        reason = done.stderr.partition("\n")[0]
        raise DiskFaultUnavailable(f"mount {' '.join(map(str, arguments))}: {reason}")
