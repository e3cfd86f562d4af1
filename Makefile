# Every target creates and fills .venv itself when it is missing or when the requirements changed.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := litert,tflite,onnx,tensorrt,keyring,train,export,search,kiosk,dev
RECIPES := models/sigedge_models/edgesig
BUNDLE := runtime/sigedge_runtime/bundles/edgesig
TEST_ARGS ?=
DEVICE ?= $(shell uname -sm | tr 'A-Z ' 'a-z-')
BENCH_BUNDLE ?= $(firstword $(wildcard out/full/edgesig) $(BUNDLE))
FUZZ_SECONDS ?= 60
SOAK_MINUTES ?= 10

export TF_CPP_MIN_LOG_LEVEL ?= 3
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help install demo test lint format bench arm-parity train fuzz soak docs-tables clean

help: ## Show the targets
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14

install: $(STAMP) ## Create and fill .venv

demo: $(STAMP) ## Export the committed weights, prove parity, verify synthetic signatures: out/demo/report.html
	@$(BIN)/sigedge demo --out out/demo

test: $(STAMP) ## Run every test, with the coverage gate of the runtime
	@mkdir -p out/test
	@$(BIN)/python -m pytest -rs --durations=10 -n auto --maxprocesses 4 --dist loadfile \
		--cov=sigedge_runtime --cov-fail-under=90 --junitxml=out/test/junit.xml $(TEST_ARGS)

lint: $(STAMP) ## Check style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

format: $(STAMP) ## Format the sources
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

# DEVICE names this device; a full export in out/full/edgesig is measured with all its precisions.
bench: $(STAMP) ## Measure the bundle beside peers: benchmarks/results/bench-DEVICE.json, out/bench/index.html
	@mkdir -p benchmarks/results out/bench
	@$(BIN)/sigedge bench $(BENCH_BUNDLE) --peers benchmarks/peers --threads 1 --threads 2 --device-id $(DEVICE) \
		--json benchmarks/results/bench-$(DEVICE).json --page out/bench/index.html

arm-parity: $(STAMP) ## Compare the runtime here with emulated Arm cores: benchmarks/results/arm-parity.json
	@$(BIN)/python -m sigedge.arm --json benchmarks/results/arm-parity.json

# One thread adds up in one order: the same processor gives the same weights to the bit.
train: export OMP_NUM_THREADS := 1
train: $(STAMP) ## Train the shipped weights: edgesig-clean, then with Hindi signers, then edgesig; in runs/
	@$(BIN)/sigedge train edgesig --recipe $(RECIPES)/recipe-clean.yaml --out runs/edgesig-clean
	@$(BIN)/sigedge train edgesig --recipe $(RECIPES)/recipe-without-cedar.yaml \
		--initial runs/edgesig-clean/edgesig-clean.safetensors --out runs/edgesig-without-cedar
	@$(BIN)/sigedge train edgesig --initial runs/edgesig-without-cedar/edgesig-without-cedar.safetensors --out runs/edgesig

fuzz: $(STAMP) ## Fuzz images, bundles and stores: fixed cases, then FUZZ_SECONDS (60) guided by coverage for each target
	@$(BIN)/python benchmarks/fuzz/campaign.py
	@$(BIN)/python -c "import atheris" 2>/dev/null || $(BIN)/python -m pip install -q -c constraints.txt -e ".[fuzz]"
	@for target in image manifest embedded bundle store; do \
		echo "sigedge: fuzzing $$target for $(FUZZ_SECONDS) seconds (log in out/fuzz/$$target/log)"; \
		mkdir -p out/fuzz/$$target; \
		OPENCV_LOG_LEVEL=SILENT $(BIN)/python benchmarks/fuzz/harness.py $$target -max_total_time=$(FUZZ_SECONDS) \
			>out/fuzz/$$target/log 2>&1 || { tail -n 40 out/fuzz/$$target/log >&2; \
			echo "sigedge: $$target failed; the file that did it is in out/fuzz/$$target/" >&2; exit 1; }; \
		tail -n 1 out/fuzz/$$target/log; \
	done

soak: $(STAMP) ## Verify on 8 threads while one enrols, SOAK_MINUTES (10) long: benchmarks/results/soak-edgesig.json
	@$(BIN)/python benchmarks/soak.py --minutes $(SOAK_MINUTES)

docs-tables: $(STAMP) ## Regenerate every table and picture in README and docs
	@$(BIN)/python -m sigedge.evaluation.tables
	@$(BIN)/python benchmarks/docs_pictures.py
	@$(BIN)/python benchmarks/lab_pictures.py

clean: ## Remove what the targets wrote, but not .venv
	rm -rf out dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*

# The stamp is newer than both requirement files exactly when .venv holds what they ask for.
# onnx2tf brings opencv-python, which needs libGL; the headless build goes on top of it, same version.
$(STAMP): pyproject.toml constraints.txt
	@python=""; \
	for candidate in python3.11 python3 python python3.10; do \
		if $$candidate -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 12))' 2>/dev/null; then \
			python=$$candidate; break; \
		fi; \
	done; \
	if [ ! -x $(BIN)/python ]; then \
		if [ -z "$$python" ]; then \
			echo "sigedge: no Python 3.10 or 3.11 found on PATH; the export chain (onnx2tf 1.29, TensorFlow 2.19)" \
				"needs one of them: install python3.11 and run make again." >&2; exit 2; \
		fi; \
		echo "sigedge: creating $(VENV) with $$($$python --version)"; \
		$$python -m venv $(VENV) || { rm -rf $(VENV); \
			echo "sigedge: $$python cannot create a virtual environment; install its venv module" \
				"(python3-venv) and run make again." >&2; exit 2; }; \
	fi
	@echo "sigedge: filling $(VENV) (about 4 GB, 3 to 8 minutes; log in $(VENV)/install.log)"
	@$(BIN)/python -m pip install -c constraints.txt -e ".[$(EXTRAS)]" 2>$(VENV)/install.err \
		| tee $(VENV)/install.log \
		| awk '/^Collecting/ {if (++n % 25 == 0) {print "sigedge:   " n " packages resolved"; fflush()}} \
			/^Installing collected/ {print "sigedge:   installing"; fflush()}' \
		|| { tail -n 20 $(VENV)/install.err >&2; \
			echo "sigedge: the installation failed; mend the cause above and run make again." >&2; exit 2; }
	@$(BIN)/python -m pip install -q --force-reinstall --no-deps -c constraints.txt opencv-python-headless
	@touch $@
	@echo "sigedge: $(VENV) is ready"
