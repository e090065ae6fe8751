"""How training would read a data set: what stops it, what it drops, what a person should check."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from semipose.data.checks import labels, pictures
from semipose.data.checks.finding import Finding, several
from semipose.data.checks.layout import Layout, recognise
from semipose.data.checks.needs import needs
from semipose.data.checks.reading import read
from semipose.data.checks.sheet import SHOWN, contact_sheet
from semipose.data.coco_file import DEGENERATE
from semipose.data.people import People
from semipose.data.pixels import UndecidedExif
from semipose.data.sources import check_parts
from semipose.data.sources.media import loose_images
from semipose.data.sources.reading import REMEDIES
from semipose.utils.errors import InputError
from semipose.utils.progress import followed

MISSING = "images are missing; if they are elsewhere in the folder, use --convert to find them by their names"
HELD_OUT = "hold out a fifth of the images for validation, or with --val N this many: semipose doctor {root} --convert FOLDER"
OTHER_SIZE = "images have another size than annotated"
TURNED = (
    "images are turned or mirrored by their EXIF orientation, and their sizes do not tell whether the annotations were "
    "made before or after that. Set data.exif to apply (as viewers show them) or ignore (as stored)"
)

__all__ = ["Examination", "Finding", "Layout", "examine", "recognise"]


@dataclass
class Examination:
    """The result of an examination.

    Attributes:
        findings: In the order in which they were made.
        sheets: Contact sheets, by part.
        params: What params.yaml needs; None if a part is missing, or nobody to train on could be read.
    """

    layout: Layout
    people: dict[str, People] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    sheets: dict[str, Image.Image] = field(default_factory=dict)
    params: str | None = None

    @property
    def stops(self) -> bool:
        """Whether training would stop at this set."""
        return any(finding.grade == "stops" for finding in self.findings)


def examine(root: Path, layout: Layout, validation: int = 500, threads: int = 2, shown: int = SHOWN) -> Examination:
    """Read every part and every image of a set; nothing is written.

    Args:
        root: Folder of the data set.
        layout: What `recognise` found there.
        validation: Number of people at the end of LSP (and of MPII's release) used for validation.
        threads: Number of threads that decode images.
        shown: People on each contact sheet, and as many to check.

    Raises:
        InputError: There is nothing to examine.
    """
    found = Examination(layout)
    odd: dict[str, NDArray[np.bool_]] = {}
    for part in ("train", "val"):
        if part not in layout.parts:
            found.findings.append(Finding("stops", part, f"this part has no annotations; {HELD_OUT.format(root=root)}"))
            continue
        people, faults = read(root, layout, part, validation)
        found.findings += faults
        if people is None:
            continue
        found.people[part] = people
        for reason, count in people.dropped.items():
            why = f" ({REMEDIES[reason]})" if reason == DEGENERATE else ""
            found.findings.append(Finding("note", part, f"{count:,} annotations left out: {reason}{why}"))
        found.findings += [Finding("note", part, f"{count:,} {what}") for what, count in people.understood.items()]
        told, odd[part] = labels.check(people, part)
        found.findings += told
    if len(found.people) == 2:
        try:
            check_parts(layout.source, found.people["train"], found.people["val"])
        except InputError as error:
            found.findings.append(Finding("stops", "train and val", str(error)))
    if layout.whole_images and "train" in found.people and (advice := loose_images(found.people["train"])):
        found.findings.append(Finding("check", "train", advice))
    found.findings += _images(root, layout, found.people, threads)
    for part, people in found.people.items():
        found.sheets[part] = contact_sheet(people, root, odd[part], layout.exif, shown)
    if "train" in found.people and "val" in layout.parts:
        found.params = needs(root, layout, found.people["train"])
    return found


def _images(root: Path, layout: Layout, people: dict[str, People], threads: int) -> list[Finding]:
    """Images that are missing, broken, of another size than annotated, or twice in the set."""
    parts = {name: part for part, table in people.items() for name in table.images}
    both = len(people) > 1 and layout.source != "custom"  # whose shared images check_parts refuses
    shared = set.intersection(*(set(table.images) for table in people.values())) if both else set()
    seen: dict[str, pictures.Picture] = {}
    faults: dict[tuple[str, str], list[str]] = defaultdict(list)
    sizes: dict[str, tuple[int, int]] = {}
    for table in people.values():
        for name, (width, height) in zip(table.images, table.sizes.tolist(), strict=True):
            if sizes.setdefault(name, (width, height)) != (width, height):
                about = "{} x {} px, also annotated for {} x {}".format(*sizes[name], width, height)
                faults[parts[name], OTHER_SIZE].append(f"{name} ({about})")
    for name, picture in followed(pictures.inspect(root, sizes, layout.exif, threads), len(parts), "images"):
        part = parts[name]
        if picture is None:
            faults[part, MISSING].append(name)
        elif isinstance(picture, UndecidedExif):
            faults[part, TURNED].append(name)
        elif not isinstance(picture, pictures.Picture):
            faults[part, "images cannot be decoded (data.max_broken limits how many are left out)"].append(f"{name} ({picture})")
        else:
            seen[name] = picture
            if all(sizes[name]) and picture.size != sizes[name]:
                about = "{} x {} px, annotated for {} x {}".format(*picture.size, *sizes[name])
                faults[part, OTHER_SIZE].append(f"{name} ({about})")
    count = Counter(parts.values())
    found = [one for (part, what), where in faults.items() for one in several("stops", part, what, where, count[part])]
    twice = pictures.same(seen)
    across = [f"{one} = {other}" for one, other in twice if parts[one] != parts[other]] + sorted(shared)
    found += several("check", "train and val", "images are in both parts, so that validation is no test", across)
    within = [f"{one} = {other}" for one, other in twice if parts[one] == parts[other] == "train"]
    found += several("check", "train", "pairs of images show the same: a labelled person may be an unlabelled one too", within)
    return found
