"""The pixels of an image file: any kind of them as 8-bit RGB, upright or as stored.

Training, packing, `doctor` and `predict` read images with this.
Every kind is scaled as a viewer would show it, or refused by its
name; none becomes a white or a black picture.
"""

import io
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from semipose.data.names import is_other_form
from semipose.utils.errors import InputError

Exif = Literal["apply", "ignore"]
"""apply: rotated and mirrored as the file's EXIF orientation
says, as viewers show it; ignore: as stored.
"""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What an EXIF orientation does to the stored pixels; from 5 on, it swaps width and height."""
BACK = TURNS | {6: TURNS[8], 8: TURNS[6]}
SWAPS = 5
DEPTHS = (8, 10, 12, 14, 16)  # bits that cameras store grey levels in
FLAT = 16  # grey levels of 256: an image with fewer after scaling, but many before, would be lost
WHITE = (255, 255, 255, 255)  # colour that viewers show behind a transparent pixel
SAVE = "save it as 8-bit grey or RGB"


class BrokenImage(Exception):
    """An image file that is damaged, or whose kind of pixels
    cannot be read; the message is the reason.
    """


class UndecidedExif(InputError):
    """An image that its EXIF orientation turns, if it is not known whether its annotations were
    made on the turned one.
    """


def read_image(path: Path, annotated: tuple[int, int] = (0, 0), exif: Exif | None = None) -> Image.Image:
    """The RGB pixels of an image file.

    With PIL, because it refuses truncated files of any format and resamples a box.

    Args:
        path: The file.
        annotated: Width and height (px) in its annotations; 0 if
            unknown. They are not compared with the file's.
        exif: None: `annotated` decides between "apply" and "ignore".

    Raises:
        BrokenImage: The content is not a complete image, or of a kind that cannot be read.
        UndecidedExif: `exif` is None, and `annotated` does not decide.
        InputError: The file cannot be opened.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        reason = error.strerror if isinstance(error, OSError) else error
        if isinstance(error, FileNotFoundError) and is_other_form(path):
            raise InputError(
                f"{path}: the file's name has its accents in another form (NFC or NFD, as macOS writes them) than the annotations; "
                "make a set with the names of the files: semipose doctor FOLDER --convert NEW_FOLDER"
            ) from None
        raise InputError(f"{path}: cannot be opened ({reason}); check data.root and its permissions") from error
    try:
        image = Image.open(io.BytesIO(content))
        orientation = _orientation(image)
        turned = _is_turned(path, orientation, _stored_size(image, orientation), annotated, exif)
        return _turn(image, orientation, turned)
    except UnidentifiedImageError:
        kind = f"an image of a kind that cannot be read; {SAVE}" if content[:4] in (b"II*\0", b"MM\0*") else "not an image file"
        raise BrokenImage(kind if content else "empty file") from None
    except (MemoryError, InputError, BrokenImage):
        raise
    except Exception as error:  # the decoders raise a dozen kinds of errors for damaged content
        raise BrokenImage(str(error) or type(error).__name__) from error


def image_size(path: Path, exif: Exif | None = None) -> tuple[int, int]:
    """Read the size of what `read_image` returns, from the file's header.

    Args:
        path: The image file.
        exif: As for `read_image`; no annotated size decides here.

    Returns:
        Width and height (px).

    Raises:
        BrokenImage: The header cannot be read.
        UndecidedExif: `exif` is None, and the image has an EXIF orientation.
        FileNotFoundError: There is no such file.
    """
    try:
        with Image.open(path) as header:
            orientation = _orientation(header)
            width, height = _stored_size(header, orientation)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise BrokenImage(str(error) or type(error).__name__) from error
    turned = _is_turned(path, orientation, (width, height), (0, 0), exif)
    return (height, width) if turned and orientation >= SWAPS else (width, height)


def as_shown(image: Image.Image) -> Image.Image:
    """An opened image as 8-bit RGB, upright as its EXIF orientation says.

    Raises:
        BrokenImage: Its kind of pixels cannot be read.
    """
    return _turn(image, _orientation(image), True)


def _orientation(image: Image.Image) -> int:
    """EXIF orientation 1 (as stored) to 8; 1 if the file's EXIF is damaged, as viewers do."""
    try:
        found = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # PIL raises half a dozen kinds of errors for damaged EXIF
        return 1
    return found if found in TURNS else 1


def _stored_size(image: Image.Image, orientation: int) -> tuple[int, int]:
    width, height = image.size
    return (height, width) if image.format == "TIFF" and orientation >= SWAPS else (width, height)  # PIL rotates TIFFs itself


def _is_turned(path: Path, orientation: int, stored: tuple[int, int], annotated: tuple[int, int], exif: Exif | None) -> bool:
    """The rule: `exif` if it is given, else the sizes in the annotations."""
    if orientation == 1 or exif:
        return orientation != 1 and exif == "apply"
    if all(annotated) and annotated != stored and (annotated != stored[::-1] or orientation < SWAPS):
        return False  # another size in both cases, which the reader of either will report
    if orientation >= SWAPS and all(annotated) and stored[0] != stored[1]:
        return annotated == stored[::-1]
    raise UndecidedExif(
        f"{path}: its EXIF orientation ({orientation}) {'turns it' if orientation >= SWAPS else 'mirrors it or turns it by 180 degrees'}, "
        "and the annotated size does not tell whether the annotations were made before or after that. Set data.exif in params.yaml "
        "to apply if they fit the image as viewers show it, or to ignore if they fit the stored pixels"
    )


def _turn(image: Image.Image, orientation: int, turned: bool) -> Image.Image:
    by_itself = image.format == "TIFF"
    picture = _rgb(image)
    steps = TURNS if turned else BACK
    return picture.transpose(steps[orientation]) if orientation != 1 and turned != by_itself else picture


def _rgb(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode.startswith(("I", "F")):
        white_is_zero = getattr(image, "tag_v2", {}).get(262) == 0
        grey = _grey(np.asarray(image))
        return Image.fromarray(255 - grey if white_is_zero else grey).convert("RGB")
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        return _on_white(image)
    if image.mode == "RGB":
        return image  # `convert` would copy it
    try:
        return image.convert("RGB")
    except ValueError:
        raise BrokenImage(f"pixels of mode {image.mode}, which cannot be read; {SAVE}") from None


def _on_white(image: Image.Image) -> Image.Image:
    shown = image.convert("RGBA")
    least, most = shown.getextrema()[3]  # type: ignore[misc]
    if most == 0:
        raise BrokenImage(f"every pixel is transparent; {SAVE}")
    return shown.convert("RGB") if least == 255 else Image.alpha_composite(Image.new("RGBA", shown.size, WHITE), shown).convert("RGB")


def _grey(values: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Grey levels 0-255 of integers with more than 8 bits, or of floats from 0 to 1 or to 255.

    Raises:
        BrokenImage: The values are something else.
    """
    levels = values.astype(np.float64)
    low, high = float(levels.min()), float(levels.max())
    kind = f"pixels are {values.dtype.name} numbers from {low:g} to {high:g}"
    if not np.isfinite(levels).all() or low < 0:
        raise BrokenImage(f"{kind}, must be finite and not negative; {SAVE}")
    if values.dtype.kind == "f":
        if 1.01 < high < FLAT or high >= 256:
            raise BrokenImage(f"{kind}, must be 0 to 1 or 0 to 255; {SAVE}")
        most = 1.0 if high <= 1.01 else 255.0
    else:
        bits = next((depth for depth in DEPTHS if high < 2**depth), int(high).bit_length())
        most = 2.0**bits - 1
    scaled = np.clip(levels * (255 / most), 0, 255)
    if high - low >= 2 * FLAT and scaled.max() - scaled.min() < FLAT:
        raise BrokenImage(f"{kind}, which as 8 bits would be one grey; scale them, and {SAVE}")
    return np.round(scaled).astype(np.uint8)
