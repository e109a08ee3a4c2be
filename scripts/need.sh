#!/usr/bin/env bash
# Installs what a target needs and this machine lacks, by apt. usage: need.sh PROGRAM…
set -euo pipefail
missing=()
for p in "$@"; do
  command -v "$p" >/dev/null || [ -x "/usr/sbin/$p" ] || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if ! command -v apt-get >/dev/null; then
  echo "error: ${missing[*]} not found and there is no apt-get. hint: install ${missing[*]} by your own means" >&2
  exit 2
fi
packages=()
for p in "${missing[@]}"; do
  case $p in
    gcc) packages+=(gcc libc6-dev) ;;
    npm) packages+=(nodejs npm) ;;
    nginx) packages+=(nginx-light) ;;
    *) packages+=("$p") ;;
  esac
done
sudo=; [ "$(id -u)" -eq 0 ] || sudo=sudo
echo "homeport: installing ${packages[*]}" >&2
$sudo apt-get update -qq >/dev/null
DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
