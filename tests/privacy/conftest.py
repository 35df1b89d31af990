"""The packaged policy and a redactor that uses it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, settings

from streamlab_plugin.privacy.plan import Redactor
from streamlab_plugin.privacy.policy import Policy, parse_policy
from streamlab_plugin.privacy.pseudonym import Pseudonyms

# A busy machine is no reason to fail.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

RULES = Path(__file__).parents[2] / "rules"


@pytest.fixture(scope="session")
def packaged() -> Policy:
    """Return the policy in rules/privacy.yaml."""
    return parse_policy(yaml.safe_load((RULES / "privacy.yaml").read_text(encoding="utf-8")))


@pytest.fixture
def redactor(packaged: Policy) -> Redactor:
    """Return a fresh redactor under the packaged policy."""
    return Redactor(packaged, Pseudonyms(bytes(range(32))))
