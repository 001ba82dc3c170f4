# Guanxi. Everything is set up by the target that needs it; what stands is skipped.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3)
PY := .venv/bin/python
SETUP := @$(PYTHON) -m deploy.local.prepare
# Nine processes start from bytecode: without it each compiles its packages anew.
unexport PYTHONDONTWRITEBYTECODE

# Tests wait for servers half of the time. A file stays together, and each process has its own servers.
SIDE_BY_SIDE := -n 5 --dist loadfile --no-loadscope-reorder
TESTS := -m "not long" $(or $(T),tests/chaos tests/e2e tests/integration tests/unit)

.DEFAULT_GOAL := help
.PHONY: help setup demo down status test kernels checked check lint types imports rules catalogue model bench bench-scoring figures token clean

help:  ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:  ## All that is needed: packages, Kafka's jars, front-end packages, a browser and Prometheus for the tests
	$(SETUP)

demo:  ## A live bank on http://127.0.0.1:8800 (N= customers, DATA= folder, FRESH=1 starts over)
	$(SETUP) venv kernels jars pages
	@exec $(PY) -m deploy.local up $(if $(N),--customers $(N)) $(if $(DATA),--data $(DATA)) $(if $(filter 1,$(FRESH)),--fresh)

down:  ## Stop the demo that runs elsewhere
	@$(PY) -m deploy.local down

status:  ## What of the demo runs, and where
	@$(PY) -m deploy.local status

test:  ## The checks, then all tests but the long ones (T= one path)
	$(SETUP) venv
	@$(MAKE) --no-print-directory --jobs 2 --output-sync kernels checked
	@$(PY) -m pytest $(if $(T),,$(SIDE_BY_SIDE)) $(TESTS)

kernels:  # compiled while the rest is fetched and the checks run
	$(SETUP) kernels

checked:  # all is fetched before: two checks at once would fetch the same
	$(SETUP) jars pages browser prometheus
	@$(MAKE) --no-print-directory check
	@# The processes of tests find bytecode then, each would write the same; and what cannot be imported fails now.
	@$(PY) -m pytest --collect-only -qq $(TESTS) >.local/collected || { cat .local/collected; exit 1; }

check: lint types imports rules  ## Style, types, who may import what, and the contracts

lint:  ## ruff and yamllint
	$(SETUP) venv jars pages
	@$(PY) -m ruff check .
	@$(PY) -m yamllint --strict deploy docs

types:  ## mypy --strict
	$(SETUP) venv
	@$(PY) -m mypy

imports:  ## import-linter
	$(SETUP) venv
	@.venv/bin/lint-imports --no-logo

rules:  ## The rules of the house and the contracts with others
	$(SETUP) venv jars pages prometheus
	@$(PY) -m shared.web.translations check
	@$(PY) -m pytest tests/contract

catalogue:  ## Write what docs/ generates: AsyncAPI, JSON Schema and events.md, OpenAPI
	$(SETUP) venv
	@$(PY) -m shared.catalogue_docs
	@$(PY) -m deploy.openapi

model:  ## Train the demo's model of risk anew, on another bank than the demo's: the same bytes
	$(SETUP) venv
	@mkdir -p .local/model
	@$(PY) -m deploy.bank simulate --customers 4000 --days 460 --seed 2024 -o .local/model/bank.jsonl
	@$(PY) -m services.scoring train .local/model/bank.jsonl --out deploy/bank/model.json \
	  --split 2025-02-22 --every 10 --precision 80 --trained-on 2025-08-31
	@$(PY) -m deploy.bank simulate --customers 1000 --days 200 --seed 7 -o .local/model/demo.jsonl
	@$(PY) -m services.scoring replay .local/model/demo.jsonl --until 2025-08-31 \
	  --risk-model deploy/bank/model.json --alerts .local/model/alerts.jsonl
	@$(PY) -m deploy.bank evaluate --truth .local/model/demo.truth.json --alerts .local/model/alerts.jsonl

bench:  ## Measure the running system: latency, throughput, each with its effects asserted
	$(SETUP) venv jars pages browser
	@$(PY) -m tests.load

bench-scoring:  ## Measure the whole scorer: pace, latency, fold, recovery, idle days (QUICK=1: a tenth; RATE="events/s of scores, multiples of 50 ..."; PART="names")
	$(SETUP) venv jars
	@$(PY) -m tests.load.scoring $(if $(QUICK),--quick) $(addprefix --rate ,$(RATE)) $(addprefix --only ,$(PART))

figures:  ## Draw the figures of the last bench into figures/
	$(SETUP) venv
	@$(PY) -m tests.load.figures

token:  ## A bank system's token for the running demo (see the README's curl example)
	@$(PY) -m deploy.local.issuer token

clean:  ## Remove what was installed here, and the demo's data
	@if [ -x $(PY) ]; then $(PY) -m deploy.local down && $(PY) -m deploy.local forget; fi
	@rm -rf .local .venv node_modules figures .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
