"""``streamlab slo check``: a run or a results file against objectives; the exit code is the answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from sqlalchemy import Connection

from streamlab_plugin import config
from streamlab_plugin.core.errors import ConfigError
from streamlab_plugin.slo.objective import parse_objectives
from streamlab_plugin.slo.results import parse_results
from streamlab_plugin.slo.verdict import RunFacts, Verdict, decide, left_out
from streamlab_plugin.store import queries
from streamlab_plugin.store.engine import open_store
from streamlab_plugin.store.facts import run_facts, run_problems


@click.group()
def slo() -> None:
    """Objectives and verdicts."""


@slo.command("check")
@click.argument("results", required=False, type=click.Path(path_type=Path))
@click.option(
    "--run", default=None, metavar="ID", help="A run id, the beginning of one, or 'latest' (default)."
)
@click.option("--slo", "slo_file", default=None, metavar="FILE", type=click.Path(path_type=Path),
              help="Objectives (YAML) instead of the configured ones.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def check(results: Path | None, run: str | None, slo_file: Path | None, as_json: bool) -> None:
    """Judge a recorded run, or a RESULTS file written by 'streamlab runs export --json'.

    Exit codes: 0 met, 1 breached, 2 usage or configuration, 3 no verdict, 4 infrastructure.
    """
    if results is not None and run is not None:
        raise click.UsageError("give a results file or --run, not both")
    objectives = parse_objectives(config.objectives_document(slo_file))
    if results is not None:
        name, facts = str(results), _facts_of_file(results)
        if objectives.include_injected_faults and facts.faulted:
            raise ConfigError(
                f"{results}: {facts.faulted:,} requests touched by injected faults are not in a results file",
                remedy="judge the run itself with --run, or drop include_injected_faults",
            )
    else:
        name, facts = _facts_of_run(run or queries.LATEST, include_faulted=objectives.include_injected_faults)
    verdict = decide(facts, objectives)
    click.echo(
        json.dumps({"of": name, **verdict.to_dict()}, indent=2) if as_json else _text(name, facts, verdict)
    )
    sys.exit(verdict.exit_code)


def _facts_of_run(wanted: str, *, include_faulted: bool) -> tuple[str, RunFacts]:
    def query(connection: Connection) -> tuple[str, RunFacts]:
        run = queries.find_run(connection, wanted)
        problems = run_problems(connection, run.id)
        return f"run {run.run}", run_facts(connection, run.id, problems, include_faulted=include_faulted)

    return queries.read(open_store(config.database_url(), read_only=True), query)


def _facts_of_file(path: Path) -> RunFacts:
    try:
        data = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        return parse_results(data)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}:{error.lineno}: not valid JSON: {error.msg}") from None
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _refuse(constant: str) -> float:
    raise ConfigError(f"{constant} is no number that can be judged")


def _text(name: str, facts: RunFacts, verdict: Verdict) -> str:
    lines = [f"{name}: {verdict.kind} (exit code {verdict.exit_code})"]
    for one in verdict.objectives:
        if one.state != "not_applicable":
            value = "-" if one.value is None else f"{one.value:.4g}"
            lines.append(
                f"  {one.state:<13} {one.protocol:<10} {one.name:<20} {value:>10}  (limit {one.limit:g})"
            )
    lines += [f"  {reason}" for reason in (*verdict.reasons, *left_out(facts))]
    lines.append(f"  ledger: {facts.ledger.text()}")
    return "\n".join(lines)
