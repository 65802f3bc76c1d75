# Every target works on a bare machine that has Python 3.11 or newer, g++, make and git:
# what else it needs is installed into .venv, once.

VENV := .venv
BACKSPIKE := $(VENV)/bin/backspike
RUN := $(VENV)/bin/python -m
# The first Python that is new enough; name another with make PYTHON=...
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
# Tests side by side: one a core.
JOBS ?= auto

# A preset (paper, vcu128, tiny) or a TOML file, and single settings: SET="array.lanes=8 fp.w=8192"
CHOSEN := $(CONFIG)
CONFIG ?= paper
SET ?=
# WAVES=1 leaves an FST of each simulation; BACKEND=rtl trains on the core in RTL; ONLY="name ..."
# measures these figures alone; ARGS go to the command as is.
WAVES ?=
BACKEND ?=
ONLY ?=
ARGS ?=
# Where builds are kept; without this, it would be the user's cache folder.
export BACKSPIKE_BUILD ?= $(CURDIR)/build

.DEFAULT_GOAL := help
.PHONY: help setup verilog sim train disassemble test test-all bench lint format clean

help: ## say what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(VENV)/.ready ## install everything into .venv

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(or $(PYTHON),python3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Backspike needs Python 3.11 or newer, not" \
			"$$($(or $(PYTHON),python3) --version 2>&1)" >&2; exit 1; }
	@for tool in g++ make git; do command -v $$tool >/dev/null || { \
		echo "Backspike needs $$tool, which is not installed" >&2; exit 1; }; done
	$(PYTHON) -m venv $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable '.[dev]'
	@touch $@

verilog: $(VENV)/.ready ## write build/<config>/verilog: CONFIG=paper|vcu128|tiny|my.toml SET="key=value ..."
	$(BACKSPIKE) verilog $(CONFIG) $(addprefix --set ,$(SET)) $(ARGS)

sim: $(VENV)/.ready ## run the cocotb test benches: WAVES=1
	$(RUN) scripts.sim $(if $(WAVES),--waves) $(ARGS)

train: $(VENV)/.ready ## train on real data and check steps in RTL: CONFIG=paper, BACKEND=check|rtl|model
	$(BACKSPIKE) train $(if $(CHOSEN),--config $(CHOSEN)) $(if $(BACKEND),--backend $(BACKEND)) $(ARGS)

disassemble: $(VENV)/.ready ## print the programs that make train leaves, with the reason of each instruction
	$(BACKSPIKE) disassemble $(ARGS)

test: $(VENV)/.ready ## run the tests, but for the slow ones
	$(RUN) pytest -n $(JOBS) -m "not slow" $(ARGS)

test-all: $(VENV)/.ready ## run all tests
	$(RUN) pytest -n $(JOBS) $(ARGS)

bench: $(VENV)/.ready ## measure the figures beside their targets: ONLY=name
	$(RUN) scripts.bench $(if $(ONLY),--only $(ONLY)) $(ARGS)

lint: $(VENV)/.ready ## check style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

format: $(VENV)/.ready ## bring all files into the form that lint asks for
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean: ## remove what was built, but not .venv
	rm -rf build .pytest_cache .mypy_cache .ruff_cache
