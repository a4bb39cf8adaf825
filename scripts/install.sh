#!/bin/sh
# Finds what the installation stands on, names what is missing, then hands over to install.py.
# Usage: sh scripts/install.sh runtime|dev
set -eu
unset PYTHONHOME PYTHONPATH || true

missing=0
lacks() {
    missing=1
    printf '%s\n' "tollgate needs $1, which was not found." \
        "    Debian, Ubuntu:  sudo apt install $2" \
        "    Fedora:          sudo dnf install $3" \
        "    macOS:           brew install $4" >&2
}

python=''
for name in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
    if "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null; then
        python=$name
        break
    fi
done
if [ -z "$python" ]; then
    lacks 'Python 3.11 to 3.14' 'python3 python3-venv' python3 python
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    lacks "Python's venv and ensurepip (beside $("$python" -V))" python3-venv python3 python
fi
command -v git >/dev/null 2>&1 || lacks git git git git
[ "$missing" = 0 ] || exit 1

exec "$python" -I scripts/install.py "$@"
