"""The benchmark: `venv/bin/python -m tests.bench` measures this server beside a bare pass-through in one run."""
