.DEFAULT_GOAL := help
.PHONY: help run cluster test interop check dev bench fuzz image chart

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

check: dist/.stamp ## types, lint, layers, generated docs, the chart: what CI checks
	npm run --silent typecheck
	npm run --silent lint
	npm run --silent layers
	npm run --silent docs:config -- --check
	npm run --silent docs:operations -- --check
	npm run --silent docs:conformance -- --check
	npm run --silent docs:chart -- --check
	@if command -v helm >/dev/null; then $(MAKE) --no-print-directory chart; \
	else echo 'the chart was not rendered, helm is not here: https://helm.sh/docs/intro/install, or go install helm.sh/helm/v3/cmd/helm@latest'; fi

dev: dist/.stamp ## rebuild and restart at every change
	@npx tsc -p tsconfig.build.json --watch --preserveWatchOutput & \
	trap "kill $$!" EXIT; node --watch dist/main.js serve

bench: dist/.stamp ## measure throughput and latency
	@node bench/run.mjs $(ARGS)

fuzz: dist/.stamp dist-fuzz/.stamp ## attack a broker with spoilt packets: make fuzz ARGS='n=1000000 seed=1'
	@node dist-fuzz/test/fuzz/live/main.js $(ARGS)

image: ## build the container image: make image TAG=registry.example.com/parley:0.1.0
	docker build -f deploy/Dockerfile -t $(or $(TAG),parley:$(shell node -p "require('./package.json').version")) .

chart: dist/.stamp ## render the Helm chart in every shape and check what comes out; needs helm 3
	@helm lint --strict --quiet deploy/helm/parley
	@$(JEST) $(ARGS) --testMatch='<rootDir>/test/deploy/chart/**/*.test.ts'

node_modules/.stamp: package-lock.json
	npm ci --loglevel=error
	@touch $@

dist/.stamp: node_modules/.stamp tsconfig.json tsconfig.build.json $(SOURCES)
	npm run --silent build
	@touch $@

dist-fuzz/.stamp: node_modules/.stamp tsconfig.json tsconfig.fuzz.json $(wildcard test/fuzz/live/*.ts test/support/*.ts)
	npx tsc -p tsconfig.fuzz.json
	@touch $@
