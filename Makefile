.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Tests at the same time: one a core, and 4 GiB of memory for each.
JOBS ?= $(shell $(PYTHON) -c "import os; print(max(1, min(os.cpu_count(), os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 32)))")
STAMP := .venv/.installed

STEPS := toycity_mic toycity toycity_seg_mic_daformer toycity_seg_lcmsm_random toycity_cls_mic
# Untrained teachers are never sure: without a threshold their labels count all the same.
SURE := MODEL.MIC.PSEUDO_LABELS.THRESHOLD 0

.PHONY: help setup lint test test-fast demo demo-seg study benchmark docs docs-serve clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## */  make \1\t/' | expand -t 20

setup: $(STAMP)  ## make .venv with everything that is needed

$(STAMP): setup.py constraints.txt tools/install_detectron2.py
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --constraint constraints.txt pip setuptools wheel
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python tools/install_detectron2.py
	touch $@

lint: setup  ## ruff, format check, spelling, types, and the order of the rooms
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: lint  ## lint, then all tests with coverage
	$(BIN)/python -m pytest --numprocesses $(JOBS) --cov=mic_det --cov-report=term:skip-covered $(ARGS)

test-fast: lint  ## lint, then all but the slow tests (tests/slow.txt): for every change, under six minutes on two cores
	$(BIN)/python -m pytest --numprocesses $(JOBS) -m 'not slow' $(ARGS)

demo: setup  ## clear streets to fog in about nine minutes on two CPU cores
	$(BIN)/python tools/demo.py

demo-seg: setup  ## the same for segmentation, synthetic to real streets
	$(BIN)/python tools/demo.py --task segmentation

study: setup  ## every offline benchmark, all methods, three seeds: rewrites benchmarks/*.md (many hours)
	$(BIN)/python datasets/prepare_toycity.py --root datasets/toycity
	$(BIN)/python datasets/prepare_toycity_seg.py --root datasets
	$(BIN)/python datasets/prepare_toycity_cls.py --root datasets
	$(BIN)/python tools/study.py --benchmark all --jobs 2

benchmark: setup  ## time of a training step and its parts, for every task, also as output/benchmark/*.json
	$(BIN)/python datasets/prepare_toycity.py --root datasets/toycity
	$(BIN)/python datasets/prepare_toycity_seg.py --root datasets
	$(BIN)/python datasets/prepare_toycity_cls.py --root datasets
	for name in $(STEPS); do $(BIN)/python tools/benchmark.py --config-file $$name \
	  --json output/benchmark/$$name.json $(SURE) || exit 1; done

docs: setup  ## the documentation as a site in output/site; fails at a dead link
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

docs-serve: setup  ## the same at http://127.0.0.1:8000, built again when a file changes
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

clean:  ## remove build products; keeps output/ and datasets/
	rm -rf .venv .venv-lowest build *.egg-info .pytest_cache .ruff_cache .hypothesis .coverage
