# Every target makes .venv ready first (scripts/bootstrap: a moment when nothing changed).
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help bootstrap demo test check format bench coverage soak fuzz e2e e2e-systemd images bundle lock docs figures clean

SOURCES := libs/cellkeeper/src services/bus-gateway/src services/historian/src services/twin/src services/balancer/src services/analytics/src dashboards/src
BIN := .venv/bin
BALANCER_CORE := phase pack_stats pack_view rules seen limits frozen_units findings orders decision dispatch proof string_loop strategies

help:  ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

bootstrap:  ## interpreter, packages, Mosquitto
	@scripts/bootstrap

demo: bootstrap  ## the whole suite against the battery-room twin (DEMO_STRINGS, DEMO_CELLS, DEMO_SECONDS, DEMO_SPEED, DEMO_PORT, DEMO_DIR, DEMO_SCENARIO)
	@exec $(BIN)/cellkeeper demo

test: bootstrap  ## the whole test suite against real servers (ARGS= for pytest, TEST_WORKERS)
	@scripts/real-brokers
	@scripts/real-servers --if-possible
	@scripts/real-node-red
	@exec $(BIN)/pytest -q -m "not soak" -n $${TEST_WORKERS:-3} --dist loadfile --no-loadscope-reorder $(ARGS)

check: bootstrap  ## lint, types, import rules, generated files, lock
	@scripts/check

format: bootstrap  ## let ruff rewrite the code
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

bench: bootstrap  ## figures with their goals (ONLY=name,name)
	@exec $(BIN)/python -m bench.run "$(ONLY)"

coverage: bootstrap  ## the balancer's core: every branch is reached by its rules, or this fails
	@exec $(BIN)/pytest -q services/balancer/tests/test_{phase,readings,limits,strategies,findings,decision,commands_sent}.py \
		$(addprefix --cov=balancer.,$(BALANCER_CORE)) --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=100

soak: bootstrap  ## the long forms: kill rounds, outages in real time (bounded, see the tests' own limits)
	@exec timeout $${SOAK_LIMIT_S:-7200} $(BIN)/pytest -q -m soak --timeout 5400 $(ARGS)

fuzz: bootstrap  ## random and mutated frames into the decoders for FUZZ_S seconds (600)
	@exec $(BIN)/python bench/fuzz_frames.py $${FUZZ_S:-600}

e2e:  ## the production stack under docker compose with the twin: build, start, check, stop; needs or starts a Docker engine
	@scripts/e2e

e2e-systemd:  ## a site without Docker on a machine of its own that systemd runs: install, start, check, kill, reboot, upgrade; needs root and Debian
	@scripts/e2e-systemd

images:  ## images of the services, from the wheelhouse (CELLKEEPER_PYTHON_IMAGE)
	@scripts/images

bundle: bootstrap  ## everything a site server without network needs, in dist/ (BUNDLE_IMAGES=yes, CELLKEEPER_PYTHON)
	@scripts/bundle

lock: bootstrap  ## renew requirements.lock after a dependency changed
	@scripts/lock

figures: bootstrap  ## write the newest results of `make bench` into the README
	@$(BIN)/python scripts/readme-figures

docs: bootstrap  ## write the generated documents again
	@$(BIN)/python scripts/generate-docs

clean:  ## remove .venv, caches and the demo's state
	@rm -rf .venv .cache .demo dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
