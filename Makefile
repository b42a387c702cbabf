# SPDX-License-Identifier: Apache-2.0
# Each target sets up what it needs, once. ARGS go to the command: make demo ARGS='--rate 1', make test ARGS='-k letterbox'.
SHELL := bash
.SHELLFLAGS := -eo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help demo bench bench-quick bench-limits bench-cameras bench-link bench-codec soak fuzz train test lint format docs audit
ARGS ?=
# Of `make train`: folder of the data set, and the folder of the run.
DATA ?= data/camvid
RUN := out/train/camvid
SOURCED := source ros2_ws/env.sh &&
# Processes that get a file of tests each, in the order of the files; with their warnings they would hand over classes, too.
BESIDE := --dist loadfile --no-loadscope-reorder -p no:warnings

help: ## say what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 13

demo: ## run camera and server side on the shipped clip, write out/demo
	@scripts/setup runtime
	@$(SOURCED) exec mtl-split demo $(ARGS)

bench: ## measure the split beside raw, JPEG, WebP and video over five links, write out/bench
	@scripts/setup runtime
	@$(SOURCED) exec mtl-split bench $(ARGS)

bench-quick: ## compare ratios within one run with those that ship, fail where one is much worse
	@scripts/setup runtime
	@$(SOURCED) exec mtl-split bench-quick $(ARGS)

bench-limits: ## measure start, images a second, image sizes, write out/bench-limits
	@scripts/setup runtime
	@$(SOURCED) exec mtl-split bench-limits $(ARGS)

bench-cameras: ## measure 1, 2, 4 and 8 cameras at one server, write out/bench-cameras
	@scripts/setup runtime
	@$(SOURCED) exec mtl-split bench-cameras $(ARGS)

bench-link: ## measure each transport over slow links and a cut, write out/bench-link
	@scripts/setup runtime
	@$(SOURCED) exec mtl-split bench-link $(ARGS)

soak: ## run mode auto with random faults for 30 minutes, write out/soak
	@scripts/setup runtime
	@$(SOURCED) exec mtl-split soak $(ARGS)

fuzz: ## throw damaged messages at all that reads the wire, write out/fuzz
	@scripts/setup runtime
	@$(SOURCED) exec mtl-split fuzz $(ARGS)

bench-codec: ## measure the codec on the shipped clip, fill docs/codec.md
	@scripts/setup runtime
	@$(SOURCED) exec mtl-split bench-codec --doc docs/codec.md $(ARGS)

train: ## train the network that ships from random weights, or go on (DATA=DIR), write out/train/camvid/bundle
	@scripts/setup train
	@$(SOURCED) mtl-split train --config experiments/camvid.yaml --data '$(DATA)' --out $(RUN) --precision bf16-mixed \
	  $(if $(wildcard $(RUN)/checkpoints/last.ckpt),--resume) $(ARGS)
	@rm -rf $(RUN)/time-of-day $(RUN)/new
	@$(SOURCED) mtl-split train --config experiments/camvid-time-of-day.yaml --data '$(DATA)' --out $(RUN)/time-of-day --precision bf16-mixed \
	  $(ARGS) --init $(RUN)/checkpoints/last.ckpt
	@$(SOURCED) mtl-split export --checkpoint $(RUN)/time-of-day/checkpoints/last.ckpt --data '$(DATA)' --out $(RUN)/new \
	  --int8 --with-torch --unweight 0.75
	@$(SOURCED) mtl-split eval --data '$(DATA)/val' --bundle $(RUN)/new --all-rates --update-bundle
	@rm -rf $(RUN)/bundle && mv $(RUN)/new $(RUN)/bundle

test: lint ## run every check: ruff, mypy --strict, pytest
	@$(SOURCED) python3 -m pytest --half untimed -n 3 $(BESIDE) $(ARGS)
	@$(SOURCED) python3 -m pytest --half timed -n 2 $(BESIDE) $(ARGS)

lint: ## run ruff and mypy --strict
	@scripts/setup dev
	@$(SOURCED) ruff check
	@$(SOURCED) ruff format --check
	@$(SOURCED) mypy

format: ## sort imports and format
	@scripts/setup dev
	@$(SOURCED) ruff check --fix-only --quiet && ruff format

docs: ## build the site of the documentation, warnings are errors, into out/site
	@scripts/setup docs
	@$(SOURCED) NO_MKDOCS_2_WARNING=1 mkdocs build --strict $(ARGS)

audit: ## look the locked packages up in the advisory database of PyPI
	@scripts/setup audit
	@$(SOURCED) for lock in requirements/*.txt; do echo "$$lock"; \
	  pip-audit --strict --disable-pip --no-deps -r "$$lock" $(ARGS); done
