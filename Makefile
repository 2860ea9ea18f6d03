# Two commands do everything: `make demo` and `make test`. `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Two contended OpenMP threads are many times slower than one; the model hub and telemetry stay off.
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow check format serve bench bench-memory bench-learning bench-distill bench-distill-speed bench-dojo bench-server bench-worlds docs site pretrain clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@# torch first and alone: a range would pull gigabytes of accelerator libraries
	$(BIN)/python -m pip install --quiet "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[distill,dev]"
	@touch $@

install: $(VENV)/.installed ## install everything into .venv

demo: install ## the whole loop: serve, work, learn, export, distil, compare
	$(BIN)/apprentice demo

test: check ## format, lint, types, import contracts, tests
	@# What fails beside another worker on a crowded machine has to pass alone; both runs are printed.
	$(BIN)/pytest -q -n 2 --dist loadfile || $(BIN)/pytest -q --last-failed --last-failed-no-failures none

test-slow: install ## the heavier proofs
	$(BIN)/pytest -q -m slow

check: install ## everything of `test` but the tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

serve: install ## serve on 127.0.0.1:8080
	$(BIN)/apprentice serve

bench: install ## recall, durable writes and start-up beside FAISS and SQLite
	$(BIN)/python notebooks/bench.py

data/bench-venv/.installed: notebooks/bench_memory/peers.txt
	@test -x data/bench-venv/bin/python || $(PYTHON) -m venv data/bench-venv
	data/bench-venv/bin/python -m pip install --quiet --requirement notebooks/bench_memory/peers.txt
	@touch $@

bench-memory: install data/bench-venv/.installed ## memory beside its peers, into docs/bench; takes an hour or more
	$(BIN)/python notebooks/bench_memory

bench-learning: install ## does it learn, by what and at what price, into docs/bench; takes an hour or more
	$(BIN)/python -m notebooks.bench_learning --parts 2

bench-distill: install ## what weights learn of memory by which recipe, into docs/bench; takes two hours
	$(BIN)/python -m notebooks.bench_distill --parts 2

bench-distill-speed: install ## training beside TRL's stock trainer, ratios into docs/bench; takes ten minutes
	$(BIN)/python -m notebooks.bench_distill_speed

bench-dojo: install ## what privileges stop and cost on AgentDojo, no model, into docs/bench; takes ten minutes
	$(BIN)/python -m notebooks.bench_dojo

data/bench-proxy-venv/.installed: Makefile
	@test -x data/bench-proxy-venv/bin/python || $(PYTHON) -m venv data/bench-proxy-venv
	data/bench-proxy-venv/bin/python -m pip install --quiet "litellm[proxy]==1.106.2"
	@touch $@

bench-server: install data/bench-proxy-venv/.installed ## what the server adds to a chat, beside LiteLLM's proxy, into docs/bench; takes ten minutes
	$(BIN)/python -m notebooks.bench_server

data/bench-worlds-venv/.installed: pyproject.toml constraints.txt
	@test -x data/bench-worlds-venv/bin/python || $(PYTHON) -m venv data/bench-worlds-venv
	data/bench-worlds-venv/bin/python -m pip install --quiet "torch==2.13.0"
	data/bench-worlds-venv/bin/python -m pip install --quiet -e '.[worlds]' matplotlib -c constraints.txt
	@touch $@

WORLDS = data/bench-worlds-venv/bin/python -m notebooks.bench_worlds
bench-worlds: data/bench-worlds-venv/.installed ## does memory help in ALFWorld, and where customs change, into docs/bench; ALFWORLD_DATA=.../json_2.1.1, three hours
	$(WORLDS).drift --alfworld-data $(ALFWORLD_DATA)
	$(WORLDS).play --alfworld-data $(ALFWORLD_DATA) --policy notebooks/bench_worlds/stranger
	$(WORLDS).report

site: install ## build the documentation into build/site
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[docs]"
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

docs: install ## check that README and docs run
	$(BIN)/pytest -q tests/test_docs.py

pretrain: install ## train the bundled model again (resumable; ~80 minutes on one core)
	$(BIN)/python -m distill.pretrain --out agent/models/tiny --state data/pretrain.pt

clean: ## remove what was made here, the environment included
	rm -rf $(VENV) demo-output .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
