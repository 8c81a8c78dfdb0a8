"""An Office file as the zip archive that it is: its parts, and what they refer to."""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from lxml import etree

from .pages import Unreadable

MOST_PARTS = 10_000
MOST_UNPACKED_BYTES = 200 << 20
_IS_ENCRYPTED = 0x1
_PARSER = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False,
                          remove_comments=True, remove_pis=True)


class Package:
    """Raises Unreadable for an archive that unpacks to too much, and for one with a password."""

    def __init__(self, data: bytes) -> None:
        self._archive = zipfile.ZipFile(BytesIO(data))
        parts = self._archive.infolist()
        if any(part.flag_bits & _IS_ENCRYPTED for part in parts):
            raise Unreadable("is encrypted: send it without a password")
        if len(parts) > MOST_PARTS or sum(part.file_size for part in parts) > MOST_UNPACKED_BYTES:
            raise Unreadable(f"is too large once unpacked: it has more than {MOST_UNPACKED_BYTES >> 20} MB, or more "
                             f"than {MOST_PARTS:,} parts")
        self._names = {part.filename for part in parts}

    def has(self, name: str) -> bool:
        return name in self._names

    def holds(self, folder: str, pattern: re.Pattern[bytes]) -> bool:
        """Whether the pattern is found in a part of the folder, as it is written."""
        return any(pattern.search(self._archive.read(name)) for name in self._names if name.startswith(folder))

    def read(self, name: str) -> Any:
        """The root of an XML part. Raises Unreadable for one that defines entities, which no Office program does."""
        with limits_told():
            root = etree.fromstring(self._archive.read(name), _PARSER)
        if root.getroottree().docinfo.internalDTD is not None:
            raise Unreadable("is no sound Office file: it defines entities")
        return root

    def find_targets(self, part: str, kind: str) -> dict[str, str]:
        """The parts of a kind that `part` ("" = the package) refers to, by the reference's id."""
        folder, name = posixpath.split(part)
        listing = posixpath.join(folder, "_rels", f"{name}.rels")
        if not self.has(listing):
            return {}
        found = {}
        for each in self.read(listing):
            if str(each.get("Type", "")).endswith(f"/{kind}") and each.get("TargetMode") != "External":
                target = posixpath.normpath(posixpath.join("/", folder, each.get("Target", "")))
                found[str(each.get("Id"))] = target.lstrip("/")
        return {key: target for key, target in found.items() if self.has(target)}

    def find_main(self) -> str:
        """The part that the file is about."""
        main = next(iter(self.find_targets("", "officeDocument").values()), "")
        if not main:
            raise Unreadable("is damaged: it lacks its main part")
        return main


@contextmanager
def limits_told() -> Iterator[None]:
    """Around a parser of XML: what is too much for it becomes Unreadable or MemoryError, unlike what is broken."""
    try:
        yield
    except etree.XMLSyntaxError as error:
        if error.code == etree.ErrorTypes.ERR_NO_MEMORY:
            raise MemoryError from error
        if error.code == etree.ErrorTypes.ERR_RESOURCE_LIMIT:
            raise Unreadable("is too large to be read: a single text in it has more than 10 MB, or it is nested more "
                             "than 256 deep") from error
        raise


def local(element: Any) -> str:
    """The tag's name without its namespace, of which there are two for each: loose and strict."""
    return str(etree.QName(element).localname)
