"""Tests of moe/config."""
