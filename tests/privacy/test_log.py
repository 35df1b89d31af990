"""Log records are clean at their birth, whoever logs and whatever handles them."""

from __future__ import annotations

import io
import logging
import traceback
from collections.abc import Iterator

import pytest

from streamlab_plugin.privacy.log import clean_log_text, cleaning_factory, cleans
from streamlab_plugin.privacy.masking import reducer

REDUCE = reducer("template", {"no", "account", "for", "key", "error", "value", "already", "exists"})


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What a handler of the root logger writes while the factory is in place."""
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(cleaning_factory(before, REDUCE))
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    yield stream
    logging.getLogger().removeHandler(handler)
    logging.setLogRecordFactory(before)


class TestFactory:
    """`cleaning_factory`."""

    @pytest.mark.parametrize("name", ["root", "locust", "locust.runners", "urllib3", "paho.mqtt", "mytest"])
    def test_all_loggers(self, log: io.StringIO, name: str) -> None:
        """Messages of Locust, of libraries and of the test itself are scanned."""
        logging.getLogger(name).error("sent to %s", "bob@example.org")
        assert "sent to [email]\n" == log.getvalue()

    @pytest.mark.parametrize(("name", "expected"), [("streamlab_plugin.session", False), ("streamlab", True)])
    def test_not_our_own(self, name: str, expected: bool) -> None:
        """Our own messages have ids of runs in them, and nothing of the target."""
        assert expected is cleans(name)

    def test_exception(self, log: io.StringIO) -> None:
        """What an exception says is a template, its class and frames stay, and its cause is no way around."""
        try:
            try:
                raise KeyError("Bob Miller")
            except KeyError as error:
                raise ValueError("no account for Bob Miller\nKey (name)=(Bob) already exists") from error
        except ValueError:
            logging.getLogger("locust.user").exception("task failed")
        text = log.getvalue()
        assert "Bob Miller" not in text.replace('raise KeyError("Bob Miller")', "").replace(
            "for Bob Miller\\n", ""
        )
        assert "KeyError: '▢'" in text
        assert "ValueError: no account for ▢" in text
        assert "Key (▢)=(▢) already exists" in text
        assert "in test_exception" in text

    def test_message_beside_an_exception(self, log: io.StringIO) -> None:
        """What is said of an exception is a template like the exception's own text."""
        try:
            raise OSError(5, "unused")
        except OSError:
            logging.getLogger("shop").exception("error for %s,\nBob Miller, Elm Street 5", "key")
        assert log.getvalue().startswith("error for key,\n▢ 5\nTraceback ")

    def test_as_locust_writes_it(self) -> None:
        """Message and traceback in one text: what comes before the frames is the exception's text too."""
        try:
            raise ValueError("no account for Bob")
        except ValueError as error:
            text = clean_log_text(f"{error}\n{traceback.format_exc()}", REDUCE)
        assert text.startswith("no account for ▢\nTraceback (most recent call last):\n")
        assert text.rstrip().endswith("ValueError: no account for ▢")

    def test_fails_closed(self, log: io.StringIO) -> None:
        """A message that cannot be made is not written at all."""
        logging.getLogger("x").error("%d", "bob@example.org")
        assert "[unreadable log message]\n" == log.getvalue()

    def test_home_directory(self, log: io.StringIO) -> None:
        """Who works here stays out of paths."""
        logging.getLogger("x").error("cannot open /home/bob/run.py and C:\\Users\\bob\\run.py")
        assert "cannot open ~/run.py and ~\\run.py\n" == log.getvalue()
