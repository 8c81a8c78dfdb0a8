#!/usr/bin/env bash
# Everything a change must pass; arguments go to pytest (./test.sh -m bench, ./test.sh tests/encoders).
set -eu

cd "$(dirname "$0")"
./setup.sh --full --with test </dev/null
venv/bin/python -m ruff check .
venv/bin/python -m mypy
exec venv/bin/python -m pytest -q "$@"
