# Two commands set everything up: `make demo` runs the main job, `make test` the tests.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DEMO   ?= demo
# Two files of tests at a time; each process has a Spark session of its own.
PYTEST := $(BIN)/python -m pytest --numprocesses 2 --dist loadfile
# compat: found from every folder, even one that holds a clone of the package's own name.
EDITABLE := --config-settings editable_mode=compat --editable
# One BLAS thread a Spark task: two tasks on two cores must not fight over them.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export MLFLOW_DISABLE_TELEMETRY = true
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test check format fuzz faults bench clean

demo: $(VENV)/.installed
	$(BIN)/python jobs/make_synthetic.py --config conf/local/make_synthetic.toml \
		--output $(DEMO)/data --overwrite
	$(BIN)/python jobs/run_pipeline.py --config conf/local/run_pipeline.toml \
		--train '$(DEMO)/data/frame/train*.tfrecord' --test '$(DEMO)/data/frame/test*.tfrecord' \
		--output $(DEMO)/results --overwrite
	$(BIN)/python jobs/build_explorer.py --vocabulary $(DEMO)/data/vocabulary.csv \
		--input $(DEMO)/results/features/mean_std_top5/test \
		--model $(DEMO)/results/models/moe_mean_std_top5 \
		--evaluation $(DEMO)/results/evaluation/moe_mean_std_top5 \
		--output $(DEMO)/explorer --overwrite

test: $(VENV)/.installed-dev
	$(PYTEST)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST)

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Random damage to 200,000 records, as payloads and in files; minutes, so not part of `make test`.
fuzz: $(VENV)/.installed-dev
	YT8M_FUZZ_EXAMPLES=200000 $(BIN)/python -m pytest tests/formats/test_fuzz.py

# Trainings killed a dozen times each, at random moments, and resumed; minutes.
faults: $(VENV)/.installed-dev
	YT8M_FAULTS=12 $(BIN)/python -m pytest --timeout 1800 tests/jobs/test_faults.py

bench: $(VENV)/.installed-dev
	for file in $$(grep -l __main__ benchmarks/*.py); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing into $(VENV): 1.5 GB, a minute or two"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(EDITABLE) '.[jre]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --constraint constraints.txt $(EDITABLE) '.[jre,dev]'
	touch $@

clean:
	rm -rf $(DEMO) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
