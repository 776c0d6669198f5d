# One command runs the product, another passes the tests; each does its own set-up.
#   make demo            real Kafka, four partner cities, cases there and back (ONCE=1 ends by itself)
#   make test            lint, types, room contracts, every test
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.set-up

.PHONY: help setup demo test lint bench lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(STAMP) ## a virtual environment with the pinned dependencies, and Kafka's jars

$(STAMP): requirements/dev.lock pyproject.toml deploy/kafka/jgo.lock.toml
	@command -v $(PYTHON) >/dev/null || { echo "missing: Python 3.11 or newer. Install it (Debian: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "missing: Python 3.11 or newer ($(PYTHON) is $$($(PYTHON) -V)). Name one: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "missing: Python's venv module. Install it (Debian: apt-get install python3-venv)"; exit 1; }
	@echo "[setup 1/3] virtual environment in $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "[setup 2/3] dependencies, pinned by hash (requirements/dev.lock)"
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes -r requirements/dev.lock \
	  || { echo "missing: the Python package index. Check the network or pip's own configuration (pip config list), then: make setup"; exit 1; }
	@$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .
	@echo "[setup 3/3] Apache Kafka's jars, checked by hash (deploy/kafka/jgo.lock.toml)"
	@$(BIN)/tongban kafka prepare
	@touch $@

demo: $(STAMP) ## the whole road with four cities; ONCE=1 ends by itself, exit 0 only if every effect is there
	@$(BIN)/tongban demo $(if $(ONCE),--once)

lint: $(STAMP) ## ruff, mypy --strict, the rooms' import contracts
	@echo "[lint 1/3] ruff" && $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "[lint 2/3] mypy --strict" && $(BIN)/mypy
	@echo "[lint 3/3] import contracts" && $(BIN)/lint-imports --no-logo

test: lint ## everything: lint, then the tests on a real Kafka and on both databases
	@$(BIN)/pytest $(PYTEST_ARGS)

bench: $(STAMP) ## measure; writes docs/benchmarks.md
	@$(BIN)/python -m bench.road $(BENCH_ARGS)
	@$(BIN)/python -m bench.delivery --page docs/benchmarks.md $(DELIVERY_ARGS)
	@$(BIN)/python -m bench.hall --page docs/benchmarks.md $(HALL_ARGS)
	@$(BIN)/python -m bench.rebuild --page docs/benchmarks.md
	@$(BIN)/python -m bench.clock --page docs/benchmarks.md
	@$(BIN)/python -m bench.deadlines --page docs/benchmarks.md

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile --quiet pyproject.toml --extra embedded --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o requirements/runtime.lock
	uv pip compile --quiet pyproject.toml --extra embedded --extra dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links --no-header -o requirements/dev.lock

clean: ## remove what set-up and runs have made in this folder
	rm -rf $(VENV) .tongban .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist bench/.out
