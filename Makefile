# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Thin on purpose: what these targets do is in tests/lab. Each may be interrupted and run again. ARGS goes to the tool behind a target.
PYTHON ?= python3
LAB = $(PYTHON) -m tests.lab
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help lab site test lab-status lab-down clean lint unit archive sanity cluster integration kubernetes thorough molecule bench ipip endurance pins

help: ## say what there is
	@awk -F ':.*## ' '/^[a-z -]+:.*## / { n = split($$1, names, " "); for (i = 1; i <= n; i++) printf "  make %-12s %s\n", names[i], $$2 }' $(MAKEFILE_LIST)

lab: ## three hosts on this machine, the workers asleep, then site.yml against them
	@$(LAB) lab $(ARGS)

test: ## set everything up and run every test
	@$(LAB) test $(ARGS)

site: ## ansible-playbook site.yml against the real hosts of inventory/
	@command -v ansible-playbook > /dev/null || { echo 'ansible-playbook: found none on PATH; required: ansible-core 2.20 or newer.' \
		'Install it as README.md describes under "Before you start".' >&2; exit 1; }
	@ansible-playbook site.yml $(ARGS)

lab-status: ## what stands in the lab
	@$(LAB) status

lab-down: ## remove the lab; images and cache stay for the next one
	@$(LAB) down

clean: lab-down ## remove all labs, images and the cache
	@$(LAB) clean

lint unit archive sanity cluster integration kubernetes thorough: ## one phase of the tests
	@$(LAB) test $@

molecule: ## molecule's default scenario (ARGS="converge", ...)
	@$(LAB) molecule $(ARGS)

bench: ## measure, against looped modules and the floor
	@$(LAB) bench $(ARGS)

endurance: ## what the gate does a few times, 25 times and more; hours
	@$(LAB) endurance

ipip: ## IP-in-IP tunnels through every firewall, between two emulated hosts with Debian's kernel
	@$(LAB) ipip

pins: ## renew requirements/development.txt from development.in
	@$(LAB) pins
