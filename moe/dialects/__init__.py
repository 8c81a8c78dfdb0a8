"""Bytes <-> core values, one module a wire format; pure, without Flask."""
