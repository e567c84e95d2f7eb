.DEFAULT_GOAL := help
.PHONY: help run cluster test interop check dev bench fuzz

SOURCES := main.ts $(shell find broker plugins -name '*.ts')
JEST    := node --experimental-vm-modules node_modules/jest/bin/jest.js

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-7s %s\n", $$1, $$2}' Makefile

run: dist/.stamp ## start a broker on this machine with default settings
	@node dist/main.js serve $(ARGS)

cluster: dist/.stamp ## two nodes with MongoDB and Redis on this machine, to try by hand
	@node --import ./test/servers/typescript.js test/servers/cluster.ts

test: dist/.stamp ## run all tests; a part of them: make test ARGS=test/unit
	@$(JEST) $(ARGS)

interop: dist/.stamp ## tell the chat story to all stock clients; leave some out: make interop WITHOUT="hivemq paho-c"
	@$(JEST) $(ARGS) --testMatch='<rootDir>/test/interop/**/*.test.ts' $(WITHOUT:%=--testPathIgnorePatterns=test/interop/%/)

check: dist/.stamp ## types, lint, layers, generated docs: what CI checks
	npm run --silent typecheck
	npm run --silent lint
	npm run --silent layers
	npm run --silent docs:config -- --check
	npm run --silent docs:operations -- --check
	npm run --silent docs:conformance -- --check

dev: dist/.stamp ## rebuild and restart at every change
	@npx tsc -p tsconfig.build.json --watch --preserveWatchOutput & \
	trap "kill $$!" EXIT; node --watch dist/main.js serve

bench: dist/.stamp ## measure throughput and latency
	@node bench/run.mjs $(ARGS)

fuzz: dist/.stamp dist-fuzz/.stamp ## attack a broker with spoilt packets: make fuzz ARGS='n=1000000 seed=1'
	@node dist-fuzz/test/fuzz/live/main.js $(ARGS)

node_modules/.stamp: package-lock.json
	npm ci --loglevel=error
	@touch $@

dist/.stamp: node_modules/.stamp tsconfig.json tsconfig.build.json $(SOURCES)
	npm run --silent build
	@touch $@

dist-fuzz/.stamp: node_modules/.stamp tsconfig.json tsconfig.fuzz.json $(wildcard test/fuzz/live/*.ts test/support/*.ts)
	npx tsc -p tsconfig.fuzz.json
	@touch $@
