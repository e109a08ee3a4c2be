#!/usr/bin/env bash
# Builds the static binary with a line of progress: a cold build of the dependencies takes a minute or more. The go command
# fetches what the binary needs and no module of the tests.
# usage: build.sh OUTPUT LDFLAGS
set -euo pipefail
cd "$(dirname "$0")/.."
out=$1 ldflags=$2
if ! command -v go >/dev/null; then
  echo "error: go is not installed. hint: apt-get install golang, or unpack a Go release and put its bin/ on PATH" >&2
  exit 2
fi
[ -t 2 ] && progress=1 || progress=0
say() { echo "homeport: $*" >&2; }
say "正在构建 $out：首次构建要下载并编译依赖，约一两分钟"
say "building $out: the first build fetches and compiles the dependencies, about a minute or two"
export CGO_ENABLED=0 GOTOOLCHAIN=go1.27.2
log=$(mktemp) && trap 'rm -f "$log"' EXIT
if go build -v -trimpath -ldflags "$ldflags" -o "$out" ./cmd/homeport 2>&1 | tee "$log" | awk -v live="$progress" '
    /^go: downloading / { m++; if (live) { printf "\r\033[K  fetching %d: %s", m, substr($3, 1, 60); fflush() }; next }
    { n++; if (live) { printf "\r\033[K  %d packages: %s", n, substr($0, 1, 60); fflush() } else if (n % 50 == 0) print "  " n " packages" }
    END { if (live && n + m) printf "\r\033[K" }' >&2; then
  say "built $out"
else
  grep -E '^[^ ]+\.go:[0-9]+' "$log" >&2 || tail -20 "$log" >&2
  exit 1
fi
