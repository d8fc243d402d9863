# Everything runs in .venv, which is made from requirements.lock on first use.
# The system's own Python where there is one: distributions build it with profile and link-time optimisation,
# which others (pyenv's, say) lack, and the gateway then costs a fifth less CPU.
PYTHON ?= $(shell for p in /usr/bin/python3 python3; do $$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && exit; done; echo python3)
BIN := .venv/bin
STAMP := .venv/.ready
CODE := src tests scripts conftest.py

.DEFAULT_GOAL := help

.PHONY: help
help:  ## List the tasks
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# Modules are compiled when they are first imported: most never are.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; found $$($(PYTHON) --version). Set PYTHON=python3.12, say."; exit 2; }
	@$(PYTHON) -m venv --clear .venv || { echo "python3-venv is missing; trying to install it"; apt-get update -q && apt-get install -qy python3-venv && $(PYTHON) -m venv --clear .venv; }
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

.PHONY: setup
setup: $(STAMP)  ## Make .venv with everything in it

.PHONY: demo
demo: $(STAMP)  ## Plan for a bundled hour of real chat traffic, then live through ten days of a team; writes breakeven-demo.html
	$(BIN)/breakeven demo
	@echo; echo "And then: measure, decide, move, prove. Ten days of a team, by a clock that is moved by hand (make month: all of it)."
	$(BIN)/python scripts/month.py --short

# The profile is tested on Spark too, which only the tests need: half a gigabyte, and Java.
SPARK := .venv/.spark
$(SPARK): requirements-spark.lock $(STAMP)
	@command -v java >/dev/null || { echo "Java is missing; trying to install it"; apt-get update -q && apt-get install -qy default-jre-headless; }
	$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --require-hashes --use-pep517 -r requirements-spark.lock
	@touch $@

# Pages are tested in a real browser.
.PHONY: browser
browser:
	@command -v chromium >/dev/null || { echo "Chromium is missing; trying to install it"; apt-get update -q && apt-get install -qy chromium; }

# Shared limits are tested with a real server.
.PHONY: redis
redis:
	@command -v valkey-server >/dev/null || command -v redis-server >/dev/null || { echo "Redis is missing; trying to install it"; apt-get update -q && apt-get install -qy redis-server; }

# Many tests wait for processes that they started, so one more at a time than there are cores; at most four.
TESTERS := $(shell n=$$(($$(getconf _NPROCESSORS_ONLN) + 1)); echo $$((n < 4 ? n : 4)))

.PHONY: test
test: $(STAMP) $(SPARK) browser redis  ## Run the tests
	$(BIN)/python -m pytest -q -n $(TESTERS) --dist loadfile

.PHONY: check
check: format-check lint types imports docs test  ## Format, lint, types, import contract, docs, tests

.PHONY: format
format: $(STAMP)  ## Rewrite the code in the project's format
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix --quiet $(CODE) || true

.PHONY: format-check
format-check: $(STAMP)
	$(BIN)/ruff format --check --quiet $(CODE)

.PHONY: lint
lint: $(STAMP)  ## Check style
	$(BIN)/ruff check $(CODE)

.PHONY: types
types: $(STAMP)  ## Check types (mypy strict)
	$(BIN)/mypy

.PHONY: imports
imports: $(STAMP)  ## Check the layers and the purity of the models
	$(BIN)/lint-imports

.PHONY: docs
docs: $(STAMP)  ## Check that generated docs, schemas and golden files are current
	$(BIN)/python scripts/generate.py --check

.PHONY: generate
generate: $(STAMP)  ## Rewrite generated docs, schemas and golden files
	$(BIN)/python scripts/generate.py

.PHONY: check-core
check-core:  ## Install only the core in a fresh environment: size, import and start-up times
	$(PYTHON) scripts/check_core.py

.PHONY: bench-service
bench-service: $(STAMP)  ## Leave-one-out error of the service model on the measured throughput table
	$(BIN)/python scripts/bench_service.py

.PHONY: fit-roofline
fit-roofline: $(STAMP)  ## Fit the roofline to the measured throughput table; writes catalog/data/roofline.yaml
	$(BIN)/python scripts/fit_roofline.py

.PHONY: bench-capacity
bench-capacity: $(STAMP)  ## Errors of the capacity estimator on groups of model, GPU and precision that it has not seen
	$(BIN)/python scripts/bench_capacity.py --write

.PHONY: bench-forecast
bench-forecast: $(STAMP)  ## How often forecast intervals of bills held on three public 14-day traces
	$(BIN)/python scripts/bench_forecast.py
	$(BIN)/python scripts/bench_month_end.py

.PHONY: bench-shift
bench-shift: $(STAMP)  ## Simulated shifts: false promotions, pairs needed, guards; writes docs/reference/bench-shift.md
	$(BIN)/python scripts/bench_shift.py --write

.PHONY: bench-profile
bench-profile: $(STAMP)  ## Seconds and memory of reading and profiling 10 and 100 million requests
	$(BIN)/python scripts/bench_profile.py

CASES ?= 100000

.PHONY: fuzz
fuzz: $(STAMP)  ## Feed every reader and the scenario loader CASES damaged files each
	$(BIN)/python tests/fuzz/run_fuzz.py --cases $(CASES)

.PHONY: bench-draws
bench-draws: $(STAMP)  ## CPU time of 10,000 draws x 36 months on one core
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python scripts/bench_draws.py

.PHONY: bench-hybrid
bench-hybrid: $(STAMP)  ## A hybrid sized on one week and run on the next, on three public traces
	$(BIN)/python scripts/bench_hybrid.py

.PHONY: month
month: $(STAMP)  ## A team's month in minutes: from an API alone to a pool of its own, reconciled from outside
	$(BIN)/python scripts/month.py

.PHONY: show-pool
show-pool: $(STAMP)  ## An hour of real traffic on a pool of real engines before an API: overflow, bill, idle, and what the simulator foretold
	$(BIN)/python scripts/show_pool.py --minutes 40 --speed 7

.PHONY: show-line
show-line: $(STAMP)  ## More real traffic than a pool of real engines can take: who waits in line, who is turned away, and what the simulator foretold
	$(BIN)/python scripts/show_line.py

.PHONY: bench-simulate
bench-simulate: $(STAMP)  ## Requests a second of the simulator on one core, and its closed loops beside measured ones
	$(BIN)/python scripts/bench_simulate.py

DATA ?= data/routing

.PHONY: bench-routing
bench-routing: $(STAMP)  ## Routing policies on labelled answers: DATA=FOLDER with the files that the script names
	$(BIN)/python scripts/bench_routing.py "$(DATA)"

ARGS ?=

.PHONY: bench-endpoint
bench-endpoint: $(STAMP)  ## Streams that `bench` reads from one core; ARGS="--engine llama": beside other tools
	$(BIN)/python scripts/bench_endpoint.py $(ARGS)

FOCUS_ENVIRONMENT ?= $(HOME)/.cache/breakeven-focus

.PHONY: test-focus
test-focus: $(STAMP)  ## Check a FOCUS export with the FinOps Foundation's validator, in an environment of its own
	$(BIN)/python scripts/test_focus.py --environment "$(FOCUS_ENVIRONMENT)"

.PHONY: test-engines
test-engines: $(STAMP)  ## What we read of a real vLLM's metrics, against what it was asked (2 GB on first use)
	$(BIN)/python scripts/test_engines.py

PEERS ?= $(HOME)/.cache/gateway-peers

.PHONY: bench-gateway
bench-gateway: $(STAMP)  ## CPU, latency and memory of the gateway beside nginx and the peers found in PEERS
	$(BIN)/python scripts/bench_gateway.py --peers "$(PEERS)" --features --write

.PHONY: bench-ledger
bench-ledger: $(STAMP)  ## Rows a second and CPU a row from the spool into the store
	$(BIN)/python scripts/bench_ledger.py

.PHONY: bench-batches
bench-batches: $(STAMP)  ## People's time to first token beside batches, on real engines; a batch of a million lines
	$(BIN)/python scripts/bench_batches.py $(ARGS)

MINUTES ?= 10
.PHONY: soak
soak: $(STAMP)  ## MINUTES of mixed load: memory, open files and ledger must hold
	$(BIN)/python scripts/soak.py --minutes $(MINUTES)

.PHONY: fuzz-http
fuzz-http: CASES = 1000000
fuzz-http: $(STAMP)  ## Send CASES malformed requests to a running gateway
	$(BIN)/python scripts/fuzz_requests.py --cases $(CASES)

.PHONY: lock
lock: $(STAMP)  ## Renew requirements.lock
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --extra plan --extra engine --extra otel --extra redis --extra similar --extra verify --extra texts --group dev pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --group spark -o requirements-spark.lock

.PHONY: clean
clean:  ## Remove the environment and caches
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
