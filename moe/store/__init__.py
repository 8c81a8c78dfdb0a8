"""What outlives a process and is asked for by more than its name: all SQL, one file for each group of tables."""

from .database import NotStored
from .laws import Law, LawCard, Laws, NoFullText, Norm, Section
from .responses import KeptResponse, Responses

__all__ = ["KeptResponse", "Law", "LawCard", "Laws", "NoFullText", "Norm", "NotStored", "Responses", "Section"]
