#!/bin/sh
# Installs Debian's RabbitMQ where it is missing. The tests start a broker of their own: none is left running by this.
set -eu
programs=/usr/lib/rabbitmq/bin
[ -x "$programs/rabbitmq-server" ] && exit 0
refuse() {
    echo "rabbitmq: $1" >&2
    exit 1
}
command -v apt-get >/dev/null || refuse "this system has no apt-get; install RabbitMQ so that $programs exists, and run again"
[ "$(id -u)" = 0 ] || refuse "not installed; as root run: apt-get install --no-install-recommends rabbitmq-server"
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
    apt-get install -y --no-install-recommends rabbitmq-server >>"$log" 2>&1 || {
    tail -n 5 "$log" >&2
    refuse "rabbitmq-server could not be installed; the last lines of apt-get are above, all of them in $log"
}
rm -f "$log"
# A later start of the machine must not start what nobody asked for.
if [ -d /run/systemd/system ]; then systemctl disable --quiet rabbitmq-server; fi
