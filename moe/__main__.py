"""`python -m moe`."""

import os
import sys

try:
    from .cli import main

    code = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
except KeyboardInterrupt:  # while the imports ran
    code = 130
# At once: a thread that still waits for an upstream to tell its models holds nobody up.
os._exit(code)
