#!/bin/sh
# Installs a package of Debian where its program is missing: debian.sh PROGRAM PACKAGE. No service is started by it.
set -eu
program=$1 package=$2
[ -x "$program" ] && exit 0
refuse() {
    echo "$package: $1" >&2
    exit 1
}
command -v apt-get >/dev/null || refuse "this system has no apt-get; install it so that $program exists, and run again"
[ "$(id -u)" = 0 ] || refuse "not installed; as root run: apt-get install --no-install-recommends $package"
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
made=
if [ ! -e "$policy" ]; then
    # What a package's own scripts ask before they start a service.
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=1
fi
trap '[ -z "$made" ] || rm -f "$policy"' EXIT
log=$(mktemp)
apt-get update >"$log" 2>&1 &&
    apt-get install -y --no-install-recommends "$package" >>"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    refuse "it could not be installed; the last lines of apt-get are above, all of them in $log"
}
rm -f "$log"
# A later start of the machine must not start what nobody asked for.
if [ -d /run/systemd/system ]; then systemctl disable --quiet "$package" || true; fi
