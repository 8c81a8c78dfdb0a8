"""Files to be read, written here: small, and with nothing in them but what a test needs."""

from __future__ import annotations

import base64
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO

import openpyxl
import pypdf

from moe.core import Document

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
DRAWING = "http://schemas.openxmlformats.org/drawingml/2006/main"
SLIDES = "http://schemas.openxmlformats.org/presentationml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"


def document(data: bytes, name: str = "report.pdf", media_type: str = "") -> Document:
    return Document(base64.b64encode(data).decode(), media_type, name)


def make_pdf(*pages: str) -> bytes:
    """One with a line of text on each page; an empty one has none."""
    count = len(pages)
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>", f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for place, text in enumerate(pages):
        content = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET".encode() if text else b""
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * place} 0 R "
                       "/Resources << /Font << /F1 3 0 R >> >> >>".encode())
        objects.append(f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream")
    return assemble_pdf(objects)


def assemble_pdf(objects: Sequence[bytes]) -> bytes:
    """The objects 1, 2, … with the table that says where they are; the first is the catalog."""
    made, places = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, start=1):
        places.append(len(made))
        made += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    start = len(made)
    made += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    for place in places:
        made += f"{place:010d} 00000 n \n".encode()
    made += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(made)


def encrypt_pdf(data: bytes, password: str) -> bytes:
    writer = pypdf.PdfWriter(clone_from=BytesIO(data))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
    written = BytesIO()
    writer.write(written)
    return written.getvalue()


def pack(parts: Mapping[str, str | bytes]) -> bytes:
    written = BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {"[Content_Types].xml": "<Types/>", **parts}.items():
            archive.writestr(name, text)
    return written.getvalue()


def relate(*targets: tuple[str, str, str]) -> str:
    """A list of references: id, kind, target."""
    rows = "".join(f'<Relationship Id="{key}" Type="{OFFICE}/{kind}" Target="{target}"/>'
                   for key, kind, target in targets)
    return f'<Relationships xmlns="{RELATIONS}">{rows}</Relationships>'


def draw_pdf(content: bytes, form: bytes = b"") -> bytes:
    """One page with this content, packed, and a form that it may call upon by the name of /Form."""
    packed = [zlib.compress(each, 1) for each in (content, form)]
    page = (b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Contents 4 0 R "
            b"/Resources << /Font << >> /XObject << /Form 5 0 R >> >> >>")
    drawn = [b"<< /Length %d /Filter /FlateDecode %s >>\nstream\n%s\nendstream" % (len(each), kind, each)
             for kind, each in zip((b"", b"/Subtype /Form /Resources << /Font << >> >>"), packed, strict=True)]
    return assemble_pdf([b"<< /Type /Catalog /Pages 2 0 R >>", b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>", page,
                         *drawn])


def make_word(body: str, notes: str = "", *, prolog: str = "", **edges: str) -> bytes:
    """`edges` are headers and footers, by the names of their parts."""
    parts = {
        "_rels/.rels": relate(("rId1", "officeDocument", "word/document.xml")),
        "word/_rels/document.xml.rels": relate(("rId1", "footnotes", "footnotes.xml"), *(
            (name, name.rstrip("0123456789"), f"{name}.xml") for name in edges)),
        **{f"word/{name}.xml": f'<w:hdr xmlns:w="{WORD}">{text}</w:hdr>' for name, text in edges.items()},
        "word/document.xml": f'{prolog}<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
    }
    if notes:
        parts["word/footnotes.xml"] = f'<w:footnotes xmlns:w="{WORD}"><w:footnote>{notes}</w:footnote></w:footnotes>'
    return pack(parts)


def paragraph(*texts: str) -> str:
    return "<w:p>" + "".join(f"<w:r><w:t>{text}</w:t></w:r>" for text in texts) + "</w:p>"


def make_slides(*texts: str, notes: str = "") -> bytes:
    """Kept in the archive in the opposite order to the one they are shown in."""
    count = len(texts)
    keys = [f"rId{count - i}" for i in range(count)]
    order = "".join(f'<p:sldId id="{256 + i}" r:id="{key}"/>' for i, key in enumerate(keys))
    parts = {
        "_rels/.rels": relate(("rId1", "officeDocument", "ppt/presentation.xml")),
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{SLIDES}" xmlns:r="{OFFICE}"><p:sldIdLst>{order}'
                                "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relate(*((f"rId{i}", "slide", f"slides/slide{i}.xml")
                                                    for i in range(1, count + 1))),
    }
    for key, text in zip(keys, texts, strict=True):
        parts[f"ppt/slides/slide{key[3:]}.xml"] = _slide(text)
    if notes:
        parts[f"ppt/slides/_rels/slide{count}.xml.rels"] = relate(("rId1", "notesSlide", "../notes.xml"))
        parts["ppt/notes.xml"] = _slide(notes)
    return pack(parts)


def _slide(text: str) -> str:
    return (f'<p:sld xmlns:p="{SLIDES}" xmlns:a="{DRAWING}"><p:txBody><a:p><a:r><a:t>{text}</a:t></a:r>'
            '<a:fld type="slidenum"><a:t>99</a:t></a:fld></a:p></p:txBody></p:sld>')


def make_sheets(**sheets: Sequence[Sequence[object]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(list(row))
    written = BytesIO()
    book.save(written)
    return written.getvalue()
