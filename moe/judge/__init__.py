"""How well the router decides on labelled prompts, why it decided so, and what would make it better."""
