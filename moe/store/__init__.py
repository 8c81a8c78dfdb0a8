"""What outlives a process and is asked for by more than its name: all SQL, one file for each group of tables."""

from .database import NotStored
from .laws import Laws, NoFullText
from .requests import Requests
from .responses import KeptResponse, Responses
from .scores import Score, Scores, Source
from .statute import Law, LawCard, Norm, Section

__all__ = ["KeptResponse", "Law", "LawCard", "Laws", "NoFullText", "Norm", "NotStored", "Requests", "Responses",
           "Score", "Scores", "Section", "Source"]
