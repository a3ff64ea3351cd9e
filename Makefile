# The commands; each installs what it needs. CI, pre-commit and the Vagrant box call these, nothing else.
SHELL := /bin/bash
SUDO := $(if $(filter 0,$(shell id -u)),,sudo -E)
BIN := .venv/bin
ARGS ?=

.PHONY: demo test quick check golden vm bench install-demo install-test install-bench

install-demo install-test install-bench:
	@scripts/install $(subst install-,,$@)

demo: install-demo  ## a cluster, a Service, the rules that do it
	@scripts/demo

test: install-test  ## everything: unit, kernel, labs, and IPVS in a virtual machine where this kernel has none
	$(SUDO) scripts/test $(ARGS)

QUICK := $(BIN)/python -m pytest -n 2 tests/unit tests/property tests/golden netproxy

quick: install-test  ## no root, under a minute; properties are tried a fifth as often as in `make test`
	$(QUICK) --hypothesis-profile=quick $(ARGS)

check: install-test  ## format, lint, types, imports, sizes, and that the quick tests reach every branch of the pure rooms
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/sizes.py
	$(QUICK) -q --cov --hypothesis-profile=same

golden: install-test  ## rewrite the golden files, then look at the difference
	$(BIN)/python -m pytest tests/golden --update
	git diff --stat -- tests/golden

vm: install-test  ## a command in a virtual machine that has IPVS: make vm ARGS='pytest tests/kernel -m ipvs'
	$(SUDO) scripts/vm $(ARGS)

bench: install-bench  ## every figure beside its floor, in one run
	$(SUDO) $(BIN)/python -m bench $(ARGS)
