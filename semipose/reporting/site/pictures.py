"""Pictures inside the page, with a text for those who do not see them."""

import base64
import struct
from html import escape
from pathlib import Path

PER_INCH = 150  # pixels of a chart; a page has 96 to an inch, so that all texts of charts are of one size


def chart(caption: str, alt: str, png: bytes) -> str:
    """A figure of the report."""
    width = struct.unpack(">I", png[16:20])[0] * 96 // PER_INCH
    return _figure(_image(png, "png", alt, f' width="{width}"'), caption)


def sheet(path: Path, caption: str, alt: str) -> str:
    """A JPEG of several people, at its own size; nothing where it has not been made."""
    return _figure(_image(path.read_bytes(), "jpeg", alt), caption) if path.exists() else ""


def tile(path: Path, alt: str) -> str:
    """A JPEG of one person."""
    return _image(path.read_bytes(), "jpeg", alt)


def _figure(image: str, caption: str) -> str:
    said = escape(caption)
    return (
        f'<figure><div class="wide" tabindex="0" role="group" aria-label="{said}">{image}</div><figcaption>{said}</figcaption></figure>\n'
    )


def _image(content: bytes, form: str, alt: str, size: str = "") -> str:
    return f'<img{size} src="data:image/{form};base64,{base64.b64encode(content).decode("ascii")}" alt="{escape(alt)}">'
