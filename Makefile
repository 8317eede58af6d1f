# make deploy: this machine, no root.  make down: stops it.  CONTRIBUTING.md says what the others do.
PYTHON ?= python3
ROOT ?= var/mosis
PORT ?= 8080
HOSTS_PYTEST ?= tests/hosts
SECONDS ?= 60
STORE_COVERAGE := 80

BIN := .venv/bin
PIP := $(BIN)/pip --disable-pip-version-check --quiet
UV := .cache/tools/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate
PYINFRA := PYINFRA_PROGRESS=off ROOT='$(ROOT)' PORT='$(PORT)' $(BIN)/pyinfra

.PHONY: check deploy down test test-hosts fuzz bench docs lock
.DELETE_ON_ERROR:

deploy: .venv/operator.done
	@$(PYINFRA) -y inventory/local.py deploy.py
	@root=$$(realpath '$(ROOT)') && printf '\n    %-14s%s\n' \
	    'store' 'http://127.0.0.1:$(PORT)' 'answered by' "$$(grep -q ' nginx.conf' "$$root/etc/supervisord.conf" && \
	    echo 'nginx, the portal behind it' || echo 'the portal alone, because this machine has no nginx')" \
	    'admin token' "$$root/secrets/admin-token" 'command' "$$root/bin/mosis" | \
	    sed '/^$$/d'

down:
	@if [ -x $(BIN)/python ]; then $(BIN)/python deploys/remote/down.py '$(ROOT)'; fi

test: .venv/dev.done
	$(BIN)/pytest -n auto

test-hosts: .venv/dev.done
	$(BIN)/pytest -n 3 --dist loadfile -o console_output_style=classic $(HOSTS_PYTEST)

# New inputs are kept in .cache/fuzz, so that the next run goes on from there; what it finds is left beside them.
fuzz: .venv/fuzz.done
	@mkdir -p .cache/fuzz/corpus
	$(BIN)/python -m tests.fuzz.package_reader -max_total_time=$(SECONDS) -print_final_stats=1 \
	    -artifact_prefix=.cache/fuzz/ .cache/fuzz/corpus tests/fuzz/corpus

# Minutes on a quiet machine; QUICK=1 only tries it, LINES="icons info" chooses.
bench: .venv/dev.done
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(LINES)

# What can be said of the code without running it, and how much of the store's own safety its tests reach.
check: .venv/dev.done
	$(BIN)/python -m ruff check --quiet
	$(BIN)/python -m ruff format --check --quiet
	$(BIN)/python -m mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m codespell_lib
	$(BIN)/python -m pytest -n auto -q tests/packages tests/store tests/jobs --cov --cov-report=
	$(BIN)/python -m coverage report --include='portal/packages/*' --fail-under=100
	$(BIN)/python -m coverage report --include='portal/store/*' --fail-under=$(STORE_COVERAGE)

# The tables of docs/, from the code that they describe.
docs: .venv/dev.done
	$(BIN)/python -m docs.tables

# The versions that every machine gets, with the digests of their files; UPGRADE=1 takes the newest ones.
lock: .cache/tools/bin/uv
	$(UV) $(if $(UPGRADE),--upgrade) pyproject.toml -o requirements/portal.lock
	$(UV) $(if $(UPGRADE),--upgrade) pyproject.toml --extra operator -c requirements/portal.lock -o requirements/operator.lock
	$(UV) $(if $(UPGRADE),--upgrade) pyproject.toml --extra operator --group dev -c requirements/operator.lock -o requirements/dev.lock
	$(UV) $(if $(UPGRADE),--upgrade) pyproject.toml --group fuzz -c requirements/dev.lock -o requirements/fuzz.lock

.cache/tools/bin/uv:
	@$(PYTHON) -m venv .cache/tools
	@.cache/tools/bin/pip --disable-pip-version-check --quiet install uv

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	    { echo "Mosis needs Python 3.11 or newer; '$(PYTHON)' is not. Name one: make PYTHON=/path/to/python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	    { echo "'$(PYTHON)' cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv .venv

.venv/operator.done: requirements/operator.lock pyproject.toml | $(BIN)/python
	@echo "Installing what a deploy needs, from $<"
	@$(PIP) install --require-hashes -r $<
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/fuzz.done: requirements/fuzz.lock .venv/dev.done
	@$(PIP) install --require-hashes -r $<
	@touch $@

.venv/dev.done: requirements/dev.lock .venv/operator.done
	@echo "Installing what the tests need, from $<"
	@$(PIP) install --require-hashes -r $<
	@touch $@
