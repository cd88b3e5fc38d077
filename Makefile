# Every target stands with its meaning after two hashes; `make help` prints them.
# Recipes hold no logic: they call a tool, or a script that can be read and tested.

PYTHON := .venv/bin/python
RUFF := .venv/bin/ruff
COVERAGE := $(PYTHON) -m coverage
# Tools with dependencies of their own have an environment of their own, beside the one that is tested.
AUDIT := UV_PROJECT_ENVIRONMENT=build/audit .venv/bin/uv run --locked --quiet --only-group audit
# Half of what a test takes it waits, so three workers keep two cores busy; more than four brokers at once help nobody.
CORES := $(shell getconf _NPROCESSORS_ONLN)
WORKERS := --numprocesses=$(shell expr $(CORES) \* 3 / 2) --maxprocesses=4 --dist=worksteal
# A file of long tests stays together, with the brokers that it starts.
LONG_WORKERS := --numprocesses=2 --dist=loadfile
SITE := NO_MKDOCS_2_WARNING=1 UV_PROJECT_ENVIRONMENT=build/site/venv .venv/bin/uv run --locked --quiet --only-group site
SBOM := UV_PROJECT_ENVIRONMENT=build/sbom-tools .venv/bin/uv run --locked --quiet --only-group sbom
FUZZ := PYTHONPATH=.:deploy/local UV_PROJECT_ENVIRONMENT=build/fuzz .venv/bin/uv run --locked --quiet --no-default-groups --group fuzz
SOURCES := $(wildcard service schemas deploy tests examples benchmarks)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo run test test-long npm-test examples-test integration test-rabbitmq4 test-pythons test-parser faults siege fuzz cov check lock lint fmt fmt-check \
	types imports style docs docs-check schema-compat changelog-check deploy-check image-test compose-test release-check site screenshots rehearsal rehearsal-short \
	audit sbom pip-check build clean bench bench-check bench-console

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## put both packages and the tms-bridge command into .venv
	@deploy/local/setup.sh

demo: setup ## start a broker and the bridge, send all twelve events, show what arrived
	@$(PYTHON) deploy/local/demo.py

run: setup ## as demo, and stay up, with the text to paste into TMS
	@$(PYTHON) deploy/local/demo.py --stay

test: setup ## run the tests side by side, each worker against a RabbitMQ of its own
	$(PYTHON) -m pytest $(WORKERS) -m "not long"

npm-test: setup ## hold the contract to Ajv, AsyncAPI's parser, TypeScript and Node; fetches packages with npm
	NPM_TESTS=1 $(PYTHON) -m pytest tests/npm

examples-test: setup ## run each example in an environment of its own, with what its README line installs; fetches packages
	OWN_ENVIRONMENTS=1 $(PYTHON) -m pytest tests/examples

test-long: setup ## run the tests that take long: every fault by itself, a cluster, a soak
	$(PYTHON) -m pytest $(LONG_WORKERS) -m long

integration: setup ## run only the tests that need a broker
	$(PYTHON) -m pytest $(WORKERS) -m "integration and not long"

test-rabbitmq4: setup ## run the tests that need a broker against RabbitMQ 4; TESTS="tests/broker" runs some of them
	RABBITMQ_SERIES=4 $(PYTHON) -m pytest $(LONG_WORKERS) -m integration $(TESTS)

test-pythons: setup ## run the tests on each newer Python that this machine has, in an environment of its own
	@deploy/local/pythons.sh $(WORKERS) -m "not integration and not long"
	@deploy/local/pythons.sh $(WORKERS) -m "integration and not long" tests/bootstrap tests/e2e

test-parser: setup ## run the tests of the way in on aiohttp's parser in Python, as where there is no compiled one
	AIOHTTP_NO_EXTENSIONS=1 $(PYTHON) -m pytest $(WORKERS) -m "not long" tests/web tests/http

faults: setup ## a run of faults, ten minutes, with a report; FAULTS="--seed 1 2 3 --broker 4" says more
	PYTHONPATH=deploy/local $(PYTHON) -m tests.faults $(FAULTS)

cov: setup ## run all tests and hold branch coverage to its limits
	$(COVERAGE) erase
	$(COVERAGE) run -m pytest
	$(COVERAGE) combine --quiet
	$(COVERAGE) report --fail-under=95
	$(COVERAGE) report --fail-under=100 --include='*/auth/*,*/ingest/*,*/message.py,*/settings/*'

siege: setup ## attacks beside an honest sender, a minute each, with a verdict; SECONDS=5, DOCS=1 for docs/security.md
	PYTHONPATH=deploy/local $(PYTHON) -m tests.siege --seconds $(or $(SECONDS),60) $(if $(DOCS),--docs) $(SIEGE)

fuzz: setup ## hostile input for all that reads it, a minute each, with a verdict; TIME=600, COUNT=1000000, TARGETS="decoder http"
	$(FUZZ) python -m tests.fuzz $(if $(TIME),--seconds $(TIME)) $(if $(COUNT),--count $(COUNT)) $(TARGETS)

check: lock lint fmt-check types imports style docs-check schema-compat changelog-check ## everything that can be judged without running the service

lock: setup ## check that uv.lock fits pyproject.toml
	.venv/bin/uv lock --check --quiet

lint: setup ## check the code with every rule of ruff
	$(RUFF) check

fmt: setup ## format the code and mend what can be mended
	$(RUFF) check --fix
	$(RUFF) format

fmt-check: setup ## check the format of the code
	$(RUFF) format --check

types: setup ## check the types, strictly
	.venv/bin/mypy $(SOURCES)

imports: setup ## check that imports run in one direction
	.venv/bin/lint-imports

style: setup ## check the length of functions and files, and the names of classes
	$(PYTHON) -m pytest -q tests/test_style.py

docs: setup ## write the parts of the documentation that come from the code
	$(PYTHON) deploy/local/generated.py

docs-check: setup ## check that the generated documentation is up to date
	$(PYTHON) deploy/local/generated.py --check

schema-compat: setup ## check that the message contract keeps what was released
	$(PYTHON) -m tms_events compare schemas/released schemas

changelog-check: setup ## check that the changelog's fragments can be put together
	.venv/bin/towncrier build --draft --version next

deploy-check: setup ## check the image, the compose file and the Kubernetes manifests
	$(PYTHON) deploy/check.py

image-test: setup ## build the image without a Docker daemon, and run it as a cluster would; needs root
	PYTHONPATH=deploy/local $(PYTHON) deploy/image_test.py

compose-test: setup ## run the services of the compose file by hand, with its files, without a Docker daemon
	PYTHONPATH=deploy/local $(PYTHON) deploy/compose_test.py

release-check: setup ## check that wheels, npm package, image, manifests and changelog are of one release
	$(PYTHON) deploy/release.py check

site: setup ## build the documentation as pages into build/site/html, and check every link in it
	$(PYTHON) deploy/site_pages.py build/site/pages
	$(SITE) mkdocs build --quiet --config-file deploy/mkdocs.yml

screenshots: setup ## photograph every page of the console into docs/console
	SCREENSHOTS=docs/console $(PYTHON) -m pytest -m long tests/console/test_every_page.py

rehearsal: setup ## replace, scale and lose replicas and broker nodes behind HAProxy and nginx; twenty minutes
	PYTHONPATH=deploy/local $(PYTHON) deploy/rehearsal.py --seed 1 2 3 --report docs/rehearsal

rehearsal-short: setup ## the worst of it once, behind HAProxy; a minute
	PYTHONPATH=deploy/local $(PYTHON) deploy/rehearsal.py --short

audit: setup ## hold what is deployed to the rules of checkov, and the workflows to those of zizmor
	$(PYTHON) deploy/check.py --render build/rendered
	$(AUDIT) checkov --config-file deploy/checkov.yaml --directory build/rendered
	$(AUDIT) checkov --config-file deploy/checkov.yaml --file deploy/Dockerfile
	$(AUDIT) zizmor --offline --quiet .github

sbom: setup ## list what is shipped, with licences (CycloneDX), and what is known against it, in build/sbom
	UV_PROJECT_ENVIRONMENT=build/shipped .venv/bin/uv sync --locked --quiet --no-default-groups --no-editable
	.venv/bin/uv export --locked --quiet --no-default-groups --no-emit-workspace --output-file build/sbom/requirements.txt
	$(SBOM) cyclonedx-py environment --pyproject pyproject.toml --mc-type application --output-reproducible \
		--output-file build/sbom/tms-bridge.cdx.json build/shipped/bin/python
	$(SBOM) python deploy/sbom.py build/sbom

pip-check: setup ## check that plain pip installs both packages
	$(PYTHON) deploy/local/pip_check.py

build: setup ## build wheels and source archives of both packages into dist/
	.venv/bin/uv build --all-packages

bench: setup ## measure the bridge against what people would use instead (QUICK=1: three minutes)
	@benchmarks/setup.sh
	@PYTHONPATH=deploy/local $(PYTHON) benchmarks/run.py $(if $(QUICK),--quick) $(if $(SOAK_S),--soak-s $(SOAK_S))

bench-console: setup ## measure what five open pages of the console cost, and the memory of its list (BROWSERS=1: in Chromium)
	@PYTHONPATH=deploy/local $(PYTHON) benchmarks/console.py $(if $(BROWSERS),--browsers)

bench-check: setup ## say what became slower between two commits: BASE=main~1 HEAD=HEAD
	@benchmarks/setup.sh
	@PYTHONPATH=deploy/local $(PYTHON) benchmarks/commits.py $(or $(BASE),HEAD~1) $(or $(HEAD),HEAD) \
		--rounds $(or $(ROUNDS),8)

clean: ## remove what the targets above have made
	rm -rf .venv .venv-* dist build htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .schemathesis .import_linter_cache
