# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Thin on purpose: what these targets do is in tests/lab. Each may be interrupted and run again. ARGS goes to the tool behind a target.
# `make lab SOURCE=published` downloads Kubernetes, and compiles nothing.
PYTHON ?= python3
LAB = $(PYTHON) -m tests.lab
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help lab site test lab-status lab-down clean lint unit archive sanity cluster integration kubernetes thorough molecule matrix bench ipip endurance docs docs-site pictures pins

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z -]+:.*## / { n = split($$1, names, " "); for (i = 1; i <= n; i++) printf "  make %-12s %s\n", names[i], $$2 }' $(MAKEFILE_LIST)

lab: ## three hosts on this machine, the workers asleep, then site.yml against them
	@$(LAB) lab $(if $(SOURCE),--source $(SOURCE)) $(ARGS)

test: ## set everything up and run all tests except the longest ones
	@$(LAB) test $(ARGS)

site: ## ansible-playbook site.yml against the real hosts of inventory/
	@command -v ansible-playbook > /dev/null || { echo 'ansible-playbook: found none on PATH; required: ansible-core 2.20 or newer.' \
		'Install it as README.md describes under "Requirements".' >&2; exit 1; }
	@ansible-playbook site.yml $(ARGS)

lab-status: ## show the state of the lab
	@$(LAB) status

lab-down: ## remove the lab; images and cache stay for the next one
	@$(LAB) down

clean: lab-down ## remove all labs, images and the cache
	@$(LAB) clean

lint unit archive sanity cluster integration kubernetes thorough: ## one phase of the tests
	@$(LAB) test $@

molecule: ## molecule's default scenario (ARGS="converge", ARGS="test -s jellyfin", ...)
	@$(LAB) molecule $(ARGS)

matrix: ## the tests without hosts with other versions of ansible-core and of kubernetes (ARGS=ansible-core-2.20, ...)
	@$(LAB) matrix $(ARGS)

bench: ## measure, against looped modules and the floor
	@$(LAB) bench $(ARGS)

endurance: ## what the gate does a few times, 25 times and more; hours
	@$(LAB) endurance

ipip: ## IP-in-IP tunnels through every firewall, between two emulated hosts with Debian's kernel
	@$(LAB) ipip

docs: ## generate the roles' README files and the tables of docs/network-plan.md and docs/check-faults.md again
	@.venv/bin/python -m tests.unit.role_readmes
	@PYTHONPATH=collections .venv/bin/python -m tests.faults
	@PYTHONPATH=collections .venv/bin/python -m tests.unit.network_plan.tables

docs-site: ## build the documentation site: the guides, and the reference of modules, filters and roles
	@$(LAB) docs-site

pictures: ## draw the pictures of docs/images again (needs Chromium)
	@PYTHONPATH=collections .venv/bin/python -m tests.unit.report.pictures

pins: ## renew requirements/development.txt from development.in
	@$(LAB) pins
