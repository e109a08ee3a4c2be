# Homeport. On a fresh machine with Go, make and git: `make run`. With apt besides: `make test`.
# The pinned toolchain is fetched by the go command itself, as a module.
export GOTOOLCHAIN := go1.27.2
export GOFLAGS := -buildvcs=false

LDFLAGS := -s -w

.PHONY: run build test check bench fuzz clients schema notice clean

run: ## set up, build, start, and print what to paste
	@scripts/build.sh bin/homeport "$(LDFLAGS)"
	@bin/homeport serve

build: ## one static binary at bin/homeport
	@scripts/build.sh bin/homeport "$(LDFLAGS)"

test: ## everything, race detector on
	@scripts/need.sh gcc npm
	@cd tests/clients && npm ci --no-audit --no-fund --loglevel=error
	CGO_ENABLED=1 go build -race -o bin/homeport.race ./cmd/homeport
	HOMEPORT_BINARY=$(CURDIR)/bin/homeport.race CGO_ENABLED=1 go test -race -timeout 15m ./...

check: ## format, vet, staticcheck, import rules, licences, modules, other platforms
	@scripts/check.sh

bench: ## figures as ratios against direct, a plain Go proxy and nginx, in one run
	@scripts/need.sh nginx
	@scripts/build.sh bin/homeport "$(LDFLAGS)"
	go run ./bench

fuzz: ## each fuzz target for a while; fails when a target does not run
	@scripts/fuzz.sh

schema: ## docs/homeport.schema.json from the configuration struct
	go run ./cmd/homeport schema > docs/homeport.schema.json

notice: ## NOTICE from the linked modules' licences
	go run ./internal/devtools/licences -write NOTICE ./cmd/homeport

clean:
	rm -rf bin
