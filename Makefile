# make demo: set up .venv, then run the pipeline on a real recording.
# make test: set up .venv, then run the tests.

PYTHON ?= python3
VENV := .venv/bin
# ROS 2 that is sourced in the calling shell must not mix with the one in .venv.
RUN := env -u PYTHONPATH -u COLCON_PREFIX_PATH -u CMAKE_PREFIX_PATH AMENT_PREFIX_PATH=$(CURDIR)/.venv
TESTS ?= not slow

.PHONY: setup demo test lint format bench docs clean help

help:
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 - \2/p' $(MAKEFILE_LIST)

setup: ## make or update .venv
	@$(PYTHON) tools/setup_env.py

demo: setup ## the whole pipeline on a real face: out/demo
	@$(RUN) $(VENV)/microexpr demo

test: setup ## all tests but the slow ones; TESTS="" for all
	@$(RUN) $(VENV)/python -m pytest -m "$(TESTS)"

lint: setup ## style, types and floors
	@$(VENV)/ruff check .
	@$(VENV)/ruff format --check .
	@$(VENV)/mypy
	@$(VENV)/lint-imports

format: setup ## bring the sources into shape
	@$(VENV)/ruff check --fix .
	@$(VENV)/ruff format .

bench: setup ## every benchmark, as JSON, into out/
	@mkdir -p out
	@$(VENV)/pip install --quiet --disable-pip-version-check --no-deps --requirement requirements/peers.txt
	@$(RUN) $(VENV)/microexpr bench decode --json > out/bench_decode.json
	@$(RUN) $(VENV)/microexpr bench replay --json > out/bench_replay.json
	@$(RUN) $(VENV)/microexpr bench pipeline --json > out/bench_pipeline.json
	@$(RUN) $(VENV)/microexpr bench models --json > out/bench_models.json
	@$(RUN) $(VENV)/microexpr bench simulate --json > out/bench_simulate.json
	@$(RUN) $(VENV)/microexpr bench view --json > out/bench_view.json
	@$(VENV)/pip install --quiet --disable-pip-version-check --requirement requirements/fleet.txt --requirement requirements/parquet.txt
	@$(RUN) $(VENV)/microexpr bench fleet --json > out/bench_fleet.json

docs: setup ## the documentation as a site, without warnings: out/docs
	@$(VENV)/pip install --quiet --disable-pip-version-check --requirement requirements/docs.txt
	@$(RUN) $(VENV)/python tools/interface_tables.py
	@$(VENV)/python -m sphinx -q -W --keep-going docs out/docs
	@echo 'docs: open out/docs/index.html'

clean: ## remove .venv and everything that was built
	rm -rf .venv build
