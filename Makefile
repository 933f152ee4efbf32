# make demo   a hub, a real encode and a dashboard to watch it on
# make test   lint, types and tests in a few minutes; installs what real tests need
#             T=tests/unit/test_fence.py, or T=<file>::<test>, runs only that, without lint
# make test-all  the same with coverage, with the slow tests, and with all examples where make test draws some
# make screenshots  pictures of the dashboard for its documentation
# make vendor writes web/vendor/ anew, from the npm packages of its lock
# make lock   writes requirements.lock, requirements-dev.lock and package-lock.json anew
# make faults faults injected into real processes under load, for seven minutes
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-all suite suite-all lint-beside prepare tools slow-tools faults lint format bench bench-quick \
	screenshots vendor lock clean

demo: $(VENV)/.installed
	@$(BIN)/statushub demo

# A hundred processes are started from these sources: they are compiled once, whatever the environment says.
test test-all: export PYTHONDONTWRITEBYTECODE :=
PYTEST := $(BIN)/pytest -n auto --dist worksteal

ifdef T
test: $(VENV)/.installed-dev
	$(BIN)/pytest $(T)
else
test: prepare
	@$(MAKE) --no-print-directory -j2 lint-beside suite
endif

test-all: prepare slow-tools
	@$(MAKE) --no-print-directory -j2 lint-beside suite-all

suite:
	@$(PYTEST) -m 'not slow and not alone'

suite-all:
	@$(PYTEST) -m 'not alone' --hypothesis-profile=full --cov --cov-report=
	@$(BIN)/pytest -m alone --hypothesis-profile=full --cov --cov-append --cov-report=term

# All that lint says comes in one piece, between the lines of the tests beside it.
lint-beside:
	@said=$$($(MAKE) --no-print-directory lint 2>&1); code=$$?; echo "$$said"; exit $$code

prepare:
	@$(MAKE) --no-print-directory -j2 tools $(VENV)/.installed-dev
	@$(MAKE) --no-print-directory node_modules/.installed

tools: | $(BIN)/python
	@tests/support/install-tools

slow-tools:
	@tests/support/install-tools caddy
	@tests/support/install-tools prometheus
	@tests/support/install-tools firefox

# FAULTS="--write" writes docs/reliability.md; FAULTS="--seed S" repeats a run; FAULTS=--help says what else.
faults: prepare
	$(BIN)/python -m tests.faults $(FAULTS)

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@if [ -e node_modules/.installed ]; then npm run --silent lint; else echo "The client is not checked: $(NO_NODE)."; fi

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	@if [ -e node_modules/.installed ]; then npm run --silent format; fi

# Says what to install of the competitors; builds Centrifugo and Mercure where Go is, and installs better-sse, in the
# user's cache. BENCH="--repeat 2" makes fewer rounds; BENCH=--help says what else.
bench: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench $(BENCH)

bench-quick: $(VENV)/.installed-dev
	$(BIN)/python -m tests.bench --quick

screenshots: prepare
	$(BIN)/python -m tests.support.screenshots

vendor: $(VENV)/.installed-dev
	$(BIN)/python -m tests.support.vendor

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Statushub needs Python 3.11 or newer; say which with make PYTHON=...")'
	@tests/support/install-tools venv $(PYTHON)
	@echo "Making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)

# The symbolic links of the package to its folders; a source distribution has none.
LINKS := statushub/hub statushub/producers statushub/web

$(LINKS):
	@ln -s ../$(@F) $@

# In the locked versions, whose hashes pip checks.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

$(VENV)/.installed: pyproject.toml requirements.lock | $(BIN)/python $(LINKS)
	@echo "Installing Statushub into it"
	@$(PIP) --require-hashes --requirement requirements.lock
	@$(PIP) --no-deps --editable .
	@touch $@

$(VENV)/.installed-dev: requirements-dev.lock | $(VENV)/.installed
	@echo "Installing what the tests need"
	@$(PIP) --require-hashes --requirement requirements-dev.lock
	@touch $@

# What checks and tests the npm package in web/client.
NO_NODE := there is no Node.js 20 or newer with npm

node_modules/.installed: package.json package-lock.json web/client/package.json
	@if node -e 'process.exit(Number(parseInt(process.versions.node) < 20))' 2>/dev/null && npm --version >/dev/null 2>&1; then \
		echo "Installing what checks the JavaScript client" && npm ci --silent && touch $@; \
	else echo "The client is not checked: $(NO_NODE)."; fi

# The newest versions within the bounds of pyproject.toml, for every Python and platform. uv writes no index address.
LOCK := $(BIN)/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--custom-compile-command 'make lock'

lock: | $(BIN)/python
	@$(PIP) uv
	@$(LOCK) pyproject.toml --all-extras --output-file requirements.lock
	@$(LOCK) --group dev --constraint requirements.lock --output-file requirements-dev.lock
	@npm install --silent --package-lock-only

clean:
	rm -rf $(VENV) node_modules build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .coverage*
