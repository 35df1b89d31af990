"""`streamlab privacy canary`: what it says of options that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from streamlab_plugin.cli.privacy import privacy
from streamlab_plugin.core.errors import ConfigError


class TestOptions:
    """One line, exit code 2, and nothing was started."""

    @pytest.mark.parametrize("people", ["0", "100001", "many"])
    def test_people(self, people: str) -> None:
        """A number that cannot be is refused with its bounds."""
        result = CliRunner().invoke(privacy, ["canary", "--people", people])
        assert 2 == result.exit_code
        assert f"'--people': {people!r}" in result.output.replace(f" {people} ", f" {people!r} ")

    def test_folder_with_something_in_it(self, tmp_path: Path) -> None:
        """What is kept must not be mixed with something else."""
        (tmp_path / "mine.txt").write_text("x")
        result = CliRunner().invoke(privacy, ["canary", "--keep", str(tmp_path)])
        assert isinstance(result.exception, ConfigError)
        assert f"the folder {str(tmp_path)!r} is not empty; give a new one with --keep" == str(
            result.exception
        )

    def test_extra_is_missing(self) -> None:
        """Without the extra there is a remedy instead of a traceback."""
        code = (
            "import sys; sys.modules['amqtt'] = None; sys.argv = ['streamlab', 'privacy', 'canary']\n"
            "from streamlab_plugin.cli.main import main; main()"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
        assert 2 == done.returncode, done.stderr
        assert "streamlab: amqtt is missing; pip install 'locust-streamlab[demo]'\n" == done.stderr
