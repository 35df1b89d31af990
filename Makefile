# Every target sets up what it needs: `make demo` and `make test` work in a fresh clone.
.POSIX:
.PHONY: help setup demo test lint types contracts check faults bench clean

PY := .venv/bin/python
STAMP := .venv/.ready

help: ## Show the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

$(STAMP): pyproject.toml ci/constraints.txt ci/setup
	ci/setup

setup: $(STAMP) ## Make .venv with everything

demo: $(STAMP) ## Run the demo; ARGS="--headless" passes options
	.venv/bin/streamlab demo $(ARGS)

test: $(STAMP) ## Run all tests (at most 10 minutes on 2 cores)
	ci/debian mosquitto nginx-light chromium
	ci/node
	$(PY) -m pytest -m "not faults" -n 3 --dist loadgroup --no-loadscope-reorder $(ARGS)

lint: $(STAMP) ## ruff
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .

types: $(STAMP) ## mypy, strict
	.venv/bin/mypy

contracts: $(STAMP) ## import-linter
	.venv/bin/lint-imports

check: lint types contracts test ## Everything that .ci/run does

faults: $(STAMP) ## Repetitions, kills, outages (long)
	ci/debian mosquitto nginx-light chromium
	ci/node
	$(PY) -m pytest -m faults -n 4 --ignore tests/faults $(ARGS)
	$(PY) -m pytest -m faults tests/faults $(ARGS)

bench: $(STAMP) ## Benchmarks: table, and benchmarks/results.json
	$(PY) -m benchmarks $(ARGS)

clean: ## Remove what the targets made
	rm -rf .venv .bench-peer build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache test-results tests/users/node/node_modules
