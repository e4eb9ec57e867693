# Every target sets up what it needs, and can be repeated. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The first Python here that is new enough.
PYTHON ?= $(shell for python in python3 python3.11 python3.12 python3.13; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
COMPILE_LOCK := uv pip compile pyproject.toml --universal --generate-hashes --python-version 3.11 --no-header --quiet

# Done work is remembered by what it was done from: another lock file is another stamp.
INSTALLED := .venv/installed-$(shell cat requirements.lock pyproject.toml | cksum | tr ' ' '-')

# The lock file as a draft compiled anew, with the versions in it preferred, would be.
define lock_is_fresh
draft=$$(mktemp); trap 'rm -f "$$draft"' EXIT; cp $(1) "$$draft"; \
	$(BIN)/$(COMPILE_LOCK) $(2) -o "$$draft"; \
	diff -u $(1) "$$draft" || { echo "$(1) is out of date: make lock" >&2; exit 1; }
endef

.PHONY: help setup setup-tests demo up test soak check bench migrate migration lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(INSTALLED) ## .venv, dependencies and programs; quick the second time
	@$(BIN)/python -m local.setup

setup-tests: $(INSTALLED)
	@$(BIN)/python -m local.setup --tests

$(INSTALLED):
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 or later is needed: install it, or name it: make PYTHON=…" >&2; exit 1; }
	[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	touch $@

demo: setup ## walk the main job on a fresh stack, check every step, stop
	@$(BIN)/grantflow demo

up: setup ## start everything and stay; Ctrl-C stops it, the data stays
	@$(BIN)/grantflow up

test: setup-tests ## the whole test suite, on real parts
	@$(BIN)/pytest -q --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

soak: setup-tests ## the ledger against its model for long: args="--calls 100000 --seed 1"
	@$(BIN)/python -m tests.proof.soak $(args)
	@GRANTFLOW_STORM_EVENTS=10000 $(BIN)/pytest -q tests/faults/test_webhook_storm.py

check: setup ## style, types, import contracts, migrations, lock files, compose file
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m local.migrate check
	$(call lock_is_fresh,requirements.lock,--all-extras)
	$(call lock_is_fresh,requirements-runtime.lock,)
	$(BIN)/uv tool run --quiet check-jsonschema@0.39.0 --builtin-schema vendor.compose-spec docker-compose.yml

bench: setup ## measure beside the baselines; some minutes on a quiet machine; writes bench/results.json
	@$(BIN)/python -m bench

migrate: setup ## apply the migrations, to GRANTFLOW_DATABASE_URL or the embedded database
	@$(BIN)/python -m local.migrate upgrade

migration: setup ## m="…": write a new migration from the schema's changes
	@[ -n "$(m)" ] || { echo 'say what it changes: make migration m="…"' >&2; exit 2; }
	@$(BIN)/python -m local.migrate revision "$(m)"

lock: setup ## write the lock files anew from pyproject.toml
	$(BIN)/$(COMPILE_LOCK) --all-extras -o requirements.lock
	$(BIN)/$(COMPILE_LOCK) -o requirements-runtime.lock

clean: ## delete what can be had again; the data of `make up` stays
	rm -rf .venv build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.grantflow/*' -prune -exec rm -rf {} +
