# The commands of everyday work. "make help" lists them.
.DEFAULT_GOAL := help
.PHONY: demo demo-stop test chaos bench build images lint help

demo: ## show rollcall at work: builds, starts, asks, stops one, starts another
	@scripts/demo

demo-stop: ## remove the demo
	@scripts/demo stop

test: ## run all tests, against a real engine too
	@scripts/test

chaos: ## send load while containers and an engine come and go: nothing may fail
	@scripts/engine
	@scripts/package ip iproute2
	go run ./e2e/chaos

bench: ## measure rollcall beside nginx, HAProxy, Caddy and a naive proxy
	@scripts/bench $(BENCH)

build: ## build ./rollcall for this machine
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.release=$$(git describe --tags --always --dirty)" -o rollcall .

images: ## build the images rollcall and hello
	@scripts/engine
	@scripts/base-image
	@scripts/images

lint: ## check format, vet and staticcheck
	@files=$$(gofmt -l .); test -z "$$files" || { echo "lint: not formatted as gofmt does it: $$files" >&2; exit 1; }
	go vet ./...
	go tool staticcheck ./...

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
