"""How a prompt that is a tool's question is recognised: deterministic, without a model, sure or not at all."""
