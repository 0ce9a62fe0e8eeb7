# `make demo` and `make test` set up all that they need in .venv; nothing else is touched.

SHELL := /bin/bash
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
BIN := .venv/bin
# Two at a time, those of a file together: tests mostly wait (for leases, timeouts, restarts).
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.PHONY: help install demo test test-slow lint bench docs clean

help:
	@echo "make install    .venv/bin/nightshelf, with everything it needs"
	@echo "make demo       one real track job on the embedded default (VIDEO=… WEIGHTS=… for your own)"
	@echo "make test       the tests, under 15 minutes on two cores"
	@echo "make test-slow  the tests that take longer"
	@echo "make lint       ruff, mypy --strict, import-linter"
	@echo "make bench      measurements against peers"
	@echo "make docs       write the generated page of docs/ again"
	@echo "make clean      remove .venv and what the demo wrote"

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed: apt install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || \
		{ echo "Python 3.11 or 3.12 is needed, not $$($(PYTHON) --version): make PYTHON=…"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || \
		{ rm -rf .venv; echo "Python's venv is missing: apt install python3-venv"; exit 1; }
	@echo "Installing (PyTorch is large: some minutes on a fresh machine) …"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	@# opencv-python wants a graphics library that a server lacks; the headless build does not.
	@$(BIN)/python -c 'import cv2' 2>/dev/null || $(BIN)/python -m pip install --quiet \
		--disable-pip-version-check --no-deps --force-reinstall \
		"opencv-python-headless==$$(sed -n 's/^opencv-python==//p' constraints.txt)"
	@$(BIN)/python -c 'import cv2'
	@touch $@

demo: install
	@$(BIN)/python -m demo $(if $(VIDEO),--video '$(VIDEO)') $(if $(WEIGHTS),--weights '$(WEIGHTS)')

test: install
	$(PYTEST) -m 'not slow'

test-slow: install
	$(PYTEST) -m slow

lint: install
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: install
	$(BIN)/python -m bench.tracking_speed
	$(BIN)/python -m bench.scene_counts
	$(BIN)/python -m bench.queue_load
	$(BIN)/python -m bench.many_workers
	$(BIN)/python -m bench.training_overhead

docs: install
	$(BIN)/python docs/generate_settings.py

clean:
	rm -rf .venv demo-output
