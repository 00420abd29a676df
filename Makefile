# Every target sets up what it needs from a clean clone: the virtual environment is a target like any other.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: demo test slow environment check format bench sessions man vectors vectors-js ci-tools clean

$(STAMP): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(STAMP)

demo: $(STAMP)  ## a server, three nodes, one 2-of-3 wallet over real WebRTC
	$(BIN)/mpcnode run sessions/quickstart/two-of-three.yaml

# A test spends half its time on waits and other processes: two share a processor well. `worksteal` evens out files that
# take longer than others.
WORKERS = $(shell $(PYTHON) -c 'import os; print(2 * (os.cpu_count() or 1))')
TOGETHER = --numprocesses $(WORKERS) --dist worksteal

test: $(STAMP)  ## the default suite
	$(BIN)/python -m pytest $(TOGETHER)

slow: $(STAMP)  ## what takes longer than the default suite may
	$(BIN)/python -m pytest $(TOGETHER) -m slow --ignore tests/environment

environment: $(STAMP)  ## odd surroundings: variables, descriptors, disks, networks; some rows need root
	$(BIN)/python -m pytest $(TOGETHER) tests/environment -m slow

check: $(STAMP)  ## the gate: format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

sessions: $(STAMP)  ## every scenario, one table
	$(BIN)/mpcnode run sessions

man: $(STAMP)  ## the man page, made of the commands as they are; CI fails where it differs from what is committed
	$(BIN)/mpcnode help man > docs/mpcnode.1

bench: $(STAMP)  ## medians and ratios; the tables of BENCHMARKS.md come from here
	$(BIN)/python -m tests.bench

vectors: $(STAMP)  ## the golden vectors of PROTOCOL.md; CI fails where they differ from what is committed
	$(BIN)/python -m tests.vectors

# Each as COMMAND:PACKAGE, with the names of Debian's packages.
TOOLS := node:nodejs npm:npm firefox-esr:firefox-esr chromium:chromium openssl:openssl jq:jq xxd:xxd groff:groff ip:iproute2 turnserver:coturn
ci-tools:  ## what tests need beside Python; CI installs it, and elsewhere such tests skip with a reason
	missing=$$(for tool in $(TOOLS); do command -v $${tool%:*} >/dev/null || echo $${tool#*:}; done); \
	test -z "$$missing" || (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq $$missing)

JS := tests/javascript
vectors-js: $(JS)/node_modules/.package-lock.json  ## what the second implementation needs; the default suite runs it then

$(JS)/node_modules/.package-lock.json: $(JS)/package-lock.json
	cd $(JS) && npm ci --no-audit --no-fund
	touch $@

clean:
	rm -rf $(VENV) $(JS)/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
