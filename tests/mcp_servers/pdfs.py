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


def drawn(
    *pages: str, turned: int = 0, fonts: str = "/F1 << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>"
) -> bytes:
    """Pages of these drawing operators, as programs write them that place every piece themselves."""
    kids = range(3, 3 + 2 * len(pages), 2)
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Count {len(pages)} /Kids [{' '.join(f'{kid} 0 R' for kid in kids)}] >>",
    ]
    for kid, page in zip(kids, pages, strict=True):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Rotate {turned} /Contents {kid + 1} 0 R "
            f"/Resources << /Font << {fonts} >> >> >>"
        )
        objects.append(f"<< /Length {len(page)} >>\nstream\n{page}\nendstream")
    out, places = "%PDF-1.4\n", []
    for number, each in enumerate(objects, start=1):
        places.append(len(out))
        out += f"{number} 0 obj\n{each}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    trailer = f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return f"{out}xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}{trailer}".encode("latin-1")
