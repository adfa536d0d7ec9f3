# Everything that people and CI run. `make` alone lists the targets.
.DEFAULT_GOAL := help
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c

PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/
UV_VERSION := 0.13.9
# uv itself comes from the package index into a folder of its own, so that a machine needs no more than Python.
UV := $(or $(shell command -v uv 2>/dev/null),$(VENV)-uv/bin/uv)
export UV_PROJECT_ENVIRONMENT := $(VENV)

.PHONY: help install tools real-node-tools demo test check format bench histories clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)-uv/bin/uv:
	$(PYTHON) -m venv $(VENV)-uv
	$(VENV)-uv/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

install: $(VENV)/.installed ## Install what the lock file pins into .venv

$(VENV)/.installed: pyproject.toml uv.lock | $(UV)
	$(UV) sync --locked --quiet
	touch $@

tools: install ## Build the control plane's binaries into your cache (once, about 10 minutes)
	$(RUN)python -m devstack

real-node-tools: tools ## Install and build what a real node needs, where root, Debian and Linux allow it
	$(RUN)python -m devstack.real_node

demo: install ## Show an incident from finding to report; APPROVE=auto answers its question
	$(RUN)firebreak demo $(if $(APPROVE),--approve $(APPROVE))

check: install ## Lint, format, types, import contracts
	$(RUN)ruff check .
	$(RUN)ruff format --check .
	$(RUN)mypy .
	$(RUN)lint-imports

test: check tools real-node-tools ## Everything: checks, and all tests on real parts
	$(RUN)pytest

format: install ## Format the code
	$(RUN)ruff format .
	$(RUN)ruff check --fix .

bench: tools ## Measure: a table of ratios, all in one run
	$(RUN)python -m bench

histories: tools ## Record the histories for the replay tests that are missing
	$(RUN)python -m tests.replay.record

clean: ## Remove what was installed here; the cache of built tools stays
	rm -rf $(VENV) $(VENV)-uv
