"""The forms in which a report can be had, and their media types."""

from typing import Literal

Format = Literal["md", "html", "pdf", "json"]

MEDIA: dict[Format, str] = {
    "md": "text/markdown",
    "html": "text/html",
    "pdf": "application/pdf",
    "json": "application/json",
}
