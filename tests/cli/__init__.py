"""Tests of moe/cli, as a user meets it: processes, pipes and terminals."""
