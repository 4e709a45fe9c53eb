# Every target makes the environment first if it is missing. With no arguments they work on the demo export,
# which is made and curated first where it is missing. `make help` lists them.

PYTHON  ?= $(shell command -v python3.11 || command -v python3.12 || echo python3)
VENV    ?= .venv
WORKERS ?= 2
DEMO    ?= demo
STUDIES ?= 64
SEED    ?= 1
EXTRAS  ?= dev

# With neither EXPORT nor DATASET given everything is the demo's; otherwise nothing is.
ifeq ($(origin EXPORT)$(origin DATASET),undefinedundefined)
  EXPORT  := $(DEMO)/export
  DATASET := $(DEMO)/dataset
  RUN     ?= $(DEMO)/run
  DEMO_EXPORT    := $(DEMO)/export/demo.json
  DEMO_DATASET   := $(DEMO)/dataset/labels/findings.parquet
  DEMO_RUN       := $(if $(filter $(DEMO)/run,$(RUN)),demo-run)
  CURATE_CONFIG  := $(or $(CONFIG),curation/demo/curation.toml) --key curation/demo/demo.key
else
  DATASET ?= dataset
  RUN     ?= run
  CURATE_CONFIG := $(CONFIG)
endif
REPORTS ?= $(EXPORT)/reports.csv

PY := $(VENV)/bin/python
READY := $(VENV)/ready

# A run that is there goes on from its newest checkpoint, with the configuration it was started with.
pretrain = if test -f $(2)/config.json; then $(PY) -m train pretrain $(1) --out $(2) --resume; \
  else $(PY) -m train pretrain $(1) --out $(2) $(3); fi

.DEFAULT_GOAL := help
.PHONY: demo-run help venv viewer curate verify audit pretrain evaluate baselines export demo test lint bench bench-volumes docs pictures clean

help:  ## list the targets
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make curate EXPORT=/data/export REPORTS=/data/reports.csv DATASET=/data/dataset [CONFIG=site.toml] [WORKERS=8]"
	@echo "  make pretrain DATASET=/data/dataset RUN=/data/run [CONFIG=train.toml]"

venv: $(READY)  ## the environment, with the audit's viewer; nothing else

$(READY): setup.cfg pyproject.toml constraints.txt
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@echo "installing the pinned packages into $(VENV) (about a minute with a warm package cache)" >&2
	@$(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt setuptools
	@$(PY) -m pip install -qq --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[$(EXTRAS)]'
	@$(PY) -m curation.audit.viewer || true
	@touch $(READY)

viewer: $(READY)  ## the audit's viewer NiiVue once more, where `make venv` could not fetch it
	$(PY) -m curation.audit.viewer

$(DEMO)/export/demo.json: | $(READY)
	$(PY) -m curation demo $(DEMO)/export --studies $(STUDIES) --seed $(SEED) --workers $(WORKERS)

curate: $(READY) $(DEMO_EXPORT)  ## raw export and reports -> data set (EXPORT= REPORTS= DATASET= CONFIG= WORKERS=)
	@test -n "$(EXPORT)" || { echo "make curate: give EXPORT= as well as DATASET=" >&2; exit 2; }
	$(PY) -m curation run $(EXPORT) --reports $(REPORTS) --out $(DATASET) --workers $(WORKERS) $(if $(CURATE_CONFIG),--config $(CURATE_CONFIG))

$(DEMO)/dataset/labels/findings.parquet: | $(READY) $(DEMO)/export/demo.json
	$(PY) -m curation run $(DEMO)/export --reports $(DEMO)/export/reports.csv --out $(DEMO)/dataset --workers $(WORKERS) --config curation/demo/curation.toml --key curation/demo/demo.key
	$(PY) -m curation labels $(DEMO)/dataset $(DEMO)/export/truth/organs --name organs
	$(PY) -m curation labels $(DEMO)/dataset $(DEMO)/export/truth/lesions --name lesions --findings $(DEMO)/export/truth/findings.csv

verify: $(READY) $(DEMO_DATASET)  ## prove the data set's invariants (DATASET=)
	$(PY) -m curation verify $(DATASET)

audit: $(READY) $(DEMO_DATASET)  ## serve the audit pages on loopback (DATASET=)
	$(PY) -m curation audit $(DATASET)

pretrain: $(READY) $(DEMO_DATASET)  ## T3D pre-training, resumed where a run was cut off (DATASET= RUN= CONFIG=)
	$(call pretrain,$(DATASET),$(RUN),$(if $(CONFIG),--config $(CONFIG)))

demo-run: $(READY) $(DEMO)/dataset/labels/findings.parquet
	$(call pretrain,$(DEMO)/dataset,$(DEMO)/run)

evaluate: $(READY) $(DEMO_RUN)  ## controls, retrieval, probes: metrics.json and a page (RUN= DATASET=)
	$(PY) -m train evaluate $(RUN) $(DATASET)

baselines: $(READY) $(DEMO_DATASET)  ## every method with the same trainer, in one table (DATASET= RUN= SEEDS=)
	$(PY) -m train baselines $(DATASET) --out $(RUN)-baselines --seeds $(or $(SEEDS),1)

export: $(READY) $(DEMO_RUN)  ## encoder weights for plain MONAI (RUN=)
	$(PY) -m train export $(RUN) --out $(RUN)/encoder

demo: $(READY) $(DEMO)/dataset/labels/findings.parquet  ## everything: demo export -> curate -> verify -> pretrain -> evaluate -> static audit
	$(PY) -m curation verify $(DEMO)/dataset
	$(call pretrain,$(DEMO)/dataset,$(DEMO)/run)
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

bench-volumes: $(READY)  ## speed of the converter beside SimpleITK, dcm2niix, TorchIO and MONAI (docs/volumes_speed.md)
	$(PY) -m benchmarks.volumes_speed --out docs/volumes_speed.md

docs: $(READY)  ## rewrite the pages that are made from code (reasons, configuration)
	$(PY) -m docs.make

pictures: $(READY)  ## remake the README's pictures and tables from a finished demo
	$(PY) -m docs.pictures $(DEMO)

clean:  ## remove the environment and the demo
	rm -rf $(VENV) $(DEMO)
