"""Exact answers without a model: a module for each subject, and how a prompt that asks for one is recognised."""
