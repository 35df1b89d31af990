"""Addresses: what is read, what is refused, and what is never shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.probe.address import ANY, HTTP, MQTT, WEBSOCKET, Address, parse_address


class TestParse:
    """`parse_address`."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("ws://h", Address("ws", "h", 80, "/")),
            ("wss://h/a?b=c", Address("wss", "h", 443, "/a?b=c")),
            ("mqtts://h", Address("mqtts", "h", 8883, "/")),
            ("http://[::1]:8000/", Address("http", "::1", 8000, "/")),
            ("https://bücher.example/ä b", Address("https", "xn--bcher-kva.example", 443, "/%C3%A4%20b")),
            ("http://u:p%40q@h", Address("http", "h", 80, "/", "u", "p@q")),
        ],
    )
    def test_good(self, text: str, expected: Address) -> None:
        """Scheme, host, port or its default, path with query, user info."""
        assert expected == parse_address(text, ANY)

    @pytest.mark.parametrize(
        "text",
        ["", "h:80", "ftp://h", "http://", "ws://h:0", "ws://h:99999", "ws://h:x", "ws://[::1", "ws://a b",
         "ws://a..b", "ws://" + "a" * 64, "http://u:hunter2?x@h:y", "u:hunter2@h"],
    )  # fmt: skip
    def test_bad(self, text: str) -> None:
        """Anything else is a mistake of the user's, told in one line without what may be a password."""
        with pytest.raises(ConfigError) as caught:
            parse_address(text, ANY)
        assert 1 == len(str(caught.value).splitlines())
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("schemes", [WEBSOCKET, MQTT, HTTP])
    def test_the_remedy_names_the_schemes(self, schemes: dict[str, int]) -> None:
        """The message says what would be right."""
        with pytest.raises(ConfigError, match="://HOST:PORT") as caught:
            parse_address("gopher://h", schemes)
        assert all(f"{scheme}://" in str(caught.value) for scheme in schemes)

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        """Whatever a user types is an address or a `ConfigError`."""
        try:
            address = parse_address(f"http://{text}", HTTP)
        except ConfigError:
            return
        assert 0 < address.port < 65_536
        assert address.path.isascii()


class TestShown:
    """What is printed of an address."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("ws://user:hunter2@h/a?token=hunter2&v=hunter2#hunter2", "ws://h:80/a?token=…&v=…"),
            ("http://h:8080/a?hunter2", "http://h:8080/a?…"),
            ("https://[::1]/", "https://[::1]:443/"),
        ],
    )
    def test_no_secret(self, text: str, expected: str) -> None:
        """Neither user info nor values of the query."""
        address = parse_address(text, ANY)
        assert expected == address.shown
        assert "hunter2" not in repr(address)
