"""Files that come with a prompt, read as text: `reader.py` in the server, everything else in a child of its own."""
