"""PDF files as programs write them, and as attackers do."""

import io
import zlib

from fpdf import FPDF
from pypdf import PdfReader, PdfWriter
from pypdf.generic import EncodedStreamObject, NameObject


def pdf_of(*pages: str, title: str = "") -> bytes:
    """Each text on a page of its own; an empty one is a picture without text, as a scanner leaves it."""
    pdf = new(title)
    for text in pages:
        pdf.add_page()
        if text:
            pdf.multi_cell(0, 8, text)
        else:
            pdf.rect(20, 20, 100, 100, style="F")
    return bytes(pdf.output())


def new(title: str = "") -> FPDF:
    """An empty document that is ready to write text."""
    pdf = FPDF()
    pdf.set_font("helvetica", size=11)
    pdf.set_title(title)
    return pdf


def encrypted(pdf: bytes, password: str) -> bytes:
    """With AES-256. An empty password opens for everyone, though the file forbids to change it."""
    writer = PdfWriter(clone_from=io.BytesIO(pdf))
    writer.encrypt(password, owner_password="owner", algorithm="AES-256")
    return _written(writer)


def endless() -> bytes:
    """A few kilobytes that take a reader minutes: millions of texts to place on one page."""
    return _drawing(zlib.compress(b"BT /F1 12 Tf 72 720 Td " + b"(x) Tj " * 3_000_000 + b"ET"))


def bomb() -> bytes:
    """Some kilobytes that unpack to 400 megabytes."""
    packer = zlib.compressobj()
    packed = b"".join(packer.compress(b"x" * 4_000_000) for _ in range(100))
    return _drawing(packed + packer.flush())


def _drawing(packed: bytes) -> bytes:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf_of("x"))))
    stream = EncodedStreamObject()
    stream._data = packed
    stream[NameObject("/Filter")] = NameObject("/FlateDecode")
    writer.pages[0][NameObject("/Contents")] = writer._add_object(stream)
    return _written(writer)


def _written(writer: PdfWriter) -> bytes:
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()
