"""The checks before a load."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path

from probe_peers import closed_port, raw_server, until_end

from streamlab_plugin.probe.address import Address
from streamlab_plugin.probe.preflight import check_ports, check_targets

# Limits are those of a process, and only root gets a hard one back: each test has its own process.
_LIMITED = """
import dataclasses, json, resource, sys
from streamlab_plugin.probe.preflight import check_descriptors
soft, hard, users = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
check = check_descriptors(users)
print(json.dumps([dataclasses.asdict(check), resource.getrlimit(resource.RLIMIT_NOFILE)[0]]))
"""


def limited(soft: int, hard: int, users: int) -> tuple[dict[str, object], int]:
    """Check descriptors under these limits; return the check and the soft limit afterwards."""
    command = [sys.executable, "-c", _LIMITED, str(soft), str(hard), str(users)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    check, after = json.loads(done.stdout)
    return check, after


class TestDescriptors:
    """`check_descriptors`: users and 100 more."""

    def test_enough(self) -> None:
        """A limit that is high enough stays as it is."""
        check, after = limited(600, 1000, 500)
        assert (False, False, 600) == (check["is_problem"], check["is_changed"], after)

    def test_raised(self) -> None:
        """A soft limit that is too low is raised to the hard one, and said so."""
        check, after = limited(600, 1000, 501)
        assert (False, True, 1000) == (check["is_problem"], check["is_changed"], after)
        assert "501 users need 601 descriptors, the limit is 1000, raised from 600" == check["text"]

    def test_too_low(self) -> None:
        """A hard limit that is too low is a problem with a remedy; what can be had is taken."""
        check, after = limited(600, 1000, 5000)
        assert (True, 1000) == (check["is_problem"], after)
        assert "ulimit -n 5100" in str(check["remedy"])


class TestPorts:
    """`check_ports`: one connection per user."""

    def test_enough(self, tmp_path: Path) -> None:
        """1,000 ports are enough for 1,000 connections to one address."""
        (tmp_path / "range").write_text("1001\t2000\n")
        assert not check_ports(1000, port_range=tmp_path / "range").is_problem

    def test_too_few(self, tmp_path: Path) -> None:
        """They are not for 1,001, unless those go to two addresses."""
        (tmp_path / "range").write_text("1001\t2000\n")
        check = check_ports(1001, port_range=tmp_path / "range")
        assert check.is_problem
        assert "1001 connections to one address, 1000 local ports (1001 to 2000)" == check.text
        assert not check_ports(1001, targets=2, port_range=tmp_path / "range").is_problem

    def test_unknown(self, tmp_path: Path) -> None:
        """A system that does not tell is not judged."""
        assert not check_ports(10**6, port_range=tmp_path / "none").is_problem


class TestTargets:
    """`check_targets`: does each accept a connection?"""

    def test_some_do(self) -> None:
        """Each has its own answer, in order; what it is asked for is no business of the check."""
        with raw_server(until_end) as port:
            good, bad = Address("wss", "127.0.0.1", port), Address("mqtt", "127.0.0.1", closed_port())
            checks = check_targets([bad, good], 5)
        assert [True, False] == [check.is_problem for check in checks]
        assert f"mqtt://{bad.place}: nothing listens on {bad.place}" == checks[0].text

    def test_none_answers(self) -> None:
        """One that does not even accept is given up after the time that it may take."""
        with socket.socket() as full, socket.socket() as first, socket.socket() as second:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for filler in (first, second):
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
            (check,) = check_targets([Address("ws", "127.0.0.1", full.getsockname()[1])], 0.3)
        assert check.text.endswith("no answer within 0.3 s, in phase tcp")
