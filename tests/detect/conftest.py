"""The packaged rules, read once."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from streamlab_plugin.detect.rule import RuleSet, parse_rules

RULES_FILE = Path(__file__).parents[2] / "rules" / "anomalies.yaml"


@pytest.fixture(scope="session")
def packaged() -> RuleSet:
    """Return the rules that Streamlab ships."""
    return parse_rules(yaml.safe_load(RULES_FILE.read_text()))
