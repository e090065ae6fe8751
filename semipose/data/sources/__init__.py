"""Where people come from: data sets as users have them, and synthetic people."""

from pathlib import Path
from typing import TYPE_CHECKING

from semipose.data.people import People
from semipose.data.pixels import Exif
from semipose.data.sources.aic import read_aic
from semipose.data.sources.coco import read_coco, read_custom
from semipose.data.sources.flic import Films, read_flic
from semipose.data.sources.lsp import read_lsp
from semipose.data.sources.mpii import read_mpii
from semipose.utils.errors import InputError

if TYPE_CHECKING:
    from semipose.config.data import Custom

SHOWN = 3  # images that a message names
SOURCES = ("demo", "coco", "lsp", "mpii", "aic", "flic", "custom")


def read_people(
    source: str,
    root: Path,
    part: str,
    validation: int = 0,
    custom: "Custom | None" = None,
    films: Films = "films",
    exif: Exif | None = None,
    faults: list[str] | None = None,
) -> People:
    """Read the people of one part of a data set.

    Args:
        source: One of SOURCES. The demo is rendered in COCO's layout.
        root: Folder of the data set.
        part: "train" or "val".
        validation: Number of people at the end of the file that are "val", for the sets whose
            authors give no split: "lsp", and "mpii" in the authors' release. Otherwise not used.
        custom: For "custom": where and what the user's own set is.
        films: For "flic": which films are "val", as `read_flic` takes it.
        exif: `data.exif`, for the sets whose annotations name no image sizes.
        faults: For a COCO-format file: refused entries are left out, and their messages are
            appended here. None: the first one raises.

    Raises:
        InputError: Source or part is unknown, or files are missing or wrong.
    """
    if source not in SOURCES:
        raise InputError(f"data.source: {source!r} is unknown; choose one of {', '.join(SOURCES)}")
    if part not in ("train", "val"):
        raise InputError(f"part: {part!r} is unknown; choose train or val")
    if source == "lsp":
        return read_lsp(root, part, validation, exif)
    if source == "mpii":
        return read_mpii(root, part, validation, exif)
    if source == "flic":
        return read_flic(root, part, films, exif)
    if source == "aic":
        return read_aic(root, part, exif)
    if custom is not None:
        where = custom.train if part == "train" else custom.val
        return read_custom(root, where.annotations, where.images, custom.category, custom.pairs, custom.sigmas, custom.torso, faults)
    return read_coco(root, part, faults)  # the demo is rendered in COCO's layout


def check_parts(source: str, train: People, val: People) -> None:
    """Check that training and validation people belong together, and are different people.

    Args:
        source: As `read_people` takes it.
        train: Training people.
        val: Validation people.

    Raises:
        InputError: Their joints differ; or people of the user's own set ("custom") are on the same images.
    """
    if train.skeleton.joints != val.skeleton.joints:
        raise InputError(
            f"the joints of the training people ({', '.join(train.skeleton.joints)}) are not those of the validation people "
            f"({', '.join(val.skeleton.joints)}); give both files the same `keypoints`, in the same order"
        )
    both = sorted(set(train.images) & set(val.images)) if source == "custom" else []
    if both:
        some = f"{', '.join(both[:SHOWN])}{' ...' if both[SHOWN:] else ''}"
        raise InputError(
            f"{len(both):,} of {len(set(val.images)):,} validation images are also training images: {some}; name a val file of other "
            "images in data.custom, or make one with `semipose doctor TRAIN.json --convert FOLDER`. It holds out a fifth of the "
            "images, or with --val N this many"
        )
