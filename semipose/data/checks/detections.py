"""Files of boxes that params.yaml names beside a data set, read as the stage `prepare` reads them."""

from collections.abc import Callable
from pathlib import Path

from semipose.config.data import Detections
from semipose.data.checks.finding import Finding
from semipose.data.checks.layout import Layout
from semipose.data.download.datasets import describe_file
from semipose.data.ground_truth import ground_truth, image_folder
from semipose.data.people import People
from semipose.data.pixels import Exif
from semipose.data.sources.detections import read_detections, read_images
from semipose.pose.skeleton import Skeleton
from semipose.utils.errors import InputError

UNLABELED = "unlabeled2017"


def of_validation(boxes: Detections, root: Path, layout: Layout, val: People | None) -> list[Finding]:
    """Read `data.detections`.

    Args:
        boxes: The section of params.yaml.
        root: Folder of the data set.
        layout: The set.
        val: The validation people; None if they cannot be read.
    """

    def read() -> People | None:
        describe_file(Path(boxes.file), "data.detections.file")
        if val is None:
            return None
        try:
            truth = ground_truth(layout.source, root, val, layout.custom)
        except InputError:
            return None  # which is a finding already
        folder = image_folder(layout.source, layout.custom)
        return read_detections(Path(boxes.file), root, truth["images"], folder, val.skeleton, boxes.score, layout.exif)

    return tried("val", boxes.file, read, "the errors of this part are repaired")


def of_unlabeled2017(boxes: Detections, root: Path | None, exif: Exif | None, skeleton: Skeleton) -> list[Finding]:
    """Read `data.unlabelled.detections` of COCO's unlabelled images.

    Args:
        boxes: The section of params.yaml.
        root: `data.unlabelled.root`; None: the images are in the project's folder, once they are downloaded.
        exif: As `data` of params.yaml.
        skeleton: The joints of the training.
    """

    def read() -> People | None:
        describe_file(Path(boxes.file), "data.unlabelled.detections.file")
        folder = root or Path("data") / UNLABELED
        listed = folder / "annotations" / f"image_info_{UNLABELED}.json"
        if root is None and not listed.exists():
            return None
        return read_detections(Path(boxes.file), folder, read_images(listed), UNLABELED, skeleton, boxes.score, exif)

    return tried("unlabelled", boxes.file, read, "the images are downloaded")


def tried(part: str, file: str, read: Callable[[], People | None], before: str) -> list[Finding]:
    """What a reader says of a file of boxes: why it stops, or whom it leaves out.

    Args:
        part: For the findings.
        file: The file.
        read: Returns None if it cannot know yet.
        before: What must happen before it can.
    """
    try:
        people = read()
    except InputError as error:
        return [Finding("stops", part, str(error))]
    if people is None:
        return [Finding("note", part, f"{file}: its boxes are not checked before {before}")]
    return [Finding("note", part, f"{file}: {count:,} boxes left out: {reason}") for reason, count in people.dropped.items()]
