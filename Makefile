# Every target sets up .venv from requirements.lock where it isn't there yet.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export RAY_USAGE_STATS_ENABLED = 0
# Else each of the many processes that tests start compiles the code anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install classify train-demo weights evaluation test coverage lint docs format bench gpu soak s3-up s3-down lock clean

help:
	@echo "make classify   the main job: galaxies of the Hubble deep field -> out/hubble"
	@echo "make train-demo two workers learn the answers of make classify"
	@echo "make weights DATA=DIR   the weights that come with the project, anew (see jobs/recipes/weights.py)"
	@echo "make evaluation DATA=DIR   how far to trust answers: a report on galaxies that the weights never saw"
	@echo "make test       the tests: every promise at least once"
	@echo "make coverage  what the tests pass through, by room"
	@echo "make lint       ruff and mypy"
	@echo "make docs       these pages as a site, with a reference made from the code, in build/docs"
	@echo "make bench      benchmarks: a table and a roofline picture in out/bench"
	@echo "make gpu        a GPU measured in 8 minutes: a table in JSON and a picture in out/gpu; needs no Ray"
	@echo "make soak       the long tests: all variants, kills, crashes, memory"
	@echo "make s3-up      an S3 object store on loopback, to try s3:// out; make s3-down stops it"
	@echo "make install    only set up .venv"
	@echo "make lock       resolve pyproject.toml anew into requirements.lock"

install: $(READY)

$(READY): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed: make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --editable .
	@touch $@

classify: $(READY)
	$(BIN)/tuningfork ingest hubble output=out/hubble/cutouts
	$(BIN)/tuningfork classify --config configs/jobs/hubble.yaml

train-demo: classify
	mkdir -p out/demo
	test -f out/demo/answers.csv || $(BIN)/tuningfork export out/hubble/catalogue out/demo/answers.csv --format csv
	$(BIN)/python -m jobs.recipes.demo out/hubble/cutouts out/demo/answers.csv out/demo/galaxies
	$(BIN)/tuningfork train --config configs/jobs/train_demo.yaml

# On a bare machine with a GPU, PACK is what `python -m jobs.recipes.pack` made of the label tables, and torch is there.
ifdef GPU
weights:
	python3 -m jobs.recipes.weights $(PACK)
else
weights: $(READY)
	test -f out/weights/unseen.csv || $(BIN)/python -m jobs.recipes.labels $(DATA) out/weights
	$(BIN)/python -m jobs.recipes.weights out/weights
endif

evaluation: $(READY)
	test -f out/weights/unseen.csv || $(BIN)/python -m jobs.recipes.labels $(DATA) out/weights
	test -f out/evaluation/labels.csv || $(BIN)/python -m jobs.recipes.held_out out/weights out/evaluation
	cd out/evaluation && $(CURDIR)/$(BIN)/tuningfork classify input=cutouts.parquet output=transforms uncertainty=true
	cd out/evaluation && $(CURDIR)/$(BIN)/tuningfork classify input=cutouts.parquet output=single_view transforms=1
	cd out/evaluation && $(CURDIR)/$(BIN)/tuningfork evaluate transforms/catalogue labels=labels.csv output=. \
		name=transforms others.single_view=single_view/catalogue

# After a worker's death the others may wait for ever: the run ends, and names the test.
test: $(READY)
	$(BIN)/pytest --numprocesses 2 --max-worker-restart 0

# What the tests pass through, by room; twice as slow as `make test`.
coverage: $(READY)
	rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/coverage run -m pytest --numprocesses 2
	$(BIN)/coverage combine --quiet
	$(BIN)/python -m tests.support.coverage

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# A warning, such as a link that leads nowhere or a setting without a meaning, fails it.
docs: $(READY)
	$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going --nitpicky -d build/doctrees docs build/docs
	@echo "Open build/docs/index.html"

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	$(BIN)/python -m tests.benchmarks.table out/bench
	$(BIN)/python -m tests.benchmarks.peers
	$(BIN)/python -m tests.benchmarks.protocol_price
	$(BIN)/python -m tests.benchmarks.training_scaling
	$(BIN)/python -m tests.benchmarks.explain_rate
	$(BIN)/python -m tests.benchmarks.page_weight
	$(BIN)/python -m tests.benchmarks.plan_scale
	$(BIN)/python -m tests.benchmarks.verify_rate

# A machine that has torch and no network needs no .venv: python3 -m tests.benchmarks.gpu out/gpu
gpu: $(READY)
	$(BIN)/python -m tests.benchmarks.gpu out/gpu

# The long forms: many kills and examples where `make test` has a few.
soak: $(READY)
	$(BIN)/pytest -m long --timeout 7200
	$(BIN)/pytest -m hypothesis --hypothesis-profile soak --timeout 7200
	TUNINGFORK_PROTOCOL_EXAMPLES=2000 $(BIN)/pytest --timeout 7200 tests/catalogue/test_protocol.py
	$(BIN)/python -m tests.protocol.simulate --seeds 1000000
	$(BIN)/python -m tests.faults.soak --kills 100
	$(BIN)/python -m tests.benchmarks.protocol_price --s3
	$(BIN)/python -m tests.benchmarks.memory
	$(BIN)/python -m tests.benchmarks.export_memory
	$(BIN)/python -m tests.benchmarks.compare_memory
	$(BIN)/python -m tests.benchmarks.explain_rate --repeats 0 --memory 2500 10000

s3-up:
	infra/s3/up build/s3

s3-down:
	infra/s3/down build/s3

# The local label of a CPU build (+cpu) is dropped, so that the lock fits machines with a GPU too; Triton, which torch's
# builds for CUDA pin and its CPU builds leave out, there is only for Linux.
lock:
	rm -rf build/lock && $(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet torch==2.13.0 '.[dev]'
	build/lock/bin/pip freeze --all | grep -v -e '^pip==' -e '^tuningfork' | sed -e 's/+cpu$$//' \
		-e 's/^triton==.*/&; sys_platform == "linux" # what torch'"'"'s builds for CUDA pin, and its CPU builds leave out/' \
		> requirements.lock
	rm -rf build/lock build/lib build/bdist.*

clean: s3-down
	rm -rf $(VENV) out build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
