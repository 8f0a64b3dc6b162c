# Knowhow. `make help` lists the targets.
PYTHON ?= python3
KNOWHOW_DEVICE ?= $(if $(wildcard /dev/nvidia0),cuda,cpu)
REQUIREMENTS := requirements/$(if $(filter cuda,$(KNOWHOW_DEVICE)),gpu,cpu).txt
PYTORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu
BIN := .venv/bin
INSTALLED := .venv/.installed-$(KNOWHOW_DEVICE)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-compile

export KNOWHOW_DEVICE
export DVC_NO_ANALYTICS := 1

# What a run may write goes into the clone: caches and settings of the libraries too.
RUN := PATH="$(CURDIR)/$(BIN):$$PATH" \
	XDG_CACHE_HOME="$(CURDIR)/.venv/var/cache" XDG_CONFIG_HOME="$(CURDIR)/.venv/var/config" \
	XDG_DATA_HOME="$(CURDIR)/.venv/var/share" DVC_SITE_CACHE_DIR="$(CURDIR)/.venv/var/dvc"

.DEFAULT_GOAL := help
.PHONY: help environment lock iteration flow plan test check format docs experiment parity benchmark overhead gpu-check clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

environment: $(INSTALLED) ## Make .venv and install the pinned packages; a re-run installs nothing

$(INSTALLED): requirements/cpu.txt requirements/gpu.txt requirements/lineage.txt requirements/dev.txt pyproject.toml
	@test "$(KNOWHOW_DEVICE)" = cpu -o "$(KNOWHOW_DEVICE)" = cuda || { echo "KNOWHOW_DEVICE=$(KNOWHOW_DEVICE): choose from cpu, cuda" >&2; exit 2; }
	@echo "Installing $(REQUIREMENTS) into .venv (once, some minutes)"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv .venv  # uv's has no pip
ifeq ($(KNOWHOW_DEVICE),cpu)
	@torch=$$(grep '^torch==' requirements/cpu.txt); $(PIP) "$$torch" 2>/dev/null || $(PIP) --index-url $(PYTORCH_CPU_INDEX) "$$torch"
endif
	@$(PIP) -r $(REQUIREMENTS) -r requirements/lineage.txt -r requirements/dev.txt
	@$(PIP) --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true  # by all cores; some packages have templates named .py
	@$(BIN)/python -m flows.plots_page .dvc/plots.html
	@$(RUN) $(BIN)/dvc config --local plots.html_template plots.html
	@rm -f .venv/.installed-* && touch $@

lock: ## Pin what pyproject.toml needs, by uv; MOVE="prefect dvc" or MOVE=all moves pins
	@$(PYTHON) .ci/lock.py $(MOVE)

iteration: $(INSTALLED) ## The main job: every stage that is not up to date, by `dvc repro`
	@$(RUN) $(BIN)/python -m stages.contracts.params.whole
	@$(RUN) $(BIN)/knowhow cache verify --quick
	@$(RUN) $(BIN)/python -m flows.warm dvc repro
	@$(RUN) $(BIN)/knowhow look --short

flow: $(INSTALLED) ## The same graph as a Prefect flow, with its own server on loopback
	@$(RUN) $(BIN)/python -m flows.warm knowhow train

plan: $(INSTALLED) ## Which stages would run, and why
	@$(RUN) $(BIN)/knowhow plan

test: $(INSTALLED) ## Every test, an end-to-end `dvc repro` with real vLLM among them
	@$(RUN) OMP_WAIT_POLICY=PASSIVE $(BIN)/pytest --numprocesses 3 --no-loadscope-reorder

check: $(INSTALLED) ## Lint, format and types
	@$(RUN) $(BIN)/ruff check .
	@$(RUN) $(BIN)/ruff format --check .
	@$(RUN) $(BIN)/mypy

format: $(INSTALLED) ## Format the code, mend what lint can mend
	@$(RUN) $(BIN)/ruff check --fix .
	@$(RUN) $(BIN)/ruff format .

docs: $(INSTALLED) ## Write docs/tables.md, params.md and its JSON schema anew
	@$(RUN) $(BIN)/python docs/generate.py

experiment: $(INSTALLED) ## Compare objectives over seeds; hours, resumable: run again to go on
	@$(RUN) $(BIN)/python -m experiments.run --profile experiments/objectives.yaml --folder data/experiments/objectives
	@$(RUN) $(BIN)/python -m experiments.results --profile experiments/objectives.yaml \
		--folder data/experiments/objectives --json docs/results/objectives.json --figures docs/results

parity: $(INSTALLED) ## Value and gradient of every loss against TRL, in float64
	@$(RUN) $(BIN)/python -m benchmarks.trl.parity --folder .venv/var/trl

benchmark: $(INSTALLED) ## Seconds by phase and round; rollout against bare vLLM; a round against TRL's, in equal work
	@$(RUN) $(BIN)/python -m benchmarks.round_seconds
	@$(RUN) $(BIN)/python -m benchmarks.rollout_speed
	@$(RUN) $(BIN)/python -m benchmarks.trl.speed --folder .venv/var/trl --policy data/policies/r0

overhead: $(INSTALLED) ## What DVC, Prefect, Great Expectations and start-up cost a round, up to 30 rounds
	@$(RUN) $(BIN)/python -m benchmarks.overhead --folder .venv/var/overhead

gpu-check: $(INSTALLED) ## One short round of a random 0.5B model on this machine's GPU: speed, utilisation, exactness
	@$(RUN) $(BIN)/python -m benchmarks.gpu_check --out docs/results/gpu.json

clean: ## Delete unfinished work and library caches; results and DVC's cache stay
	@rm -rf data/.scratch .venv/var .pytest_cache .mypy_cache .ruff_cache
