# Two commands set everything up: `make demo` runs the main job, `make test` the tests.
# `make wheel` and `make environment` are for clusters: docs/install.md.

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

.PHONY: demo test check connect documented docs format fuzz faults bench wheel environment oldest pythons audit clean

demo: $(VENV)/.installed
	$(BIN)/python jobs/make_synthetic.py --config conf/local/make_synthetic.toml \
		--output $(DEMO)/data --overwrite
	$(BIN)/python jobs/run_pipeline.py --config conf/local/run_pipeline.toml \
		--train '$(DEMO)/data/frame/train*.tfrecord' --test '$(DEMO)/data/frame/test*.tfrecord' \
		--vocabulary $(DEMO)/data/vocabulary.csv --output $(DEMO)/results --overwrite
	$(BIN)/python jobs/build_explorer.py --vocabulary $(DEMO)/data/vocabulary.csv \
		--input $(DEMO)/results/features/mean_std_top5/test \
		--model $(DEMO)/results/models/moe_mean_std_top5 \
		--evaluation $(DEMO)/results/evaluation/moe_mean_std_top5 \
		--output $(DEMO)/explorer --overwrite
	@echo; cat $(DEMO)/results/table.txt
	@echo; echo "Open $(DEMO)/results/comparison/comparison.html and $(DEMO)/explorer/index.html"

test: $(VENV)/.installed-dev
	$(PYTEST)

check: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST)

# The tests that use Spark, on a Spark Connect server of this machine.
connect: $(VENV)/.installed-dev
	YT8M_TEST_MODE=connect $(PYTEST) --ignore tests/jobs/test_faults.py tests/spark tests/jobs tests/test_ml.py \
		tests/test_job.py tests/test_session.py tests/test_environment.py tests/test_pyfunc.py \
		tests/test_pyfunc_networks.py tests/test_network_data.py tests/test_transfer_target.py tests/notebooks

# Every command of README.md and docs/, on small data; minutes.
documented: $(VENV)/.installed-dev
	YT8M_DOCUMENTED=1 $(BIN)/python -m pytest tests/jobs/test_documented_commands.py

# The documentation as a site in site/: docs/, and a reference from the docstrings.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Random damage to 200,000 records, as payloads and in files; minutes, so not part of `make test`.
fuzz: $(VENV)/.installed-dev
	YT8M_FUZZ_EXAMPLES=200000 $(BIN)/python -m pytest tests/formats/test_fuzz.py

# Kills, full disks, stalled tasks on a cluster of this machine; trainings killed a dozen times.
faults: $(VENV)/.installed-dev
	YT8M_FAULTS=12 $(BIN)/python -m pytest --timeout 2400 tests/jobs/test_faults.py tests/cluster/test_faults.py

bench: $(VENV)/.installed-dev
	for file in $$(grep -l __main__ benchmarks/*.py); do echo "== $$file"; $(BIN)/python $$file || exit 1; done

# Wheel and sdist in dist/.
wheel: $(VENV)/.installed-dev
	rm -rf build dist/*.whl dist/*.tar.gz
	$(BIN)/python -m build --no-isolation
	rm -rf build

# The wheel and all it needs as one file, for --archives of spark-submit. Executors have a PySpark of
# their own; ENVIRONMENT_EXTRAS=video,deep adds what these need.
ENVIRONMENT_EXTRAS ?=
environment: wheel
	rm -rf .venv-packed
	$(PYTHON) -m venv --copies .venv-packed
	.venv-packed/bin/python -m pip install --quiet --constraint constraints.txt \
		"$$(ls $(CURDIR)/dist/*.whl)$(if $(ENVIRONMENT_EXTRAS),[$(ENVIRONMENT_EXTRAS)])"
	.venv-packed/bin/python -m pip uninstall --quiet --yes pyspark py4j
	$(BIN)/venv-pack --force --prefix .venv-packed --output dist/environment.tar.gz
	rm -rf .venv-packed

# The oldest Spark and the oldest packages that pyproject.toml allows: the line of jobs, and Spark's side
# of what a release of Spark can change.
OLDEST_TESTS ?= tests/jobs/test_line.py tests/jobs/test_pipeline_on_connect.py tests/spark/test_moments.py \
	tests/spark/test_partitions.py
oldest: .venv-oldest/.installed
	PYTHONPATH=$(CURDIR) .venv-oldest/bin/python -m pytest -W ignore::DeprecationWarning $(OLDEST_TESTS)

.venv-oldest/.installed: constraints-oldest.txt
	$(PYTHON) -m venv --clear .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --no-compile --requirement constraints-oldest.txt
	touch $@

# A job of the wheel in a fresh environment of each Python that is there.
pythons: wheel
	for python in python3.11 python3.12 python3.13; do \
		$$python -c '' 2>/dev/null || { echo "no $$python here"; continue; }; \
		rm -rf .venv-python && $$python -m venv .venv-python || exit 1; \
		.venv-python/bin/python -m pip install --quiet --constraint constraints.txt \
			"$$(ls $(CURDIR)/dist/*.whl)[jre]" || exit 1; \
		.venv-python/bin/yt8m-spark make_synthetic --output .venv-python/made \
			--tracking-uri sqlite:///.venv-python/mlflow.db --n-videos 100 --n-shards 3 || exit 1; \
		.venv-python/bin/yt8m-spark profile_dataset --input '.venv-python/made/video/train*' \
			--tracking-uri sqlite:///.venv-python/mlflow.db --output .venv-python/profile || exit 1; \
	done
	rm -rf .venv-python

# Known holes in what is pinned (asks PyPI), then pins and licences.
audit: $(VENV)/.installed-dev
	$(PYTHON) -m venv --clear .venv-audit
	.venv-audit/bin/python -m pip install --quiet pip-audit
	.venv-audit/bin/pip-audit --no-deps --disable-pip --requirement constraints.txt
	$(BIN)/python -m pytest tests/packaging/test_pins.py

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
	rm -rf $(DEMO) build dist site .venv-packed .venv-python .venv-audit .venv-oldest
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
