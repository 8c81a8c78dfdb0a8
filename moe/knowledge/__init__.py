"""What is read beside the conversation."""
