"""Before a test starts: can this machine carry its users, and is their target there?

It only warns. The checks wait in threads and sockets, which Locust has made cooperative: the event loop
goes on meanwhile.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.probe.address import ANY, Address, parse_address
from streamlab_plugin.probe.preflight import Check, check_descriptors, check_ports, check_targets

logger = logging.getLogger(__name__)

# What a target may take to accept a connection.
TARGET_S = 0.9
_MOST_TARGETS = 10


def before_test(environment: Any, role: str, workers: int) -> None:
    """Check what this process needs and log each problem; the master tells its *workers* their share."""
    options, runner = environment.parsed_options, environment.runner
    # The users of a shape are known only when they come.
    users = 0 if runner is None or environment.shape_class else int(runner.target_user_count)
    if role == "master":
        options.streamlab_preflight = {"users": -(-users // max(1, workers)), "pid": os.getpid()}
        return
    is_told_by_other = False
    processes = getattr(options, "processes", None) or 1
    if role == "worker":
        plan = getattr(options, "streamlab_preflight", None) or {}
        users = plan.get("users", 0)
        # The processes of one `locust --processes` stand on one machine: one of them speaks for all.
        is_told_by_other = plan.get("pid") == os.getppid() and runner.worker_index > 0
    for check in _checks(users, processes, _targets(environment)):
        if check.is_problem and not is_told_by_other:
            logger.warning("Streamlab preflight: %s; %s", check.text, check.remedy)
        elif check.is_changed and not is_told_by_other:
            logger.info("Streamlab preflight: %s", check.text)


def _checks(users: int, processes: int, targets: list[Address]) -> list[Check]:
    found = check_targets(targets, TARGET_S)
    if users:
        found += [check_descriptors(users), check_ports(users * processes, len(targets))]
    return found


def _targets(environment: Any) -> list[Address]:
    """Return where the users go, as far as their hosts are URLs that can be probed."""
    found: dict[tuple[str, int], Address] = {}
    for host in {environment.host or user.host for user in environment.user_classes}:
        try:
            address = parse_address(host or "", ANY)
        except ConfigError:
            continue  # a user of another protocol
        found[address.host, address.port] = address
    return list(found.values())[:_MOST_TARGETS]
