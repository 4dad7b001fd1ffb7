# One command for every task. `make` alone lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# bench/ and others may be absent from a source distribution.
CODE := $(wildcard src tests bench)
# The oldest Neutron that the extension supports, in a venv of its own.
OLDEST := $(VENV)/oldest-neutron
OLDEST_NEUTRON = $(shell sed -n 's/^neutron = \["neutron>=\(.*\)"\]$$/\1/p' pyproject.toml)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# Prerequisites are steps in their order: the system's packages come before the venv.
.NOTPARALLEL:

.PHONY: help setup oldest-neutron system demo lab test check fast static bench bench-neutron docs \
	golden completion clean need-root

help: ## list what make can do
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target text; do printf '%-14s %s\n' "$$target" "$$text"; done

setup: $(VENV)/.ready-dev ## prepare .venv, and nothing outside of it

# One stamp for each extra of pyproject.toml; a change there installs again.
$(VENV)/.ready-%: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo 'ctherd needs Python 3.11 or newer: make PYTHON=/path/to/python3 ...' >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || \
		{ echo 'this Python cannot make a venv: run `make system` as root first' >&2; exit 1; }
	test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --root-user-action=ignore \
		--editable '.[$*]'
	@touch $@

oldest-neutron: $(OLDEST)/.ready ## prepare what tests the extension with the oldest Neutron

$(OLDEST)/.ready: pyproject.toml
	test -x $(OLDEST)/bin/pip || $(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/bin/pip install --quiet --disable-pip-version-check --root-user-action=ignore \
		--editable '.[neutron,test]' 'neutron==$(OLDEST_NEUTRON)'
	@touch $@

system: ## install the Debian packages that demo and tests need, if missing (root)
	scripts/debian-packages $(PYTHON)

demo: need-root system setup ## real FTP and TFTP through NAT, as a story (root)
	$(BIN)/ctherd demo

lab: need-root system setup ## prove every helper on this very kernel, with both dataplanes (root)
	$(BIN)/ctherd lab --dataplane both

test: need-root system setup oldest-neutron static ## everything: static checks and all tests, on this very kernel (root)
	$(BIN)/pytest --cov --cov-report=term

check: setup static fast ## what takes seconds and no root: lint, types, floors, fast tests

static: setup
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports

fast: setup
	$(BIN)/pytest -q -m 'not root and not slow'

bench: need-root system setup $(VENV)/.ready-bench ## measure, and draw the plot that docs/ keeps (root)
	$(BIN)/python -m bench

bench-neutron: need-root system setup ## Neutron's own extension and ours, side by side: two minutes (root)
	$(BIN)/python -m bench versus_neutron

docs: $(VENV)/.ready-docs ## build the documentation site into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

golden: setup ## rewrite the golden files; review them with git diff
	CTHERD_GOLDEN=write $(BIN)/pytest -q

completion: setup ## write shell completions to build/completion/
	mkdir -p build/completion
	for shell in bash zsh fish; do \
		$(BIN)/ctherd completion $$shell >build/completion/ctherd.$$shell || exit 1; done

clean: ## remove everything that make made, .venv too
	rm -rf $(VENV) build dist site .coverage .coverage.* .hypothesis
	rm -rf .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

need-root:
	@test "$$(id -u)" -eq 0 || \
		{ echo 'this needs root, for network namespaces: run it with sudo. Without root: make check' >&2; exit 1; }
