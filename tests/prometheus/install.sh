#!/bin/sh
# Installs Debian's Prometheus where it is missing. The tests start one of their own: none is left running by this.
set -eu
exec sh "$(dirname "$0")/../support/debian.sh" /usr/bin/promtool prometheus
