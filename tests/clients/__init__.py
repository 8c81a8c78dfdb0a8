"""Real client programs against the live server with fake upstreams: `python -m tests.clients`."""
