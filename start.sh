#!/usr/bin/env bash
# Sets up what is missing, then serves. Ctrl-C or SIGTERM ends it after the running answers.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
config=
before=
for argument in "$@"; do
    [ "$before" != --config ] || config=$argument
    case $argument in
        --config=*) config=${argument#--config=} ;;
        -h | --help)
            cat <<'TEXT'
usage: ./start.sh [--host HOST] [--port PORT] [--config DIR] [--data DIR]

  --host HOST   the address to listen on      (MOE_HOST,   else 127.0.0.1)
  --port PORT   the port to listen on         (MOE_PORT,   else 11435)
  --config DIR  config.json and experts.json  (MOE_CONFIG, else config)
  --data DIR    what the server remembers     (MOE_DATA,   else data)
TEXT
            exit 0
            ;;
    esac
    before=$argument
done

"$here/setup.sh" --if-needed ${config:+--config "$config"}
exec "$here/venv/bin/python" "$here/app.py" "$@"
