"""What `streamlab run` starts Locust with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from streamlab_plugin.cli.run_plan import write_plan
from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.privacy.policy import Action, Policy, parse_policy

SCENARIO: dict[str, Any] = {
    "name": "shop", "protocol": "http", "endpoint": "http://127.0.0.1:9", "path": "/", "method": "GET",
    "connections": 1, "duration_seconds": 1,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory with a policy of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "streamlab.yaml").write_text("privacy: own.yaml\n")
    (tmp_path / "own.yaml").write_text("extends: default\nkeep: [plan, shelf]\n")


def policy_of(rules: dict[str, list[str]], folder: Path, **options: Any) -> Policy:
    """Return the policy that a scenario with *rules* is run with."""
    plan = write_plan({**SCENARIO, "pii_redaction_rules": rules}, folder, None, **options)
    assert plan.privacy is not None
    document = json.loads(plan.privacy.read_text())
    return parse_policy({**document, "allow_unsafe": plan.allows_unsafe})


class TestPiiRedactionRules:
    """A scenario's `pii_redaction_rules`."""

    def test_over_what_is_configured(self, tmp_path: Path) -> None:
        """S002-37: They are laid over the configured policy, and may remove what it keeps."""
        policy = policy_of({"hash": ["shop_id"], "remove": ["plan", "status"]}, tmp_path / "plan")
        assert [Action.HASH, Action.REMOVE, Action.REMOVE, Action.KEEP, Action.KEEP] == [
            policy.action(name) for name in ("shopId", "plan", "status", "shelf", "latency_ms")
        ]

    def test_always_removed(self, tmp_path: Path) -> None:
        """S002-37: One that lists a password is refused, unless whoever starts the test allows it."""
        with pytest.raises(ConfigError, match="'password' is always removed") as caught:
            policy_of({"allowlisted_fields": ["password"]}, tmp_path / "plan")
        assert 2 == caught.value.exit_code
        policy = policy_of({"allowlisted_fields": ["password"]}, tmp_path / "plan", allow_unsafe=True)
        assert [Action.KEEP, Action.REMOVE] == [policy.action(name) for name in ("password", "token")]
        assert ["password"] == policy.unsafe_names
