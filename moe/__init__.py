"""One private endpoint in front of every model you have."""

__version__ = "0.1.0"
