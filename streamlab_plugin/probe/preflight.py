"""Is this machine ready for so many users, and is their target there?

What is missing shows up in the middle of a test as errors that look like the target's.
"""

from __future__ import annotations

import resource
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamlab_plugin.probe.address import Address
from streamlab_plugin.probe.answer import OK
from streamlab_plugin.probe.attempt import Attempt, attempt
from streamlab_plugin.probe.dial import dial_tcp

# What a process needs besides one connection per user: files, pipes, libraries, the link.
OTHER_DESCRIPTORS = 100
_PORT_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_ENOUGH = 1 << 20  # for a limit that knows no end


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: *remedy* is empty unless it *is_problem*."""

    name: str
    is_problem: bool
    text: str
    remedy: str = ""
    is_changed: bool = False


def check_descriptors(users: int) -> Check:
    """Compare the limit of open files with one connection per user; raise the limit if it is too low."""
    name, needed = "descriptors", users + OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        limit = "there is no limit" if soft == resource.RLIM_INFINITY else f"the limit is {soft}"
        return Check(name, False, f"{users} users need {needed} descriptors, {limit}")
    wanted = max(_ENOUGH, needed) if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        reached = wanted
    except (ValueError, OSError):
        reached = soft
    raised = f", raised from {soft}" if reached > soft else ""
    text = f"{users} users need {needed} descriptors, the limit is {reached}{raised}"
    if reached >= needed:
        return Check(name, False, text, is_changed=True)
    return Check(name, True, text, f"raise it: ulimit -n {needed}, or spread the users over more processes")


def check_ports(users: int, targets: int = 1, port_range: Path = _PORT_RANGE) -> Check:
    """Compare the local ports with the connections to one address, if each user has one.

    Args:
        users: Users on this machine.
        targets: How many addresses they are spread over.
        port_range: Where the system tells its range; systems that do not have it are not judged.
    """
    name, needed = "ports", -(-users // max(1, targets))
    try:
        first, last = (int(word) for word in port_range.read_text().split())
    except (OSError, ValueError):
        return Check(name, False, "this system does not tell its range of local ports here")
    available = last - first + 1
    text = f"{needed} connections to one address, {available} local ports ({first} to {last})"
    if needed <= available:
        return Check(name, False, text)
    return Check(
        name, True, text,
        "widen it: sysctl -w net.ipv4.ip_local_port_range='1024 65535', or spread the users over more hosts",
    )  # fmt: skip


def check_targets(addresses: Sequence[Address], timeout_s: float) -> list[Check]:
    """Connect to each target and hang up; all at once, so that it takes *timeout_s* at most."""
    checks: dict[Address, Check] = {}

    def ask(address: Address) -> None:
        checks[address] = check_target(address, timeout_s)

    threads = [threading.Thread(target=ask, args=[address], daemon=True) for address in addresses]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [checks[address] for address in addresses]


def check_target(address: Address, timeout_s: float) -> Check:
    """Connect to a target and hang up."""
    answer = attempt(address, timeout_s, _knock)
    target = f"{address.scheme}://{address.place}"
    if answer.outcome == OK:
        return Check("target", False, f"{target} accepts connections")
    return Check("target", True, f"{target}: {answer.reason}", "check the host, and whether it is running")


def _knock(one: Attempt) -> None:
    dial_tcp(one).close()
