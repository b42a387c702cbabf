# SPDX-License-Identifier: Apache-2.0
# Each target sets up what it needs, once. ARGS go to the command: make demo ARGS='--rate 1', make test ARGS='-k letterbox'.
SHELL := bash
.SHELLFLAGS := -eo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo test lint format fuzz
ARGS ?=
SOURCED := source ros2_ws/env.sh &&

help: ## say what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

demo: ## run camera and server side on the shipped clip, write out/demo
	@scripts/setup runtime
	@$(SOURCED) exec mtl-split demo $(ARGS)

fuzz: ## throw damaged messages at all that reads the wire, write out/fuzz
	@scripts/setup runtime
	@$(SOURCED) exec mtl-split fuzz $(ARGS)

test: lint ## run every check: ruff, mypy --strict, pytest
	@$(SOURCED) python3 -m pytest $(ARGS)

lint: ## run ruff and mypy --strict
	@scripts/setup dev
	@$(SOURCED) ruff check
	@$(SOURCED) ruff format --check
	@$(SOURCED) mypy

format: ## sort imports and format
	@scripts/setup dev
	@$(SOURCED) ruff check --fix-only --quiet && ruff format
