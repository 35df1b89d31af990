from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner
from seeded import Seeded
from sqlalchemy import Engine

from streamlab_plugin.cli.ui import make_ui_server, ui
from streamlab_plugin.core.errors import InfrastructureError


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


class TestMakeUiServer:
    @pytest.fixture
    def address(self, seeded_engine: Engine) -> Iterator[str]:
        server = make_ui_server(seeded_engine, "127.0.0.1", 0)
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.port}"
        server.shutdown()
        thread.join()
        server.server_close()

    def test_serves(self, address: str) -> None:
        """The pages are there, and the root leads to them."""
        with urlopen(f"{address}/") as answer:
            assert answer.url == f"{address}/streamlab/"
            assert b"mobile sync" in answer.read()

    def test_foreign_host_name(self, address: str) -> None:
        """A foreign name that resolves to this machine is refused."""
        request = Request(f"{address}/streamlab/api/v1/runs", headers={"Host": "evil.test"})
        with pytest.raises(HTTPError) as caught:
            urlopen(request)
        with caught.value:
            assert caught.value.code == 400

    def test_port_taken(self, seeded_engine: Engine, taken: int) -> None:
        """A taken port is one sentence that says what to do."""
        with pytest.raises(InfrastructureError, match=rf"port {taken}: .*in use; choose another with --port"):
            make_ui_server(seeded_engine, "127.0.0.1", taken)

    def test_not_our_address(self, seeded_engine: Engine) -> None:
        """An address of another machine is one sentence, too."""
        with pytest.raises(InfrastructureError, match=r"cannot listen on 192\.0\.2\.1"):
            make_ui_server(seeded_engine, "192.0.2.1", 0)


class TestUi:
    def test_missing_database(self, tmp_path: Path) -> None:
        """A database that is not there is exit 4, and is not created."""
        path = tmp_path / "none.db"
        result = CliRunner().invoke(ui, env={"STREAMLAB_DATABASE_URL": f"sqlite:///{path}"})
        assert isinstance(result.exception, InfrastructureError)
        assert result.exception.exit_code == 4
        assert not path.exists()

    def test_ends_with_ctrl_c(self, seeded: Seeded) -> None:
        """The command says where it is, serves, and ends quietly with Ctrl-C."""
        process = subprocess.Popen(
            [sys.executable, "-c", "from streamlab_plugin.cli.ui import ui; ui()", "--port", "0"],
            env={**os.environ, "STREAMLAB_DATABASE_URL": seeded.url},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            readable, _, _ = select.select([process.stdout], [], [], 20)
            assert readable, "the command said nothing within 20 s"
            found = re.search(r"http://\S+", process.stdout.readline())
            assert found is not None
            with urlopen(f"{found[0]}api/v1/health") as answer:
                assert answer.status == 200
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
        assert (process.returncode, errors) == (0, "")
