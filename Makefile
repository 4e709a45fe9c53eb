# Every target makes the environment first if it is missing. With no arguments they work on the demo export,
# which is made and curated first where it is missing. `make help` lists them.

PYTHON  ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
VENV    ?= .venv
WORKERS ?= 2
DEMO    ?= demo
STUDIES ?= 64
SEED    ?= 1
EXTRAS  ?= dev

# An export of one's own gets a data set of its own, never the demo's.
ifeq ($(origin EXPORT),undefined)
  EXPORT  := $(DEMO)/export
  DATASET ?= $(DEMO)/dataset
  RUN     ?= $(DEMO)/run
  CONFIG  ?=
  PREREQUISITE_EXPORT := $(DEMO)/export/demo.json
  CURATE_CONFIG = $(or $(CONFIG),curation/demo/curation.toml)
else
  DATASET ?= dataset
  RUN     ?= run
  PREREQUISITE_EXPORT :=
  CURATE_CONFIG = $(CONFIG)
endif
ifeq ($(DATASET),$(DEMO)/dataset)
  PREREQUISITE_DATASET := $(DEMO)/dataset/dataset.json
endif
ifeq ($(RUN),$(DEMO)/run)
  PREREQUISITE_RUN := $(DEMO)/run/config.json
endif
REPORTS ?= $(EXPORT)/reports.csv
AUDIT   ?= $(patsubst %/,%,$(DATASET))-audit.html

PY := $(VENV)/bin/python
READY := $(VENV)/ready

.DEFAULT_GOAL := help
.PHONY: help venv curate verify audit pretrain evaluate export demo test lint bench docs clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make curate EXPORT=/data/export REPORTS=/data/reports.csv DATASET=/data/dataset [CONFIG=site.toml] [WORKERS=8]"
	@echo "  make pretrain DATASET=/data/dataset RUN=/data/run [CONFIG=train.toml]"

venv: $(READY)  ## the environment, nothing else

$(READY): setup.cfg pyproject.toml constraints.txt
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned packages into $(VENV) (about a minute with a warm package cache)" >&2
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt setuptools
	@$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[$(EXTRAS)]'
	@touch $(READY)

$(DEMO)/export/demo.json: | $(READY)
	$(PY) -m curation demo $(DEMO)/export --studies $(STUDIES) --seed $(SEED) --workers $(WORKERS)

curate: $(READY) $(PREREQUISITE_EXPORT)  ## raw export and reports -> data set (EXPORT= REPORTS= DATASET= CONFIG= WORKERS=)
	$(PY) -m curation run $(EXPORT) --reports $(REPORTS) --out $(DATASET) --workers $(WORKERS) $(if $(CURATE_CONFIG),--config $(CURATE_CONFIG))

$(DEMO)/dataset/dataset.json: | $(READY) $(DEMO)/export/demo.json
	$(PY) -m curation run $(DEMO)/export --reports $(DEMO)/export/reports.csv --out $(DEMO)/dataset --workers $(WORKERS) --config curation/demo/curation.toml
	$(PY) -m curation labels $(DEMO)/dataset $(DEMO)/export/truth/organs --name organs
	$(PY) -m curation labels $(DEMO)/dataset $(DEMO)/export/truth/lesions --name lesions --findings $(DEMO)/export/truth/findings.csv

verify: $(READY) $(PREREQUISITE_DATASET)  ## prove the data set's invariants (DATASET=)
	$(PY) -m curation verify $(DATASET)

audit: $(READY) $(PREREQUISITE_DATASET)  ## serve the audit pages on loopback (DATASET=)
	$(PY) -m curation audit $(DATASET)

pretrain: $(READY) $(PREREQUISITE_DATASET)  ## T3D pre-training, resumed where a run was cut off (DATASET= RUN= CONFIG=)
	$(PY) -m train pretrain $(DATASET) --out $(RUN) --resume $(if $(PRETRAIN_CONFIG),--config $(PRETRAIN_CONFIG))

$(DEMO)/run/config.json: | $(READY) $(DEMO)/dataset/dataset.json
	$(PY) -m train pretrain $(DEMO)/dataset --out $(DEMO)/run --resume

evaluate: $(READY) $(PREREQUISITE_RUN)  ## controls, retrieval, probes: metrics.json and a page (RUN= DATASET=)
	$(PY) -m train evaluate $(RUN) $(DATASET)

export: $(READY) $(PREREQUISITE_RUN)  ## encoder weights for plain MONAI (RUN=)
	$(PY) -m train export $(RUN) --out $(RUN)/encoder

demo: $(READY) $(DEMO)/export/demo.json  ## everything: demo export -> curate -> verify -> pretrain -> evaluate -> static audit
	$(MAKE) --no-print-directory $(DEMO)/dataset/dataset.json
	$(MAKE) --no-print-directory verify DATASET=$(DEMO)/dataset
	$(PY) -m train pretrain $(DEMO)/dataset --out $(DEMO)/run --resume
	$(PY) -m train evaluate $(DEMO)/run $(DEMO)/dataset
	$(PY) -m train export $(DEMO)/run --out $(DEMO)/encoder
	$(PY) -m curation audit $(DEMO)/dataset --static $(DEMO)/audit.html
	@echo "look at: $(DEMO)/audit.html  $(DEMO)/run/report.html  $(DEMO)/dataset/README.md" >&2

test: $(READY)  ## all tests
	$(PY) -m pytest -n 2 --dist loadgroup $(PYTEST_ARGS)

lint: $(READY)  ## ruff and mypy
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(READY)  ## what is measured against peers
	$(PY) -m benchmarks

docs: $(READY)  ## rewrite the pages that are made from code (reasons, configuration)
	$(PY) -m docs.make

clean:  ## remove the environment and the demo
	rm -rf $(VENV) $(DEMO)
