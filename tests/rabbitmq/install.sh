#!/bin/sh
# Installs Debian's RabbitMQ where it is missing. The tests start a broker of their own: none is left running by this.
exec sh "$(dirname "$0")/../support/debian.sh" /usr/lib/rabbitmq/bin/rabbitmq-server rabbitmq-server
