"""What outlives a process and is asked for by more than its name: all SQL, one file for each group of tables."""

from .database import NotStored
from .responses import KeptResponse, Responses

__all__ = ["KeptResponse", "NotStored", "Responses"]
