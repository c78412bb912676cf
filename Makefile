# Every target sets up .venv itself: a fresh clone needs Python 3.11 or newer and nothing else.
.PHONY: demo test test-long lint bench lab pictures notebooks docs wheel
.DEFAULT_GOAL := demo

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# How the tests are shared out: a file's own go to one process.
WORKERS ?= --numprocesses 2 --dist loadfile --no-loadscope-reorder

# The first interpreter that starts and is new enough; `make PYTHON=...` overrides.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "trignb needs Python 3.11 or newer"; exit 1; }
	@echo "setting up $(VENV) with $(PYTHON)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev,docs,server]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/python -m trignb demo

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: $(STAMP) lint redis-server reference-servers chromium iredis
	$(BIN)/python -m pytest $(WORKERS)
	$(BIN)/python -m pytest $(WORKERS) --nbval --override-ini testpaths= -p no:cacheprovider \
		--override-ini filterwarnings=default --override-ini timeout=300 notebooks

# The tests that search (crashes, concurrency, fuzzing) with many more rounds: half an hour.
test-long: $(STAMP) redis-server reference-servers chromium iredis emulator
	TRIGNB_LONG=1 $(BIN)/python -m pytest --timeout=1800

bench: $(STAMP) redis-server reference-servers
	$(BIN)/python tests/bench/bench.py

# Run the tutorials and keep their outputs; NB=05 for one. Look at the diff afterwards.
notebooks: $(STAMP)
	$(BIN)/python tests/notebook/refresh.py $(NB)

# The site goes into site/; nothing is fetched, and a warning is an error.
docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# What is uploaded for a release: the wheel and the source distribution.
wheel: $(STAMP)
	$(BIN)/python -m build --outdir dist .

# The pictures of the README, taken in JupyterLab.
pictures: $(STAMP) chromium
	$(BIN)/python tests/browser/pictures.py

lab: $(STAMP)
	$(BIN)/jupyter lab notebooks

# The oracle of the tests. Where it cannot be installed the tests that need it
# say so and are skipped, unless CI is set: there they fail.
.PHONY: redis-server
redis-server:
	@command -v redis-server >/dev/null || { \
		echo "redis-server is missing: installing it"; \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -qq -y --no-install-recommends redis-server >/dev/null; \
	} || echo "WARNING: no redis-server: tests that compare with it are skipped"

# The servers that the engine is compared with, as the user, into ~/.cache/trignb/servers or
# TRIGNB_SERVERS: Redis 7.2.4 and the module. SERVERS="redis74 redis80 valkey80 valkey91" has others.
SERVERS ?= redis72
.PHONY: reference-servers
reference-servers: $(STAMP)
	@PYTHONPATH=tests $(BIN)/python -m oracle.fetch $(SERVERS) \
	|| echo "WARNING: not all servers are there: tests that compare with them are skipped"

# What the tests of the live views look with; the same holds.
.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null \
	|| command -v google-chrome >/dev/null || { \
		echo "chromium is missing: installing it"; \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -qq -y --no-install-recommends \
			chromium fonts-dejavu-core >/dev/null; \
	} || echo "WARNING: no chromium: tests in a browser are skipped"

# A CPU with memory protection keys, for threads that use JavaScript. `make test` uses it where it is.
.PHONY: emulator
emulator:
	@command -v qemu-system-x86_64 >/dev/null || { \
		echo "qemu is missing: installing it"; \
		test "$$(id -u)" = 0 && command -v apt-get >/dev/null \
		&& apt-get update -qq && apt-get install -qq -y --no-install-recommends \
			qemu-system-x86 seabios >/dev/null; \
	} || echo "WARNING: no qemu: no CPU with memory protection keys is emulated"

# A client that the tests drive; it wants an older redis-py than we do, so it lives apart.
.PHONY: iredis
iredis: $(STAMP)
	@test -x $(VENV)/iredis/bin/iredis || { \
		$(BIN)/python -m venv $(VENV)/iredis \
		&& $(VENV)/iredis/bin/pip install --quiet --disable-pip-version-check iredis; \
	} || echo "WARNING: no iredis: the tests that drive it are skipped"
