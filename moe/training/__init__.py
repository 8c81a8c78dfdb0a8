"""Makes a classifier for `router_type: "classification"` from labelled prompts: `python -m moe train`. Nothing of it
runs in the server."""
