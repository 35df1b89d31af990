"""`streamlab privacy`: what happens to a payload is shown, and the examples beside the policy hold."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest
from batches import Feed, lean, opened_writer
from click.testing import CliRunner, Result
from seeded import Seeded

from streamlab_plugin.cli.privacy import privacy
from streamlab_plugin.config import packaged
from streamlab_plugin.core.errors import ConfigError

PAYLOAD = {"userId": 42, "status": "sent to bob@example.org", "diary": "Zqcanary", "score": 0.5}


@pytest.fixture(autouse=True)
def _key_in_a_new_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMLAB_KEY_FILE", str(tmp_path / "key"))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str | Path, text: str | None = None) -> Result:
    """Run `streamlab privacy` with *arguments*."""
    return CliRunner().invoke(privacy, [str(one) for one in arguments], input=text)


class TestExplain:
    """`streamlab privacy explain`."""

    def test_text(self, tmp_path: Path) -> None:
        """Each field has a line; no value is shown that is not stored."""
        file = tmp_path / "payload.json"
        file.write_text(json.dumps(PAYLOAD))
        result = run("explain", file)
        assert 0 == result.exit_code
        lines = {line.split()[0]: line for line in result.output.splitlines() if line.strip()}
        assert "hashed" in lines["$.userId"]
        assert '"sent to [email]"' in lines["$.status"]
        assert "not listed" in lines["$.diary"]
        assert "3 of 4 fields are stored" in result.output
        assert not any(word in result.output for word in ("Zqcanary", "bob", "42"))

    @pytest.mark.parametrize(("endpoint", "expected"), [("", "kept"), ("/v1/voice/x", "removed")])
    def test_endpoint(self, endpoint: str, expected: str) -> None:
        """The rules of an endpoint apply, and which they are is said."""
        result = run("explain", "-", "--endpoint", endpoint, "--json", text=json.dumps(PAYLOAD))
        body = json.loads(result.output)
        outcomes = {field["path"]: field["outcome"] for field in body["fields"]}
        assert expected == outcomes["$.score"]
        assert ("**voice**" in body["policy"]) is (endpoint != "")

    @pytest.mark.parametrize(("option", "expected"), [([], None), (["--allow-unsafe"], "kept")])
    def test_unsafe(self, tmp_path: Path, option: list[str], expected: str | None) -> None:
        """What is always removed can be kept only with leave; a file cannot give it."""
        policy = tmp_path / "own.yaml"
        policy.write_text("keep: [comment]\n")
        result = run(
            "explain", "-", "--policy", policy, "--json", *option, text='{"comment": "hi", "text": "x"}'
        )
        if expected is None:
            assert "own.yaml:1: keep.0: 'comment' is always removed" in str(result.exception)
        else:
            fields = {field["path"]: field["outcome"] for field in json.loads(result.output)["fields"]}
            assert {"$.comment": expected, "$.text": "removed"} == fields
        policy.write_text("keep: [comment]\nallow_unsafe: true\n")
        error = run("explain", "-", "--policy", policy, *option, text="{}").exception
        assert "own.yaml:2: allow_unsafe: allow_unsafe is no key of a policy" in str(error)

    @pytest.mark.parametrize("text", ["<xml/>", "", "{", "a=1 & b=2", "[" * 5_000])
    def test_other_bodies(self, text: str) -> None:
        """A body that is neither JSON nor a form is metadata only; that is no mistake of the user."""
        result = run("explain", "-", text=text)
        assert (0, True) == (result.exit_code, "nothing of it is stored but size, times" in result.output)

    def test_form(self) -> None:
        """A form has fields, too."""
        output = run("explain", "-", text="status=ok&email=bob%40example.org").output
        assert "1 of 2 fields are stored" in output
        assert "bob" not in output

    def test_missing_file(self, tmp_path: Path) -> None:
        """A file that is not there is named."""
        error = run("explain", tmp_path / "none.json").exception
        assert isinstance(error, ConfigError)
        assert "none.json: cannot be read (No such file or directory)" in str(error)


class TestTest:
    """`streamlab privacy test`."""

    def test_packaged(self) -> None:
        """The packaged policy stores what its examples say."""
        result = run("test")
        assert 0 == result.exit_code, result.output
        assert "DIFFERS" not in result.output

    def test_difference(self, tmp_path: Path) -> None:
        """One that is stored otherwise is shown with both, and the exit code is 1."""
        policy = tmp_path / "own.yaml"
        policy.write_text("extends: default\nhash: [battery]\n")
        (tmp_path / "own.examples.yaml").write_text(
            "examples:\n- {payload: {battery: 80}, stored: {battery: <hash>}}\n"
            "- {title: kept, payload: {type: a}, stored: {}}\n"
        )
        result = run("test", "--policy", policy)
        assert 1 == result.exit_code
        assert "ok  example 1" in result.output
        assert 'DIFFERS  kept\n    expected {}\n    stored   {"type": "a"}' in result.output
        assert [True, False] == [
            one["is_as_expected"] for one in json.loads(run("test", "--policy", policy, "--json").output)
        ]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("examples: []", ":1: examples: expected a mapping with a list"),
            ("examples: [3]", "expected a mapping, got int"),
            ("examples:\n- payload: 1\n  store: 2\n", ":3: examples.0.store: unknown key 'store'"),
            ("examples:\n- payload: 1\n", "`stored` is missing"),
            ("examples:\n- {payload: 1, stored: 1, endpoint: 7}\n", "expected a text, got 7"),
        ],
    )
    def test_mistake(self, tmp_path: Path, text: str, expected: str) -> None:
        """A mistake in the examples is reported with its place."""
        (tmp_path / "x.yaml").write_text(text)
        error = run("test", "--examples", tmp_path / "x.yaml").exception
        assert isinstance(error, ConfigError)
        assert expected in str(error)

    def test_no_examples(self, tmp_path: Path) -> None:
        """A policy without examples says where they would be."""
        policy = tmp_path / "own.yaml"
        policy.write_text("keep: [a]\n")
        error = run("test", "--policy", policy).exception
        assert isinstance(error, ConfigError)
        assert "own.examples.yaml: there is no such file" in str(error)

    def test_packaged_examples_are_packaged(self) -> None:
        """They lie beside the policy."""
        assert (packaged("rules") / "privacy.examples.yaml").is_file()


class TestAudit:
    """`streamlab privacy audit`."""

    @pytest.fixture(autouse=True)
    def _stored_payloads(self, database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        with closing(opened_writer(database_url, "p-1")) as writer:
            feed = Feed("p-1")
            shape = feed.keys.shape('["in","status"]')
            payload = '[{"user_id":"h","points":[{"lat":1.5}]},"ok"]'
            rows = [lean(feed.keys, 1, "/a", shape=shape, payload=payload)]
            rows.append(
                lean(feed.keys, 2, "/v1/voice", shape=feed.keys.shape('["codec"]'), payload='["opus"]')
            )
            writer.write([feed.write([], rows)])
        monkeypatch.setenv("STREAMLAB_DATABASE_URL", database_url)

    def test_keys_are_named(self) -> None:
        """S002-114: Every stored key is listed with its endpoint, its records and what the policy says."""
        result = run("audit", "--json")
        assert 0 == result.exit_code, result.output
        assert [
            ("/a", "in.points[].lat", 1, "bucket"), ("/a", "in.user_id", 1, "hash"),
            ("/a", "status", 1, "keep"), ("/v1/voice", "codec", 1, "keep"),
        ] == [
            (key["endpoint"], key["key"], key["records"], key["action"])
            for key in json.loads(result.output)["keys"]
        ]  # fmt: skip

    def test_stricter_policy(self, tmp_path: Path) -> None:
        """S002-114: A key that the policy names no more is shown with the reason; the exit code is 1."""
        policy = tmp_path / "strict.yaml"
        policy.write_text("extends: default\nendpoints: {'/v1/*': {remove: [codec]}}\n")
        assert 0 == run("audit", "--policy", policy, "--run", "latest").exit_code  # **voice** says more
        policy.write_text("extends: default\nremove: [lat]\nendpoints: {'/v1/voice': {remove: [codec]}}\n")
        result = run("audit", "--policy", policy)
        assert 1 == result.exit_code
        assert "NOT NAMED (listed in the policy for /v1/voice)" in result.output
        assert "4 keys are stored; the policy does not name 2 of them" in result.output


class TestKey:
    """`streamlab privacy key`."""

    def test_epochs(self, seeded: Seeded, monkeypatch: pytest.MonkeyPatch) -> None:
        """Keys are shown by id with their runs; a key that is destroyed is gone, its runs are not."""
        monkeypatch.setenv("STREAMLAB_DATABASE_URL", seeded.url)
        shown = json.loads(run("key", "show", "--json").output)["keys"]
        first = shown[0]["id"]
        assert [("today's", 0), ("gone", 2)] == [(key["state"], key["runs"]) for key in shown]
        result = run("key", "rotate")
        assert 0 == result.exit_code
        assert f"{first} is kept" in result.output
        assert ["today's", "kept", "gone"] == [
            key["state"] for key in json.loads(run("key", "show", "--json").output)["keys"]
        ]
        assert f"{first} is destroyed" in run("key", "destroy", first).output
        assert first not in run("key", "show").output

    def test_without_a_database(self) -> None:
        """There is a key before there is a database."""
        result = run("key", "show")
        assert 0 == result.exit_code
        assert "today's" in result.output

    def test_no_key_is_ever_printed(self, tmp_path: Path) -> None:
        """Neither the key nor a part of it shows."""
        output = run("key", "show").output + run("key", "rotate").output + run("key", "show", "--json").output
        secrets = [path.read_text().strip() for path in tmp_path.rglob("*") if path.is_file()]
        assert 2 == len(secrets)
        assert not any(
            secret[start : start + 12] in output for secret in secrets for start in range(0, 52, 4)
        )
