"""Files in requests: data URIs and bare base64, read by nobody here."""

from __future__ import annotations

from ..core import Document
from ..errors import BadRequest


def read_file(data: str | None, name: str | None, where: str) -> Document:
    """A file from a `data:` URI or bare base64. Raises BadRequest that names `where` when it is not there at all."""
    if data is None:
        message = f"{where}: files must be sent as base64 in 'file_data', since none are kept here"
        raise BadRequest(message, param=where)
    media_type = ""
    if data[:5].lower() == "data:":
        head, comma, data = data.partition(",")
        media_type, *parameters = head[len("data:"):].lower().split(";")
        if not comma or "base64" not in parameters:
            raise BadRequest(f"{where}: the data: URI must be base64", param=where)
    if not data.strip():
        raise BadRequest(f"{where}: the file is empty", param=where)
    return Document(data, media_type, name or "", where)
