#!/usr/bin/env bash
# Installs those Debian packages of the given lists that are missing; asks for nothing when all are there.
# Usage: deploy/install_packages.sh LIST…
set -euo pipefail

fail() {
  echo "$*" >&2
  exit 1
}

command -v dpkg-query >/dev/null ||
  fail "This is not a Debian system: install the counterparts of the packages in $* by hand, then build with cmake."

lists=$(sed -e 's/#.*//' -e '/^[[:space:]]*$/d' "$@")
mapfile -t wanted <<<"$lists"
installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^installed //p') || true
missing=()
for package in "${wanted[@]}"; do
  grep -qxF "$package" <<<"$installed" || missing+=("$package")
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID != 0)); then
  command -v sudo >/dev/null || fail "Run this as root: apt-get install ${missing[*]}"
  as_root=(sudo)
fi
echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0)
"${apt[@]}" update || fail "apt-get update failed: check the network and /etc/apt/sources.list, then run this again."
"${apt[@]}" install --yes --no-install-recommends "${missing[@]}" >/dev/null ||
  fail "apt-get could not install the packages named above: check that this is Debian 12 (bookworm), then run this again."
