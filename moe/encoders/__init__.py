"""Makes the router's sentence encoders at set-up: `python -m moe.encoders`. Nothing of it runs in the server."""
