"""Equations: read here by a grammar of our own, solved by sympy in a process that can be ended at any moment."""
