"""Paths of URLs in error texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamlab_plugin.privacy.url import template_paths


class TestTemplatePaths:
    """`template_paths`."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("404 for url: http://h:80/users/42/orders?…", "404 for url: http://h:80/users/{id}/orders?…"),
            ("url='/users/user-0022', retrying", "url='/users/user-{id}', retrying"),
            ("(ws://h/rooms/7) closed", "(ws://h/rooms/{id}) closed"),
            ("GET /a/1 and POST /b/2", "GET /a/{id} and POST /b/{id}"),
            ("mqtt://h/ refused", "mqtt://h/ refused"),
            ("No such file: '/var/lib/app-7/x.sock'", "No such file: '/var/lib/app-7/x.sock'"),
            ("file:///srv/data/7", "file:///srv/data/{id}"),
            ("text/html or 3/4 of http://h", "text/html or 3/4 of http://h"),
        ],
    )
    def test_text(self, text: str, expected: str) -> None:
        """Ids in paths become marks; hosts, files and other slashes stay."""
        assert expected == template_paths(text)

    @given(st.text(alphabet="/:.aé0?#'( -=%{}", max_size=40))
    def test_twice_as_once(self, text: str) -> None:
        """What is a template stays one; nothing raises."""
        once = template_paths(text)
        assert once == template_paths(once)
