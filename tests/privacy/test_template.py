"""Endpoint templates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.privacy.template import NAME_LIMIT, template

TEMPLATES = [
    ("/api/users/42/orders?page=2#top", "/api/users/{id}/orders"),
    ("https://u:p@host:80/users/550e8400-e29b-41d4-a716-446655440000", "/users/{uuid}"),
    ("ws://host/ws/mobile/sync/?device_id=42", "/ws/mobile/sync/"),
    ("http://host", "/"),
    ("GET http://host/items/7", "GET /items/{id}"),
    ("/f/9f86d081884c7d659a2feaa0c55ad015", "/f/{hash}"),
    ("/a/order-123/p_45/q:6/2026-11-21", "/a/order-{id}/p_{id}/q:{id}/{id}"),
    ("/device0042/sha256/123.json", "/device{id}/sha256/{id}.json"),
    ("/users/bob@example.com", "/users/{email}"),
    ("/users/bob%40example.com/x", "/users/{email}/x"),
    ("/search/John%20Smith", "/search/{text}"),
    ("/search/John%2520Smith", "/search/{text}"),
    ("/t/abcdefghij1klmnopqrstu", "/t/{token}"),
    ("/t/" + "a" * 100, "/t/{token}"),
    ("/weather/52.5200/-13.4050", "/weather/{id}/{id}"),
    ("/a;jsessionid=ABC123/b", "/a/b"),
    ("/api/v1/x", "/api/v1/x"),
    ("/api/v2.1/x", "/api/v2.1/x"),
    ("/api/[id]/{id}/:id", "/api/[id]/{id}/:id"),
    ("devices/device-0042/telemetry", "devices/device-{id}/telemetry"),
    ("devices/+/telemetry", "devices/+/telemetry"),
    ("devices/#", "devices/#"),
    ("$SYS/broker/uptime", "$SYS/broker/uptime"),
    ("01 Login", "01 Login"),
    ("Step 3: pay", "Step 3: pay"),
    ("login of bob@example.com", "login of [email]"),
    ("search?q=bob", "search?…"),
    ("/search?q=John Smith&x=1", "/search"),
    ("/pay 4111 1111 1111 1111", "/pay [card]"),
    ("a\nb\x00c\t/12", "a b c /{id}"),
    ("\ud800", ""),
]


class TestTemplate:
    """`template`."""

    @pytest.mark.parametrize(("name", "expected"), TEMPLATES)
    def test_examples(self, name: str, expected: str) -> None:
        """Ids go, what the test's author chose stays."""
        assert expected == template(name)

    @pytest.mark.parametrize("name", ["/abc" * 200, "Label " * 100, "/" + "%20" * 900, "x" * 5000])
    def test_length(self, name: str) -> None:
        """No template is longer than the limit."""
        assert len(template(name)) <= NAME_LIMIT

    @given(
        st.one_of(
            st.text(max_size=300),
            st.text(alphabet="/ab1-_:.%4?#@ {}[];+…é=", max_size=260),
            st.lists(st.sampled_from([part for name, _ in TEMPLATES for part in name.split("/")])).map(
                "/".join
            ),
        )
    )
    def test_is_idempotent(self, name: str) -> None:
        """The template of a template is itself."""
        once = template(name)
        assert once == template(once)
