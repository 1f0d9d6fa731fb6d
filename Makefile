# Two commands: `make repro` runs the pipeline, `make test` the tests.
PYTHON ?= python3
DATA ?= mini
MODEL ?= all
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := true

.DEFAULT_GOAL := help
.PHONY: help repro test params lint lock

help:  ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: $(BIN)/.installed  ## Run every stage that is not up to date, and print Table II
	dvc repro
	dvc metrics show

test: $(BIN)/.installed  ## Run the tests
	python -m pytest

params: $(BIN)/.installed  ## Compose params.yaml from conf/ (DATA=mini|solos MODEL=all|sop|…)
	python -m pipeline.params data=$(DATA) model=$(MODEL)

lint: $(BIN)/.installed  ## Check style and formatting
	ruff check .
	ruff format --check .

lock:  ## Pin the whole environment anew (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade \
		-o requirements.lock

$(BIN)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@
