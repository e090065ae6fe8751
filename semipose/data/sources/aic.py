"""People of AI Challenger, Human Skeletal System Keypoints Detection (Wu et al., 2017), as its archives unpack:

    ai_challenger_keypoint_train_*/keypoint_train_annotations_*.json and keypoint_train_images_*/*.jpg
    ai_challenger_keypoint_validation_*/keypoint_validation_annotations_*.json and keypoint_validation_images_*/*.jpg

The stars are dates, which differ between copies. The file is a list of images: `image_id`, `human_annotations` {human1: [x1, y1, x2,
y2]} and `keypoint_annotations` {human1: 14 times x, y, v} with v = 1 visible, 2 occluded, 3 absent.
"""

from pathlib import Path
from typing import Any

import numpy as np

from semipose.data.people import People
from semipose.data.sources.reading import image_numbers, image_sizes, numbers
from semipose.pose.skeleton import AIC14
from semipose.utils.errors import InputError
from semipose.utils.files import read_json

JOINTS = len(AIC14.joints)
NAMES = {"train": "train", "val": "validation"}
VISIBILITY = np.array([0, 2, 1, 0])  # theirs -> ours
BRING = "set data.root in params.yaml to the folder that the archives were unpacked in (`dvc repro download` says which ones)"


def read_aic(root: Path, part: str, labelled: bool = True) -> People:
    """All people of one part ("train" or "val") in file order, inside an image as the file has them.

    labelled: leave out people without a keypoint; False: keep them, since a box is all that unlabelled data needs. Boxes are the human
    boxes, not clamped (the peers' rule), areas are theirs, as the official evaluation takes them. That one scores visible joints alone,
    while here occluded ones (visibility 1) count as well, as COCO has it. ids number the people, image_ids the images, from 1, in order.
    Left out and counted in `People.dropped`: no keypoint, degenerate box (no extent, or off its image).
    Raises InputError naming file, image, person, field and remedy.
    """
    root = Path(root)
    path = _one(root, f"ai_challenger_keypoint_{NAMES[part]}_*/keypoint_{NAMES[part]}_annotations_*.json")
    folder = _one(path.parent, f"keypoint_{NAMES[part]}_images_*").relative_to(root).as_posix()
    people = _humans(path)

    def name(field: str) -> Any:
        return lambda i: f"{path}: image {people[i][0]}: {people[i][1]}: `{field}`"

    repair = f"repair that entry, or {BRING}"
    corners = numbers([box for _, _, box, _ in people], (4,), name("human_annotations"), repair)
    keypoints = numbers([points for _, _, _, points in people], (3 * JOINTS,), name("keypoint_annotations"), repair).reshape(-1, JOINTS, 3)
    for i in np.flatnonzero(~np.isin(keypoints[..., 2], (1, 2, 3)).all(axis=1))[:1]:
        raise InputError(f"{name('keypoint_annotations')(i)} has a visibility that is not 1, 2 or 3; {repair}")
    visibility = VISIBILITY[keypoints[..., 2].astype(np.int64)]
    images = [f"{folder}/{image}.jpg" for image, *_ in people]
    sizes = image_sizes(root, images, path.name)

    boxes = np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]])
    unnamed = ~visibility.any(axis=1) & labelled
    off = ((corners[:, 2:] <= 0) | (corners[:, :2] >= sizes)).any(axis=1) & (sizes > 0).all(axis=1)
    degenerate = ~unnamed & ((boxes[:, 2:] <= 0).any(axis=1) | off)
    dropped = {"no keypoint": int(unnamed.sum()), "degenerate box": int(degenerate.sum())}
    keep = np.flatnonzero(~unnamed & ~degenerate)
    if not len(keep):
        raise InputError(f"{path}: nobody is left (dropped: {dropped}); {BRING}")
    return People(
        skeleton=AIC14,
        ids=keep + 1,
        image_ids=image_numbers(images)[keep],
        images=[images[i] for i in keep],
        sizes=sizes[keep],
        boxes=boxes[keep].astype(np.float32),
        areas=boxes[keep, 2:].prod(axis=1).astype(np.float32),
        points=np.where(visibility[keep, :, None] > 0, keypoints[keep, :, :2], 0),
        visibility=visibility[keep],
        dropped={reason: count for reason, count in dropped.items() if count},
    )


def _one(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        what = "is not there" if not found else f"is there {len(found)} times ({', '.join(path.name for path in found)}), wanted is one"
        raise InputError(f"{folder / pattern} {what}; {BRING}")
    return found[0]


def _humans(path: Path) -> list[tuple[str, str, Any, Any]]:
    """(image, name of the person in it, box, keypoints) of everybody in the file."""
    people = []
    entries = read_json(path, BRING)
    if not isinstance(entries, list):
        raise InputError(f"{path}: not a list of images, each with image_id, human_annotations and keypoint_annotations; {BRING}")
    for position, entry in enumerate(entries):
        image, boxes, keypoints = (
            entry.get(field) if isinstance(entry, dict) else None for field in ("image_id", "human_annotations", "keypoint_annotations")
        )
        if not isinstance(image, str) or not isinstance(boxes, dict) or not isinstance(keypoints, dict) or boxes.keys() != keypoints.keys():
            raise InputError(
                f"{path}: [{position}]: wanted are `image_id`, and `human_annotations` and `keypoint_annotations` of the same people; "
                f"repair that entry, or {BRING}"
            )
        people += [(image, name, boxes[name], keypoints[name]) for name in boxes]
    return people
