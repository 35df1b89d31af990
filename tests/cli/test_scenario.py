"""`streamlab scenario`: files are written, checked, listed and shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator
from scenario_corpus import FULL, SMALL, changed

from streamlab_plugin.cli.scenario import TYPES, scenario
from streamlab_plugin.config import packaged, read_scenario
from streamlab_plugin.core.errors import ConfigError


def run(*arguments: str | Path) -> Result:
    """Run `streamlab scenario` with *arguments*."""
    return CliRunner().invoke(scenario, [str(one) for one in arguments])


def files(folder: Path) -> dict[str, bytes]:
    """Return name and content of every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A file with the smallest scenario."""
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL))
    return path


class TestGenerate:
    """`streamlab scenario generate`."""

    def test_all(self, tmp_path: Path) -> None:
        """Every type gets a valid file whose scenario has its name."""
        assert 0 == run("generate", "--type", "all", "--output", tmp_path / "new" / "folder").exit_code
        found = sorted((tmp_path / "new" / "folder").iterdir())
        assert sorted(f"{name}.yaml" for name in TYPES) == [path.name for path in found]
        assert sorted(TYPES) == [read_scenario(path).name for path in found]

    def test_the_packaged_ones_are_all_there_is(self) -> None:
        """The folder of packaged scenarios has exactly the types."""
        folder = packaged("rules") / "scenarios"
        assert sorted(f"{name}.yaml" for name in TYPES) == sorted(path.name for path in folder.iterdir())

    @pytest.mark.parametrize("seed", [[], ["--seed", "12345"]])
    def test_again(self, tmp_path: Path, seed: list[str]) -> None:
        """The same command writes the same bytes, into the same folder or another one."""
        for folder in ("one", "other", "one"):
            assert 0 == run("generate", "--type", "all", "--output", tmp_path / folder, *seed).exit_code
        assert files(tmp_path / "one") == files(tmp_path / "other")

    @pytest.mark.parametrize("kind", TYPES)
    def test_seed(self, tmp_path: Path, kind: str) -> None:
        """The seed given is that of every payload and fault."""
        run("generate", "--type", kind, "--output", tmp_path, "--seed", "12345")
        found = read_scenario(tmp_path / f"{kind}.yaml")
        seeds = {part.payload.seed for part in found.parts if part.messages_per_second != 0}
        seeds |= {found.failure_injection.seed} if found.failure_injection else set()
        assert {12345} == seeds

    def test_one(self, tmp_path: Path) -> None:
        """A type by name writes that one only, and says where."""
        result = run("generate", "--type", "fan-in", "--output", tmp_path)
        assert [f"{tmp_path}/fan-in.yaml"] == result.stdout.splitlines() == list(map(str, tmp_path.iterdir()))

    def test_an_edited_file_stays(self, tmp_path: Path) -> None:
        """A file with other content is not overwritten, and nothing else is written then."""
        (tmp_path / "stress.yaml").write_text("mine")
        result = run("generate", "--type", "all", "--output", tmp_path)
        assert isinstance(result.exception, ConfigError)
        assert f"{tmp_path}/stress.yaml: there is another file of this name" in str(result.exception)
        assert {"stress.yaml": b"mine"} == files(tmp_path)

    def test_a_folder_that_cannot_be(self, small: Path) -> None:
        """A file in the place of the folder is one line."""
        result = run("generate", "--type", "http", "--output", small)
        assert isinstance(result.exception, ConfigError)
        assert "cannot be written" in str(result.exception)


class TestValidate:
    """`streamlab scenario validate`."""

    def test_valid(self, small: Path) -> None:
        """A valid file is named with its scenario."""
        result = run("validate", small)
        assert (0, f"{small}: valid (small)\n", "") == (result.exit_code, result.stdout, result.stderr)

    def test_every_problem_of_every_file(self, tmp_path: Path, small: Path) -> None:
        """Each problem is one line with file, line and field; valid files are named; the exit code is 2."""
        broken = tmp_path / "broken.yaml"
        broken.write_text(
            "name: a b\nprotocol: http\nendpoint: http://h\nconnections: 1\nduration_seconds: 1\n"
            "failure_injection:\n  - kind: delay\n    delay_ms: 5\n    probablity: 0.1\n"
        )
        other = tmp_path / "other.yaml"
        other.write_text("name: [\n")
        result = run("validate", broken, small, other, tmp_path / "missing.yaml")
        assert 2 == result.exit_code
        assert f"{small}: valid (small)\n" == result.stdout
        lines = result.stderr.splitlines()
        assert 4 == len(lines)
        assert lines[0].startswith(f"{broken}:1: name: 'a b' is not accepted; use letters")
        assert lines[1].startswith(f"{broken}:9: failure_injection.0.probablity: unknown key")
        assert "did you mean 'probability'?" in lines[1]
        assert lines[2].startswith(f"{other}:2: name: not valid YAML: ")
        assert f"{tmp_path}/missing.yaml: there is no such file" == lines[3]

    def test_redaction_rules_are_a_privacy_policy(self, tmp_path: Path) -> None:
        """What is always removed cannot be kept."""
        path = tmp_path / "a.json"
        path.write_text(
            json.dumps(changed(SMALL, piiRedactionRules={"allowlistedFields": ["password"]}), indent=1)
        )
        result = run("validate", path)
        assert (
            f"{path}:9: piiRedactionRules.allowlistedFields.0: 'password' is always removed" in result.stderr
        )

    def test_no_file(self) -> None:
        """Without a file it is a wrong use."""
        assert 2 == run("validate").exit_code


class TestList:
    """`streamlab scenario list`."""

    def test_packaged(self) -> None:
        """Without a folder, the packaged ones: name, protocols, duration, rate."""
        rows = {line.split()[0]: line.split()[1:] for line in run("list").stdout.splitlines()[1:]}
        assert set(TYPES) == set(rows)
        assert ["websocket+mqtt+http", "60", "60", "60"] == rows["mixed"]
        assert ["mqtt", "60", "100", "10"] == rows["fan-out"]

    def test_json(self, tmp_path: Path, small: Path) -> None:
        """A folder's scenarios as JSON; other files are left alone."""
        (tmp_path / "notes.txt").write_text("no scenario")
        assert [
            {
                "name": "small", "protocol": "http", "protocols": ["http"], "duration_seconds": 10,
                "connections": 5, "messages_per_second": 5, "criticality": "normal", "tags": [],
                "file": str(small),
            }
        ] == json.loads(run("list", tmp_path, "--json").stdout)  # fmt: skip

    def test_a_broken_one(self, tmp_path: Path, small: Path) -> None:
        """It does not hide the others, but is said and is an error."""
        (tmp_path / "broken.yaml").write_text("name: a b\n")
        result = run("list", tmp_path)
        assert "small" in result.stdout
        assert isinstance(result.exception, ConfigError)
        assert "broken.yaml:1: " in str(result.exception)

    def test_no_folder(self, tmp_path: Path) -> None:
        """A folder that does not exist is one line."""
        assert "there is no such folder" in str(run("list", tmp_path / "none").exception)


class TestShow:
    """`streamlab scenario show`."""

    def test_by_name(self) -> None:
        """A packaged scenario is known by its name."""
        lines = run("show", "reconnect-storm").stdout.splitlines()
        assert lines[0].startswith("reconnect-storm: Between second 20 and 25")
        assert "  fault drop_connection: probability 0.9, 20 s to 25 s" in lines

    def test_file_as_json(self, tmp_path: Path) -> None:
        """A file with everything, as JSON with every default."""
        path = tmp_path / "full.json"
        path.write_text(json.dumps(FULL))
        shown = json.loads(run("show", path, "--json").stdout)
        assert {"distribution": "lognormal", "median": 0.5, "sigma": 0.3} == shown["think_time"]
        assert [0.0, None] == [
            shown["failure_injection"]["faults"][0][name] for name in ("from_s", "until_s")
        ]
        assert ["websocket", "mqtt", "http"] == [part["protocol"] for part in shown["parts"]]

    @pytest.mark.parametrize("name", TYPES)
    def test_every_packaged_one(self, name: str) -> None:
        """Each can be shown."""
        assert 0 == run("show", name).exit_code

    def test_neither_name_nor_file(self) -> None:
        """The nearest name is the remedy."""
        assert "did you mean 'soak'?" in str(run("show", "sok").exception)


class TestSchema:
    """`streamlab scenario schema`."""

    def test_it_is_the_packaged_file(self) -> None:
        """What is printed is what is shipped, to the byte, and a JSON schema."""
        text = run("schema").stdout
        assert (packaged("rules") / "scenario.schema.json").read_text() == text
        Draft202012Validator.check_schema(json.loads(text))
