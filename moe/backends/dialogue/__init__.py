"""One turn of a conversation, for every engine of this process: a request -> a prompt, tokens -> chunks."""
