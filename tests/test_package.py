"""The package from outside: its public names, what an import costs, and the wheel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import streamlab_plugin

ROOT = Path(__file__).parents[1]
PUBLIC = ["Faults", "HttpUser", "MqttUser", "RequestsUser", "WebSocketUser", "arrivals", "install"]


def python(code: str, folder: Path, **variables: str) -> str:
    """Run *code* in a new interpreter in *folder* and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env={**os.environ, **variables}, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


class TestNames:
    """What ``streamlab_plugin`` offers."""

    def test_public_names(self) -> None:
        """The public names are these five."""
        assert sorted(streamlab_plugin.__all__) == PUBLIC

    def test_they_resolve_and_nothing_else_is_offered(self, tmp_path: Path) -> None:
        """A star import gives exactly the public names, each from our own package."""
        code = (
            "import json; names = {}; exec('from streamlab_plugin import *', names)\n"
            "print(json.dumps({name: value.__module__ for name, value in names.items() if name[0] != '_'}))"
        )
        homes = json.loads(python(code, tmp_path).splitlines()[-1])
        assert sorted(homes) == PUBLIC
        assert {"streamlab_plugin"} == {home.partition(".")[0] for home in homes.values()}

    def test_other_names_of_the_module(self, tmp_path: Path) -> None:
        """Besides the public names the module shows nothing but what it imports itself."""
        code = "import json, streamlab_plugin; print(json.dumps(dir(streamlab_plugin)))"
        shown = {name for name in json.loads(python(code, tmp_path)) if not name.startswith("_")}
        assert shown - {"TYPE_CHECKING", "annotations", "import_module"} == set(PUBLIC)

    def test_unknown_name(self) -> None:
        """Another name is an AttributeError, as for any module."""
        with pytest.raises(AttributeError, match="no attribute 'Httpuser'"):
            _ = streamlab_plugin.Httpuser

    def test_version(self) -> None:
        """The version is that of pyproject.toml."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert streamlab_plugin.__version__ == project["version"]


class TestImport:
    """Importing the package starts nothing."""

    def test_imports_no_framework(self, tmp_path: Path) -> None:
        """Neither Locust nor gevent, Flask or SQLAlchemy is imported with it."""
        code = "import json, sys, streamlab_plugin; print(json.dumps(sorted(sys.modules)))"
        loaded = {name.partition(".")[0] for name in json.loads(python(code, tmp_path))}
        assert set() == loaded & {"locust", "gevent", "flask", "sqlalchemy", "yaml", "numpy", "pandas"}

    def test_command_imports_no_framework(self, tmp_path: Path) -> None:
        """Neither does the command before it knows which of its groups is wanted."""
        code = "import json, sys, streamlab_plugin.cli.main; print(json.dumps(sorted(sys.modules)))"
        loaded = {name.partition(".")[0] for name in json.loads(python(code, tmp_path))}
        assert set() == loaded & {"locust", "gevent", "flask", "sqlalchemy", "yaml", "numpy", "pandas"}

    def test_locust_processes_carry_no_database(self, tmp_path: Path) -> None:
        """A worker needs neither SQLAlchemy nor a driver: 23 MB and a fifth of a second each."""
        code = "import sys, streamlab_plugin.plugin; print([*sys.modules])"
        loaded = python(code, tmp_path)
        assert "'streamlab_plugin.session'" in loaded
        assert not [name for name in ("sqlalchemy", "psycopg", "numpy") if f"'{name}'" in loaded]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which a freshly built wheel was installed, without its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    _run("build", "--wheel", "--no-isolation", "--outdir", str(folder / "dist"), str(ROOT))
    (wheel,) = (folder / "dist").glob("*.whl")
    _run("pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(folder / "site"), str(wheel))
    return folder / "site"


def _run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], text=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


class TestWheel:
    """What a user gets who has no checkout."""

    @pytest.mark.parametrize(
        ("folder", "names"),
        [
            ("rules", {"anomalies.yaml", "privacy.yaml", "slo.yaml", "scenario.schema.json", "scenarios"}),
            ("locustfiles", {"demo.py"}),
            ("dashboards", {"streamlab-sqlite.json"}),
        ],
    )
    def test_data_folders(self, installed: Path, folder: str, names: set[str]) -> None:
        """The data folders are found inside the installed package."""
        code = f"from streamlab_plugin.config import packaged; print(packaged({folder!r}))"
        found = Path(python(code, installed, PYTHONPATH=str(installed)).strip())
        assert found.is_relative_to(installed)
        assert names <= {path.name for path in found.iterdir()}

    def test_scenarios(self, installed: Path) -> None:
        """The packaged scenarios are valid where they are installed."""
        code = "from streamlab_plugin.cli.main import cli; cli(['scenario', 'list'])"
        assert "backlog-drain" in python(code, installed, PYTHONPATH=str(installed))

    def test_settings_load(self, installed: Path) -> None:
        """The packaged documents are valid where they are installed."""
        code = "from streamlab_plugin import config; print(*sorted(config.load({}, {}).documents))"
        assert python(code, installed, PYTHONPATH=str(installed)) == "privacy rules slo\n"

    def test_command(self, installed: Path) -> None:
        """The command starts from the installed package and lists what it can do."""
        code = (
            "import runpy, sys, streamlab_plugin; print(streamlab_plugin.__file__)\n"
            "sys.argv = ['streamlab', '--help']\n"
            "runpy.run_module('streamlab_plugin.cli', run_name='__main__')"
        )
        place, _newline, text = python(code, installed, PYTHONPATH=str(installed)).partition("\n")
        assert Path(place).is_relative_to(installed)
        assert "Usage: streamlab" in text

    def test_files_that_code_needs(self, installed: Path) -> None:
        """Everything beside the modules is in the wheel: migrations, templates, static files, type marker."""
        package = ROOT / "streamlab_plugin"
        expected = {
            path.relative_to(package)
            for path in package.rglob("*")
            if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
        }
        got = {
            path.relative_to(installed / "streamlab_plugin")
            for path in (installed / "streamlab_plugin").rglob("*")
        }
        assert set() == expected - got

    def test_nothing_else_is_installed(self, installed: Path) -> None:
        """No tests, benchmarks or scripts land beside the package."""
        names = {path.name.partition("-")[0] for path in installed.iterdir()}
        assert names == {"bin", "locust_streamlab", "streamlab_plugin"}
