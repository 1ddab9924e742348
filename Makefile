# Everything anybody needs to run; each target installs what it uses. A fresh machine has Python 3.11 and make.
# `make test` includes every check and is what CI runs; `make check` is its quick part.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JOBS ?= auto

.PHONY: demo demo-real test check unit bench vectors interop torture sim docs lock verifier clean help
.DEFAULT_GOAL := help

help: ## Say what can be done
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:[^#]*## /\t/' | expand -t 14

$(VENV)/core: requirements/core.txt pyproject.toml
	@$(PYTHON) tools/install.py $(VENV) core
	@touch $@

$(VENV)/dev: requirements/dev.txt pyproject.toml
	@$(PYTHON) tools/install.py $(VENV) dev
	@touch $@ $(VENV)/core

demo: $(VENV)/core ## A street of meters, live, ending in a receipt verified offline
	@$(BIN)/python tools/build_verifier.py >/dev/null
	@$(BIN)/drystone demo

demo-real: $(VENV)/core ## The week of 537 Swiss homes: make demo-real DATA=FOLDER
	@$(BIN)/drystone demo real $(if $(DATA),--data $(DATA))

check: $(VENV)/dev ## Format, lint, types, imports, tidy tree, docs, unit tests: the quick part
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/pytest -q -n $(JOBS) tests/unit tests/house

test: $(VENV)/dev ## Everything that must hold, with coverage; what CI runs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright --pythonpath $(BIN)/python
	$(BIN)/python tools/audit.py
	$(BIN)/python tools/build_verifier.py
	DRYSTONE_SECOND_PYTHON=$$($(BIN)/python tools/second_python.py .venv-second) \
	$(BIN)/pytest -q -n $(JOBS) --dist worksteal --cov --cov-report= --ignore=tests/interop
	$(BIN)/python tools/coverage_floor.py

interop: $(VENV)/dev ## Foreign verifiers (Go, Rust, Python) on fresh output of a running node
	$(BIN)/pytest -q tests/interop

bench: $(VENV)/dev ## Ratios against the limit, in one run, with the machine's facts
	$(BIN)/python -m bench

torture: $(VENV)/dev ## A thousand kill -9, 5,000 power losses of each database, 2,000 networks, 100,000 contracts
	$(BIN)/python tools/torture.py

sim: $(VENV)/dev ## One simulated network of gateways, with its trace: make sim SEED=7
	$(BIN)/python -m drystone.sim.network --seed $(or $(SEED),1)

vectors: $(VENV)/dev ## Regenerate test vectors from foreign programs; shows a diff if any changed
	$(BIN)/python tools/vectors.py

docs: $(VENV)/dev ## Write the generated reference pages
	$(BIN)/python tools/docs.py

verifier: $(VENV)/dev ## Join the proof room into one file, dist/drystone-verify.py
	$(BIN)/python tools/build_verifier.py

lock: $(VENV)/dev ## Renew the hashed requirements (no address in them)
	$(BIN)/python tools/lock.py

clean: ## Remove what was built
	rm -rf $(VENV) .venv-second dist .pytest_cache .ruff_cache .hypothesis .coverage*
