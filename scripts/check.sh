#!/usr/bin/env bash
# make check: everything about the tree that needs no running server. Each step says what it is; the first failure ends it.
export GOTOOLCHAIN=go1.27.2
set -euo pipefail
cd "$(dirname "$0")/.."
step() { echo "check: $*"; }

step format
bad=$(git ls-files '*.go' | xargs gofmt -l)
[ -z "$bad" ] || { echo "not gofmt'ed:"; echo "$bad"; exit 1; }

step vet
go vet ./...

step staticcheck
go tool -modfile=tools/go.mod staticcheck ./...

step "import rules, package comments, tree"
go test -count=1 ./internal/tree

step licences
go run ./internal/devtools/licences -check NOTICE ./cmd/homeport

step modules
go mod tidy -diff
go mod verify

for target in linux/arm64 darwin/arm64 windows/amd64; do
  step "build for $target"
  GOOS=${target%/*} GOARCH=${target#*/} CGO_ENABLED=0 go build -o /dev/null ./cmd/homeport
done
