# Two commands on a fresh machine: `make demo` and `make test`. Only Python 3.11+, make and git needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-run
PIP := $(BIN)/pip --disable-pip-version-check --quiet

.PHONY: demo test lint bench models sample-report notebooks clean help

help:
	@sed -n 's/^## //p' $(MAKEFILE_LIST)

$(VENV)/core: setup.cfg constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(VENV)/test: $(VENV)/core
	$(PIP) install --constraint constraints.txt --editable '.[test,train]'
	@touch $@

$(VENV)/bench: $(VENV)/core
	$(PIP) install --constraint constraints.txt --editable '.[train,bench]'
	@touch $@

## make demo    install, scan the bundled sample, evaluate, write the report
demo: $(VENV)/core
	$(BIN)/forensics demo --out $(OUT)

## make test    install, lint, run every test (with PyTorch: about 6 GB)
test: lint
	$(BIN)/python -m pytest --numprocesses logical --maxprocesses 8 --dist loadfile

## make lint    ruff, mypy, import-linter
lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

## make bench   measure against ceilings and peers, and evaluation of a large log (about 6 GB)
bench: $(VENV)/bench
	$(BIN)/forensics bench
	$(BIN)/python -m forensics.bench.evaluation

## make models  train and export the bundled cascade again (hours; needs FORENSICS_DATA and MODELS)
models: $(VENV)/test
	PATH="$(abspath $(BIN)):$$PATH" datasets/handgun/build.sh

## make sample-report  scan the bundled sample and write reports/sample/report.html anew
sample-report: $(VENV)/core
	$(BIN)/python reports/sample/make.py

## make notebooks  run the notebooks again on the bundled sample, in place (with PyTorch)
notebooks: $(VENV)/test
	$(BIN)/python notebooks/execute.py

clean:
	rm -rf $(VENV) demo-run build *.egg-info
