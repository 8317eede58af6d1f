# `make help` prints what follows ##; CONTRIBUTING.md says more.
HOSTS_PYTEST ?= tests/hosts
SECONDS ?= 60
RUNS ?= 50
STORE_COVERAGE := 87
COVERED := tests/packages tests/store
# Two workers a core: half of the time of a test is spent in waiting for what it started. A file is one worker's, in
# the order of tests/conftest.py.
WORKERS = $(shell expr 2 \* $$(getconf _NPROCESSORS_ONLN))
PARALLEL = -n $(WORKERS) --dist loadfile --no-loadscope-reorder

BIN := .venv/bin
RUN := sh deploys/make/python
UV := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

# ROOT: directory of the store, var/mosis. PORT: 8080, or where the store listens already. PYTHON: the one of .venv.
# V=1: everything that pyinfra prints. WHEELHOUSE: directory of wheels, for a machine that reaches no package index.
export ROOT PORT PYTHON V WHEELHOUSE

# What pytest makes of the tests' asserts is kept for the next run: seven seconds of each worker's processor time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help check style types coverage advisories deploy down test test-hosts fuzz bench crash siege docs screenshots lock sbom audit
.DELETE_ON_ERROR:

help: ## print this list; so does make without a command
	@printf 'Commands of make:\n'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "    make %-12s %s\n", $$1, $$2 }' Makefile
	@printf 'Variables: ROOT and PORT of the store, V=1 to print every step. See README.md and CONTRIBUTING.md.\n'

deploy: ## install a store on this machine, without root, and start it
	@$(RUN) 3.11 deploys.make.deploy

down: ## stop that store; its data stays
	@$(RUN) 3.8 deploys.remote.down "$${ROOT:-var/mosis}"

test: .venv/dev.done ## run every test that needs no root, but those below SKIP
	$(BIN)/python -m pytest $(PARALLEL) $(addprefix --ignore=,$(SKIP))

test-hosts: .venv/dev.done ## as root: boot Debian hosts here and deploy to them
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder -o console_output_style=classic $(HOSTS_PYTEST)

# All targets together take SECONDS. New inputs are kept in .cache/fuzz, and the next run continues from there; what it
# finds is left beside them.
FUZZED := package_reader:corpus text_reader:text_corpus image_reader:image_corpus
fuzz: .venv/fuzz.done ## fuzz packages, texts and images for SECONDS=60
	@set -e; for each in $(FUZZED); do \
	    target=$${each%:*} corpus=$${each#*:}; mkdir -p .cache/fuzz/$$corpus; \
	    $(BIN)/python -m tests.fuzz.$$target -max_total_time=$$(($(SECONDS) / $(words $(FUZZED)))) -print_final_stats=1 \
	        -artifact_prefix=.cache/fuzz/$$target- .cache/fuzz/$$corpus tests/fuzz/$$corpus; \
	done

# Minutes on a quiet machine; QUICK=1 only tries it, LINES="icons info" chooses.
bench: .venv/dev.done ## measure the stack beside references
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(LINES)

# RUNS kills at random moments; SEED=… repeats the moments of a series. Exit 1 if a promise broke.
crash: .venv/dev.done ## kill a real store RUNS=50 times, and check what is left
	@$(BIN)/python -m crash --runs $(RUNS) $(if $(SEED),--seed $(SEED))

# NAMES="H1 H3" chooses attacks. Five minutes; QUICK=1: less than one. Exit 1 if somebody honest was hurt.
siege: .venv/dev.done ## attack a real store, with honest people beside, and measure
	@$(BIN)/python -m siege $(if $(QUICK),--quick) $(NAMES)

# What can be said of the code without running it, and how much of the store's own safety its tests reach.
check: style types coverage advisories ## check style, types, imports, spelling and coverage

style: .venv/dev.done ## the part of check that reads the code: ruff, imports, spelling
	$(BIN)/python -m ruff check --quiet
	$(BIN)/python -m ruff format --check --quiet
	$(BIN)/lint-imports --no-cache
	$(BIN)/python -m codespell_lib

types: .venv/dev.done ## the part of check that proves the types: mypy --strict
	$(BIN)/python -m mypy

coverage: .venv/dev.done ## the part of check that runs the tests of packages and store
	$(BIN)/python -m pytest $(PARALLEL) -q $(COVERED) --cov --cov-report=
	$(BIN)/python -m coverage report --include='portal/packages/*' --fail-under=100
	$(BIN)/python -m coverage report --include='portal/store/*' --fail-under=$(STORE_COVERAGE)

# An advisory that is published today is no fault of today's change: it is printed, and make audit fails.
advisories: .venv/supply.done ## the part of check that prints known advisories
	@$(BIN)/python -m deploys.make.advisories || true

# The tables of docs/, from the code that they describe.
docs: .venv/dev.done ## write the tables of docs/ from the code
	$(BIN)/python -m docs.tables

# Pictures of the pages, of a store with apps; INTO is where they go, SHOTS="store app" chooses.
screenshots: .venv/dev.done ## take the pictures of docs/screenshots
	$(BIN)/python -m docs.pictures $(or $(INTO),docs/screenshots) $(SHOTS)

# The versions that every machine gets, with the digests of their files; UPGRADE=1 takes the newest ones.
lock: .venv/supply.done ## compile requirements/*.lock; UPGRADE=1 takes newer versions
	$(UV) $(if $(UPGRADE),--upgrade) pyproject.toml --extra server -o requirements/portal.lock
	$(UV) $(if $(UPGRADE),--upgrade) pyproject.toml --extra server --extra operator -c requirements/portal.lock -o requirements/operator.lock
	$(UV) $(if $(UPGRADE),--upgrade) pyproject.toml --extra server --extra operator --group dev -c requirements/operator.lock -o requirements/dev.lock
	$(UV) $(if $(UPGRADE),--upgrade) pyproject.toml --group fuzz -c requirements/dev.lock -o requirements/fuzz.lock
	$(UV) $(if $(UPGRADE),--upgrade) pyproject.toml --group supply -c requirements/dev.lock -o requirements/supply.lock
	@$(RUN) 3.11 deploys.make.environment operator && $(BIN)/python -m deploys.make.litestream

# What hosts install, with digests, for tools that look for known faults or licences; INTO is where it goes.
sbom: .venv/supply.done ## write what hosts install as CycloneDX, to INTO=.cache/sbom.json
	@mkdir -p .cache
	$(BIN)/cyclonedx-py requirements requirements/portal.lock --pyproject pyproject.toml --mc-type application \
	    --output-reproducible --output-file $(or $(INTO),.cache/sbom.json)

audit: .venv/supply.done ## look for known advisories about what is installed; exit 1 if there is one
	@$(BIN)/python -m deploys.make.advisories

# FORCE: the file says what was installed; only a look at all of .venv says whether that still works.
.venv/%.done: FORCE
	@$(RUN) 3.11 deploys.make.environment $*

FORCE:
