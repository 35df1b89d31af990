"""Settings: who wins, and one line with file and line number for every mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamlab_plugin import config
from streamlab_plugin.core.errors import ConfigError

RULE = """\
rules:
  - name: slow
    description: slow
    condition: {latency_ms: {gt: 1}}
    severity: warning
    anomaly_type: slow
    tags: []
    fixes: [{type: code, title: t, steps: [a], risk: low, confidence: 0.5}]
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _refusal(kind: str, path: Path | str) -> str:
    with pytest.raises(ConfigError) as caught:
        config.load({kind: str(path)}, {})
    text = str(caught.value)
    assert "\n" not in text
    return text


class TestLoad:
    """`load`: option > environment > streamlab.yaml > packaged default."""

    def test_the_packaged_documents_are_the_default(self) -> None:
        """And they are valid."""
        settings = config.load({}, {})
        assert {"privacy", "rules", "slo"} == set(settings.documents)
        assert config.DEFAULT_DATABASE_URL == settings.database_url

    def test_an_option_wins_over_the_environment(self, tmp_path: Path) -> None:
        """Over streamlab.yaml, too."""
        for name in ("option", "environment", "own"):
            (tmp_path / f"{name}.yaml").write_text(
                f"objectives: {{http: {{max_p95_latency_ms: {len(name)}}}}}\n"
            )
        (tmp_path / "streamlab.yaml").write_text("slo: own.yaml\n")

        def limit(options: dict[str, str], environment: dict[str, str]) -> int:
            return int(
                config.load(options, environment).documents["slo"]["objectives"]["http"]["max_p95_latency_ms"]
            )

        variables = {"STREAMLAB_SLO": "environment.yaml"}
        assert len("option") == limit({"slo": "option.yaml"}, variables)
        assert len("environment") == limit({}, variables)
        assert len("own") == limit({}, {})

    def test_a_bare_rules_folder_is_never_picked_up(self, tmp_path: Path) -> None:
        """Only what is named counts."""
        (tmp_path / "rules").mkdir()
        (tmp_path / "rules" / "slo.yaml").write_text("nonsense: true\n")
        assert "http" in config.load({}, {}).documents["slo"]["objectives"]

    def test_a_file_of_ones_own_replaces_the_kind(self, tmp_path: Path) -> None:
        """Without `extends`, only its rules are left."""
        (tmp_path / "own.yaml").write_text(RULE)
        assert ["slow"] == [
            rule["name"] for rule in config.load({"rules": "own.yaml"}, {}).documents["rules"]["rules"]
        ]

    def test_extends_default_adds_to_the_packaged_rules(self, tmp_path: Path) -> None:
        """A rule of the same name is replaced, others are added."""
        (tmp_path / "own.yaml").write_text(
            "extends: default\n" + RULE.replace("name: slow", "name: slow_http")
        )
        rules = config.load({"rules": "own.yaml"}, {}).documents["rules"]["rules"]
        assert 1 == sum(rule["name"] == "slow_http" for rule in rules)
        assert "slow" == next(rule["description"] for rule in rules if rule["name"] == "slow_http")
        assert len(rules) > 20

    def test_the_body_of_a_run_holds_no_secret(self, tmp_path: Path) -> None:
        """Neither the database URL nor the key file."""
        settings = config.load(
            {}, {"STREAMLAB_DATABASE_URL": "sqlite:///hunter2.db", "STREAMLAB_KEY_FILE": "/k"}
        )
        assert b"hunter2" not in settings.body()


class TestMistakes:
    """Every mistake names file, line and key."""

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (RULE + "extra: 1\n", "own.yaml:9: "),
            (RULE.replace("gt: 1", "above: 1"), "own.yaml:4: "),
            (RULE.replace("latency_ms: {gt: 1}", 'endpoint: {regex: "("}'), "own.yaml:4: "),
            (RULE + RULE.split("\n", 1)[1], "own.yaml:9: "),
            (RULE.replace("severity: warning", "severity: awful"), "own.yaml:5: "),
            (RULE.replace("description: slow", "description: [", 1), "own.yaml:"),
            (RULE + "rules: []\n", "own.yaml:9: "),
        ],
        ids=[
            "unknown key",
            "unknown operator",
            "bad regex",
            "duplicate rule",
            "severity",
            "no YAML",
            "key twice",
        ],
    )
    def test_rules(self, tmp_path: Path, text: str, expected: str) -> None:
        """With the line at which to look."""
        (tmp_path / "own.yaml").write_text(text)
        assert expected in _refusal("rules", "own.yaml")

    def test_a_missing_file_is_named(self) -> None:
        """One line."""
        assert "none.yaml: there is no such file" == _refusal("slo", "none.yaml")

    def test_an_unknown_key_of_streamlab_yaml(self, tmp_path: Path) -> None:
        """With the known ones."""
        (tmp_path / "streamlab.yaml").write_text("databse: x\n")
        with pytest.raises(
            ConfigError, match=r"streamlab.yaml:1: databse: unknown key 'databse'; known keys are"
        ):
            config.load({}, {})

    def test_a_value_of_streamlab_yaml_is_not_repeated(self, tmp_path: Path) -> None:
        """It may hold a password."""
        (tmp_path / "streamlab.yaml").write_text("database: {url: 'postgresql://u:hunter2@db/x'}\n")
        with pytest.raises(ConfigError, match="database must be a text, got a dict") as caught:
            config.load({}, {})
        assert "hunter2" not in str(caught.value)


class TestDocuments:
    """`read_document`: YAML and JSON, and what is neither."""

    @staticmethod
    def read(name: str, content: str | bytes) -> object:
        """Write a file and read it."""
        path = Path(name)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return config.read_document(path, lambda data: data)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ('{"a": 1e3, "b": "\\ud83d\\ude00"}', {"a": 1000.0, "b": "😀"}),
            ('{\n\t"a":\t[true,\n\tnull]}', {"a": [True, None]}),
            ('{"1": "yes", "date": "2026-01-01"}', {"1": "yes", "date": "2026-01-01"}),
        ],
    )
    def test_json(self, text: str, expected: object) -> None:
        """A file named so is read by JSON's rules, not YAML's."""
        assert expected == self.read("a.json", text)

    def test_a_byte_order_mark(self) -> None:
        """It is no part of the document."""
        assert {"a": 1} == self.read("a.yaml", "\ufeffa: 1") == self.read("a.json", '\ufeff{"a": 1}')

    @pytest.mark.parametrize(
        ("name", "content", "expected"),
        [
            ("a.json", '{"a": 1,\n\t"b": 2,\n\t"b": 3}', "a.json:3: b: the key 'b' appears twice"),
            ("a.json", '{"a": 1,\n"b": NaN}', "a.json:1: document: not valid JSON: NaN is no number"),
            ("a.json", '{"a": 1,\n"b": }', "a.json:2: b: not valid JSON: Expecting value"),
            ("a.json", "", "a.json:1: document: not valid JSON"),
            ("a.yaml", b"a: 1\nb: \xff\n", "a.yaml:2: b: not valid UTF-8"),
            ("a.yaml", "a: 1\nb: \x07\n", "a.yaml:2: b: not valid YAML: the character 0x7 is not allowed"),
            ("a.yaml", "a: 1\nb: 2026-13-45\n", "a.yaml:2: b: '2026-13-45' is no timestamp; put"),
            ("a.yaml", "a: !!bool maybe\n", "a.yaml:1: a: 'maybe' is no bool"),
            ("a.yaml", "a: !!int _\n", "a.yaml:1: a: '_' is no int"),
            ("a.yaml", "a:\n  ? [1, 2]\n  : 3\n", "a.yaml:1: a: a key cannot be a list or a mapping"),
            ("a.yaml", "a: &x [*x]\n", "a.yaml:1: document: not valid YAML: it is nested too deeply"),
            ("a.yaml", "[" * 5000, "a.yaml:1: document: not valid YAML: it is nested too deeply"),
        ],
    )  # fmt: skip
    def test_what_cannot_be_read(self, name: str, content: str | bytes, expected: str) -> None:
        """One line with file, line and the key at or before it."""
        with pytest.raises(ConfigError) as caught:
            self.read(name, content)
        assert str(caught.value).startswith(expected)
        assert "\n" not in str(caught.value)

    def test_aliases_of_aliases(self) -> None:
        """A few lines that would become a billion values are refused."""
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
        with pytest.raises(ConfigError, match="more than 100,000 values; do not nest aliases"):
            self.read("a.yaml", "\n".join(lines))
