#!/bin/sh
# Installs Debian's Chromium where it is missing; playwright drives it and downloads no browser of its own.
set -eu
command -v chromium >/dev/null && exit 0
refuse() {
    echo "browser: $1" >&2
    exit 1
}
command -v apt-get >/dev/null || refuse "this system has no apt-get; install Chromium so that \`chromium\` is on the path, and run again"
[ "$(id -u)" = 0 ] || refuse "not installed; as root run: apt-get install --no-install-recommends chromium fonts-dejavu-core"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
apt-get update >"$log" 2>&1 &&
    apt-get install -y --no-install-recommends chromium fonts-dejavu-core >>"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    refuse "chromium could not be installed; the last lines of apt-get are above, all of them in $log"
}
rm -f "$log"
