#!/usr/bin/env bash
# Everything a change must pass; arguments go to pytest (./test.sh -m bench, ./test.sh tests/encoders).
set -eu

cd "$(dirname "$0")"
./setup.sh --full --with test </dev/null
venv/bin/python -m ruff check .
venv/bin/python -m mypy
# Most tests wait for sockets and children: a file for each core. With arguments all in one, as a measurement needs it.
[ $# -gt 0 ] || set -- -n auto --maxprocesses 4 --dist loadfile --max-worker-restart 0
exec venv/bin/python -m pytest -q "$@"
