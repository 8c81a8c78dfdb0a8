"""How the test models were made: needs torch and gguf, which the tests themselves do not."""
