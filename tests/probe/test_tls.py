"""The TLS probe: what it tells of good certificates, and a text of its own for each bad one."""

from __future__ import annotations

import ssl
import sys
from functools import partial
from pathlib import Path

import pytest
from probe_peers import Ask, Certificates, closed_port, encrypted, raw_server

from streamlab_plugin.probe import tls


class TestGood:
    """A certificate that is trusted."""

    def test_facts(self, ask: Ask, trusted: Certificates) -> None:
        """Version, cipher, chain, host, and when it ends."""
        with raw_server(encrypted(trusted.server(days_left=90))) as port:
            answer = ask(f"tls://127.0.0.1:{port}", tls.probe)
        facts = dict(answer.facts)
        assert ("ok", "TLSv1.3", True, True) == (
            answer.outcome,
            facts["tls_version"],
            facts["chain_is_valid"],
            facts["host_matches"],
        )
        assert "TLS_" in str(facts["cipher"])
        assert 90 == pytest.approx(float(facts["days_left"]), abs=0.2)
        assert () == answer.warnings

    def test_a_warning(self, ask: Ask, trusted: Certificates) -> None:
        """One that ends soon is ok, with a warning."""
        with raw_server(encrypted(trusted.server(days_left=6.5))) as port:
            warned = ask(f"tls://127.0.0.1:{port}", tls.probe)
            calm = ask(f"tls://127.0.0.1:{port}", partial(tls.probe, warn_days=5))
        assert ("ok", ("the certificate expires in 6 days",)) == (warned.outcome, warned.warnings)
        assert ("ok", ()) == (calm.outcome, calm.warnings)


class TestBad:
    """A certificate that is not trusted: outcome `tls`, and what is wrong."""

    def test_expired(self, ask: Ask, trusted: Certificates) -> None:
        """It has ended."""
        with raw_server(encrypted(trusted.server(days_left=-3))) as port:
            answer = ask(f"tls://127.0.0.1:{port}", tls.probe)
        assert ("tls", "the certificate has expired") == (answer.outcome, answer.reason)
        assert (False, True) == (answer.facts["chain_is_valid"], answer.facts["host_matches"])
        assert -3 == pytest.approx(float(answer.facts["days_left"]), abs=0.2)
        assert () == answer.warnings

    def test_self_signed(self, ask: Ask, certificates: Certificates, tmp_path: Path) -> None:
        """Nobody vouches for it; and it is for no host at all."""
        with raw_server(encrypted(certificates.self_signed(tmp_path))) as port:
            answer = ask(f"tls://127.0.0.1:{port}", tls.probe)
        assert "tls" == answer.outcome
        assert answer.reason.startswith("the certificate is self-signed")
        assert answer.reason.endswith("the certificate is not made for the host 127.0.0.1")

    def test_the_wrong_host(self, ask: Ask, trusted: Certificates) -> None:
        """It is made for another host; its chain is good."""
        with raw_server(encrypted(trusted.server("elsewhere.example"))) as port:
            answer = ask(f"tls://127.0.0.1:{port}", tls.probe)
        assert ("tls", "the certificate is not made for the host 127.0.0.1") == (
            answer.outcome,
            answer.reason,
        )
        assert (True, False) == (answer.facts["chain_is_valid"], answer.facts["host_matches"])

    def test_everything(self, ask: Ask, certificates: Certificates) -> None:
        """An unknown authority and the wrong host are both named, and the end is known all the same."""
        with raw_server(encrypted(certificates.server("elsewhere.example", days_left=9.5))) as port:
            answer = ask(f"tls://127.0.0.1:{port}", tls.probe)
        assert ["authority is not known" in answer.reason, "not made for the host" in answer.reason] == [
            True
        ] * 2
        assert ("the certificate expires in 9 days",) == answer.warnings


class TestNoCertificate:
    """Nothing is said of a certificate that was never seen."""

    def test_refused(self, ask: Ask) -> None:
        """A port that nobody listens on."""
        answer = ask(f"tls://127.0.0.1:{closed_port()}", tls.probe)
        assert ("refused", {}) == (answer.outcome, answer.facts)


class TestVersion:
    """The version of the protocol."""

    def test_older_than_wanted(self, ask: Ask, trusted: Certificates) -> None:
        """1.2 is too old where 1.3 is wanted."""
        context = trusted.server()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        with raw_server(encrypted(context)) as port:
            good = ask(f"tls://127.0.0.1:{port}", tls.probe)
            bad = ask(f"tls://127.0.0.1:{port}", partial(tls.probe, min_version="1.3"))
        assert ("ok", "TLSv1.2") == (good.outcome, good.facts["tls_version"])
        assert ("tls", "TLS 1.2 is older than 1.3") == (bad.outcome, bad.reason)

    @pytest.mark.skipif(sys.platform == "darwin", reason="no TLS 1.0 to be had")
    def test_a_server_of_the_past(self, ask: Ask, trusted: Certificates) -> None:
        """A server that speaks TLS 1.0 only is `tls`, and the text says why."""
        context = trusted.server()
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1
        with raw_server(encrypted(context)) as port:
            answer = ask(f"tls://127.0.0.1:{port}", tls.probe)
        assert ("tls", "the server offers no version of TLS from 1.2 on") == (answer.outcome, answer.reason)
