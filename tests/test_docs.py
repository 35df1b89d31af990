"""The documentation fails the build when it lies.

Blocks with the info string ``sh`` are run in order, file by file, as their reader would; a block whose info
string names a file (```` ```python locustfile.py ````) is saved under that name first. What cannot run in a
test is marked ``console`` and must be on the list of allowed commands.
"""

from __future__ import annotations

import configparser
import contextlib
import functools
import json
import os
import re
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from sqlalchemy import inspect

from streamlab_plugin import config
from streamlab_plugin.cli.main import cli
from streamlab_plugin.core import errors
from streamlab_plugin.core.ledger import SPOOL_FULL
from streamlab_plugin.link import message
from streamlab_plugin.scenario.document import json_schema
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.migrate import migrate

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "streamlab_plugin"
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
RUNNABLE = [README, *DOCS]
PAGES = [*sorted(ROOT.glob("*.md")), *DOCS, ROOT / "dashboards" / "README.md"]


# Importing Locust would patch the threads of the test process: its parser is asked in a process of its own.
_ASK_LOCUST = """
import json
from locust.argument_parser import LocustArgumentParser
from streamlab_plugin.plugin import add_options
parser = LocustArgumentParser(add_help=False)
add_options(parser)
print(json.dumps([[list(one.option_strings), getattr(one, "env_var", "")] for one in parser._actions]))
"""


@functools.cache
def locust_options() -> tuple[frozenset[str], frozenset[str]]:
    """Return the options that the plugin adds to Locust, and their environment variables."""
    answer = subprocess.run([sys.executable, "-c", _ASK_LOCUST], check=True, capture_output=True, text=True)
    actions = json.loads(answer.stdout)
    return frozenset(name for names, _ in actions for name in names), frozenset(name for _, name in actions)


def name_of(page: Path) -> str:
    """Return the id of a page's tests."""
    return str(page.relative_to(ROOT))


# The address that the documents load; a tiny server takes its place.
DOCUMENTED_TARGET = "http://localhost:8000"
RUN_S = 60

# Beginnings of the commands that may stand in a `console` block: they install, start, serve or build.
ALLOWED_IN_CONSOLE = (
    "make ",
    "pip install ",
    "export STREAMLAB_",
    "streamlab demo",
    "streamlab ui",
    "streamlab privacy canary",
    "streamlab probe",
    "python -m benchmarks",
    "python -m streamlab_plugin.demo",
)
LANGUAGES = {"sh", "console", "python", "yaml", "json", "text", "sql"}


@dataclass(frozen=True)
class Block:
    """A fenced block: language, file name if its info string has one, text, first line."""

    language: str
    name: str
    text: str
    line: int


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a document in order."""
    found: list[Block] = []
    opened, info, held = 0, "", list[str]()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.startswith("```") and not opened:
            opened, info, held = number, line[3:].strip(), []
        elif line.startswith("```"):
            language, _blank, name = info.partition(" ")
            found.append(Block(language, name, "\n".join(held) + "\n", opened))
            opened = 0
        elif opened:
            held.append(line)
    assert not opened, f"{path}:{opened}: the block has no end"
    return found


def prose(path: Path) -> str:
    """Return a document without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def section(path: Path, heading: str) -> str:
    """Return the prose below the heading of level 2."""
    match = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", prose(path), re.MULTILINE | re.DOTALL)
    assert match, f"{path.name} has no section '{heading}'"
    return match[1]


def options_in(text: str) -> set[str]:
    """Return the long options that a text names."""
    return set(re.findall(r"`(--[a-z][a-z-]*)", text))


def first_cells(text: str) -> list[str]:
    """Return the code words in the first column of the tables of a text."""
    return [
        word
        for row in re.findall(r"^\|([^|]*)\|", text, re.MULTILINE)
        for word in re.findall(r"`([^`]+)`", row)
    ]


def sources() -> Iterator[str]:
    """Yield the text of every module that a user can set something for."""
    for folder in (PACKAGE, ROOT / "locustfiles"):
        for path in folder.rglob("*.py"):
            yield path.read_text()


def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[str, click.Command]]:
    """Yield every command below *command* with its words."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None, f"{name} is listed but cannot be had"
            yield from walk(child, (*path, name))
    else:
        yield " ".join(path), command


def options_of(command: click.Command) -> set[str]:
    """Return the long options of a command."""
    return {
        name
        for one in command.params
        if isinstance(one, click.Option)
        for name in one.opts
        if name[:2] == "--"
    }


COMMANDS = dict(walk(cli, ("streamlab",)))


class TestCommands:
    """docs/cli.md names every command, option and exit code, and none that does not exist."""

    PAGE = ROOT / "docs" / "cli.md"

    def test_every_command_has_its_section(self) -> None:
        """There is one section for each command and none for another."""
        headings = re.findall(r"^## (streamlab .+)$", prose(self.PAGE), re.MULTILINE)
        assert sorted(COMMANDS) == sorted(headings)

    @pytest.mark.parametrize("words", sorted(COMMANDS))
    def test_options_of_a_command(self, words: str) -> None:
        """The first column of a command's section names exactly its options."""
        expected = options_of(COMMANDS[words])
        assert expected == {
            word.split()[0] for word in first_cells(section(self.PAGE, words)) if word[:2] == "--"
        }

    def test_options_of_locust(self) -> None:
        """The options that the plugin adds to Locust are exactly those of their section."""
        expected, _variables = locust_options()
        named = {word.split()[0] for word in first_cells(section(self.PAGE, "Options of Locust"))}
        assert expected == named

    @pytest.mark.parametrize("page", [README, PAGE, ROOT / "docs" / "slo.md"], ids=name_of)
    def test_exit_codes(self, page: Path) -> None:
        """A table names every exit code."""
        expected = {value for name, value in vars(errors).items() if name.startswith("EXIT_")}
        assert expected <= {int(code) for code in re.findall(r"\| ([0-9]) \|", page.read_text())}

    def test_streamlab_options_exist_wherever_they_are_named(self) -> None:
        """No page names a --streamlab option that Locust does not get."""
        known = options_in(section(self.PAGE, "Options of Locust"))
        for page in PAGES:
            assert set(re.findall(r"--streamlab-[a-z-]+", page.read_text())) <= known, page.name

    def test_the_recipe_for_github(self) -> None:
        """The workflow is YAML, and its commands and options exist."""
        recipe = yaml.safe_load((ROOT / "ci" / "github-actions.yml").read_text())
        scripts = [step.get("run", "") for job in recipe["jobs"].values() for step in job["steps"]]
        lines = [line for script in scripts for line in script.splitlines() if line.startswith("streamlab ")]
        assert len(lines) == 3
        for line in lines:
            words = line.split()
            command = " ".join(words[:2]) if words[1] == "locust" else " ".join(words[:3])
            assert command in COMMANDS
            if words[1] != "locust":
                assert {word for word in words if word[:2] == "--"} <= options_of(COMMANDS[command])


class TestConfiguration:
    """docs/configuration.md names every variable and key."""

    PAGE = ROOT / "docs" / "configuration.md"

    def test_every_variable(self) -> None:
        """The variables of the tables are exactly those that the package reads."""
        read = {name for text in sources() for name in re.findall(r"\b(STREAMLAB_[A-Z_]*[A-Z])\b", text)}
        read |= locust_options()[1] - {None}
        assert read == {word for word in first_cells(prose(self.PAGE)) if word.isupper()}

    def test_every_key_of_the_settings_file(self) -> None:
        """The keys of the table are exactly those that are accepted."""
        named = set(first_cells(section(self.PAGE, "streamlab.yaml")))
        assert config._KEYS == named


class TestScenarios:
    """docs/scenarios.md names every key of a scenario file."""

    PAGE = ROOT / "docs" / "scenarios.md"

    @staticmethod
    def keys(schema: Any) -> Iterator[str]:
        """Yield the keys that a JSON schema describes, in their documented spelling."""
        for one in (
            schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
        ):
            yield from TestScenarios.keys(one)
        if isinstance(schema, dict) and isinstance(properties := schema.get("properties"), dict):
            for name, one in properties.items():
                if "description" in one and not one["description"].startswith("The same as"):
                    yield name

    def test_every_key(self) -> None:
        """The first columns of the tables name exactly the keys of the published schema."""
        assert set(self.keys(json_schema())) == set(first_cells(prose(self.PAGE)))


class TestDependencies:
    """docs/dependencies.md names every dependency and tells the truth about its use."""

    PAGE = ROOT / "docs" / "dependencies.md"
    # Packages whose import has another name.
    MODULES = {"websocket-client": "websocket", "paho-mqtt": "paho", "pyyaml": "yaml", "google-re2": "re2"}  # noqa: RUF012

    @staticmethod
    def declared() -> dict[str, set[str]]:
        """Return the names of pyproject.toml by section of the page."""
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        lists = {"Runtime": project["dependencies"]}
        lists |= {f"Extra `{name}`": wanted for name, wanted in project["optional-dependencies"].items()}
        return {name: {re.split(r"[<>=\[;~! ]", one)[0] for one in wanted} for name, wanted in lists.items()}

    @pytest.mark.parametrize("kind", ["Runtime", "Extra `demo`", "Extra `test`"])
    def test_every_dependency(self, kind: str) -> None:
        """Each section names exactly the packages of pyproject.toml."""
        rows = re.findall(r"^\| ([^|]+) \|", section(self.PAGE, kind), re.MULTILINE)
        named = {name for row in rows[1:] for name in row.split(", ")}
        assert self.declared()[kind] == named

    def test_not_used_yet(self) -> None:
        """A package that no module imports is marked so, and no other one."""
        text = "\n".join(path.read_text() for path in PACKAGE.rglob("*.py"))
        # websocket-client imports wsaccel by itself where it is installed.
        unused = {
            name
            for name in self.declared()["Runtime"] - {"wsaccel"}
            if not re.search(rf"^\s*(?:import|from) _?{self.MODULES.get(name, name)}\b", text, re.MULTILINE)
        }
        assert unused == set(
            re.findall(r"^\| (\S+) \|[^|]*Not used yet", section(self.PAGE, "Runtime"), re.MULTILINE)
        )


class TestArchitecture:
    """docs/architecture.md describes the code as it is."""

    PAGE = ROOT / "docs" / "architecture.md"

    def test_every_column_of_a_record(self, tmp_path: Path) -> None:
        """The table of the record has exactly the columns of records_flat."""
        engine = open_store(f"sqlite:///{tmp_path / 'streamlab.db'}", read_only=False)
        migrate(engine)
        expected = {column["name"] for column in inspect(engine).get_columns("records_flat")}
        assert expected == set(first_cells(section(self.PAGE, "The record")))

    def test_every_drop_reason(self) -> None:
        """Each reason for which a record can be dropped is explained, and no other."""
        reasons = {reason for text in sources() for reason in re.findall(r"\.drop\(\"(\w+)\"", text)}
        assert reasons | {SPOOL_FULL} == set(first_cells(section(self.PAGE, "The ledger")))

    def test_every_message(self) -> None:
        """Each message of the link stands in the table with its tag."""
        kinds = [*message.Uplink.__args__, *message.Downlink.__args__]
        expected = {(kind.__name__, str(kind.__struct_config__.tag)) for kind in kinds}
        assert expected == set(
            re.findall(r"^\| `(\w+)` \| `(\w+)` \|", section(self.PAGE, "The messages"), re.MULTILINE)
        )

    def test_the_rooms(self) -> None:
        """The layers drawn are those that the import contract enforces."""
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        assert any(
            block.text.strip() == setup["importlinter:contract:direction"]["layers"].strip()
            for block in blocks(self.PAGE)
        )


class TestReadme:
    """README names what exists."""

    def test_rooms(self) -> None:
        """Every folder and module of the table of rooms exists, and every room is in it."""
        named = first_cells(section(README, "The rooms"))
        assert [] == [name for name in named if not (ROOT / name).exists()]
        rooms = {f"streamlab_plugin/{path.parent.name}/" for path in PACKAGE.glob("*/__init__.py")}
        assert rooms <= set(named)

    def test_locustfile_is_short(self) -> None:
        """The first locustfile has at most 12 lines, install() and one user."""
        text = next(block.text for block in blocks(README) if block.name == "locustfile.py")
        assert len(text.splitlines()) <= 12
        assert (1, 1) == (text.count("install()\n"), text.count("class "))


class TestPages:
    """What holds for every page."""

    @pytest.mark.parametrize("page", PAGES, ids=name_of)
    def test_relative_links(self, page: Path) -> None:
        """Every relative link leads to a file, and its fragment to a heading."""
        broken = []
        for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if re.match(r"[a-z]+:", link):
                continue
            name, _mark, fragment = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists() or (fragment and fragment not in anchors(target)):
                broken.append(link)
        assert [] == broken

    @pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
    def test_languages(self, page: Path) -> None:
        """Every block says what it is, so that none escapes the tests."""
        assert [] == [
            f"{page.name}:{block.line}" for block in blocks(page) if block.language not in LANGUAGES
        ]

    @pytest.mark.parametrize("page", [*RUNNABLE, ROOT / "CONTRIBUTING.md"], ids=name_of)
    def test_console_commands_are_allowed(self, page: Path) -> None:
        """A block that is not run holds only commands that cannot run here."""
        lines = [
            line for block in blocks(page) if block.language == "console" for line in block.text.splitlines()
        ]
        commands = [line.removeprefix("$ ") for line in lines if line.strip() and not line.startswith("#")]
        commands = [re.sub(r"^[A-Z_]+=\S+ ", "", line) for line in commands]
        assert [] == [line for line in commands if not f"{line} ".startswith(ALLOWED_IN_CONSOLE)]

    @pytest.mark.parametrize("page", RUNNABLE, ids=name_of)
    def test_options_of_streamlab_commands(self, page: Path) -> None:
        """The streamlab commands in blocks exist and have the options that they are given."""
        for block in blocks(page):
            if block.language not in ("sh", "console"):
                continue
            for line in block.text.replace("\\\n", " ").splitlines():
                words = shlex.split(line, comments=True)
                if words[:1] != ["streamlab"] or words[1] == "locust":
                    continue
                name = next(
                    (" ".join(words[:size]) for size in (2, 3) if " ".join(words[:size]) in COMMANDS), None
                )
                assert name is not None, f"{page.name}:{block.line}: {line}"
                given = {word.partition("=")[0] for word in words if word[:2] == "--"}
                assert given <= options_of(COMMANDS[name]), f"{page.name}:{block.line}: {line}"


def anchors(page: Path) -> set[str]:
    """Return the fragments of a page's headings, the way code hosts make them."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


class Answer(BaseHTTPRequestHandler):
    """Answer everything at once with a little JSON."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one segment

    def do_GET(self) -> None:
        """Answer."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "11")
        self.end_headers()
        self.wfile.write(b'{"ok":true}')

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""


@dataclass(frozen=True)
class Desk:
    """A folder in which the blocks of one document are run, and what its commands need."""

    folder: Path
    target: str
    port: int

    def environment(self) -> dict[str, str]:
        """Return the variables of a reader who has set nothing."""
        kept = {
            name: value for name, value in os.environ.items() if not re.match("STREAMLAB|LOCUST|XDG_", name)
        }
        home = self.folder.parent
        runtime = home / "run"
        runtime.mkdir(mode=0o700, exist_ok=True)
        return {
            **kept,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_CONFIG_HOME": str(home / "config"),
            # Other tests may run Locust at the same time.
            "LOCUST_MASTER_PORT": str(self.port),
            "LOCUST_MASTER_BIND_PORT": str(self.port),
            "LOCUST_MASTER_NODE_PORT": str(self.port),
        }

    def database(self) -> sqlite3.Connection:
        """Open what was recorded."""
        return sqlite3.connect(f"file:{self.folder / 'streamlab.db'}?mode=ro", uri=True)

    def run(self, page: Path) -> list[str]:
        """Save the named blocks and run the `sh` blocks in order; return what went wrong."""
        for block in blocks(page):
            if block.name:
                (self.folder / block.name).write_text(block.text)
            elif block.language == "sh":
                script = block.text.replace(DOCUMENTED_TARGET, self.target)
                done = subprocess.run(
                    ["sh", "-eu", "-c", script], cwd=self.folder, env=self.environment(), text=True,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=RUN_S,
                )  # fmt: skip
                if done.returncode:
                    where = f"{page.name}:{block.line}"
                    return [f"{where}: exit code {done.returncode}\n{script}\n{done.stdout[-4000:]}"]
        return []


@pytest.fixture(scope="module")
def target() -> Iterator[str]:
    """A tiny HTTP server; its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def read_me(target: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Desk, list[str]]:
    """The folder of a reader who has followed README, and what went wrong on the way."""
    desk = _desk(tmp_path_factory.mktemp("readme"), target)
    desk.folder.mkdir()
    for name in ("rules", "locustfiles"):
        (desk.folder / name).symlink_to(ROOT / name)
    return desk, desk.run(README)


def _desk(home: Path, target: str) -> Desk:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return Desk(home / "work", target, int(probe.getsockname()[1]))


class TestBlocks:
    """What the documents say one can type works."""

    def test_readme(self, read_me: tuple[Desk, list[str]]) -> None:
        """Every block of README runs."""
        _desk, problems = read_me
        assert [] == problems

    def test_readme_records(self, read_me: tuple[Desk, list[str]]) -> None:
        """Both locustfiles of README left a run with all of their requests, and a verdict."""
        desk, _problems = read_me
        with contextlib.closing(desk.database()) as connection:
            rows = connection.execute(
                "SELECT runs.name, verdict, produced, count(records_flat.seq), min(endpoint) FROM runs"
                " JOIN processes ON run_id = runs.id JOIN verdicts USING (run_id)"
                " JOIN records_flat USING (run) GROUP BY runs.id ORDER BY runs.started_at"
            ).fetchall()
        assert [("locustfile", "met", "/items/{id}"), ("plain", "met", "/articles/{id}")] == [
            (name, verdict, endpoint) for name, verdict, _produced, _rows, endpoint in rows
        ]
        assert all(0 < produced == count for _name, _verdict, produced, count, _endpoint in rows)

    @pytest.mark.parametrize(
        "page",
        [page for page in DOCS if any(block.language == "sh" for block in blocks(page))],
        ids=name_of,
    )
    def test_page(self, page: Path, read_me: tuple[Desk, list[str]], tmp_path: Path) -> None:
        """Every block of a page runs for somebody who has followed README."""
        before, _problems = read_me
        desk = _desk(tmp_path, before.target)
        shutil.copytree(before.folder, desk.folder, symlinks=True)
        shutil.copytree(before.folder.parent / "config", tmp_path / "config")
        assert [] == desk.run(page)


class TestDashboards:
    """The Grafana files are valid and their queries run."""

    @pytest.mark.parametrize("path", sorted((ROOT / "dashboards").glob("*.json")), ids=name_of)
    def test_queries(self, path: Path, read_me: tuple[Desk, list[str]]) -> None:
        """Every query of a dashboard runs on a recorded run, and all but the errors find something."""
        desk, _problems = read_me
        dashboard = json.loads(path.read_text())
        with contextlib.closing(desk.database()) as connection:
            (variable,) = dashboard["templating"]["list"]
            run = connection.execute(variable["query"]).fetchone()[0]
            empty = set()
            for panel in dashboard["panels"]:
                for one in panel["targets"]:
                    assert one["rawQueryText"] == one["queryText"]
                    sql = one["rawQueryText"].replace("$run", run)
                    cursor = connection.execute(sql.replace("$__from", "0").replace("$__to", "4e12"))
                    assert set(one["timeColumns"]) <= {column[0] for column in cursor.description}
                    if cursor.fetchone() is None:
                        empty.add(panel["title"])
        assert {"Errors"} == empty
