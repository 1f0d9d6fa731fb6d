# Two commands: `make repro` runs the pipeline, `make test` the tests.
PYTHON ?= python3
DATA ?= mini
MODEL ?=
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)
export DVC_NO_ANALYTICS := true
# Where it is set, as in many containers, each of some fifty processes would compile torch anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help repro test params lint lock in-git

help:  ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

repro: in-git $(BIN)/.installed  ## Run every stage that is not up to date, and print Table II
	dvc repro
	dvc metrics show

in-git:
	@test -e .git || { echo "This folder is no git repository, which DVC needs (a ZIP of one has" \
		"no .git). Clone it, or make it one: git init && git add . && git commit -m Start" >&2; exit 1; }

test: $(BIN)/.installed  ## Run the tests
	OMP_NUM_THREADS=1 python -m pytest --numprocesses logical --maxprocesses 8 \
		--dist loadfile --no-loadscope-reorder

params: $(BIN)/.installed  ## Compose params.yaml from conf/ (DATA=mini|notes|solos MODEL=all|sop|…)
	python -m pipeline.params data=$(DATA) $(if $(MODEL),model=$(MODEL))

lint: $(BIN)/.installed  ## Check style and formatting
	ruff check .
	ruff format --check .

lock:  ## Pin the whole environment anew (needs uv)
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate --upgrade \
		-o requirements.lock

$(BIN)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@
