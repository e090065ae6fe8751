"""Sections `data` and `split`: which people, cropped how, and which of them are labelled."""

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import Field, model_validator

from semipose.config.section import Count, Name, Positive, Ratio, Section, Share


class DemoData(Section):
    train_images: Positive
    """Training images to render, with 1 to 3 people each."""
    val_images: Positive
    """Validation images to render."""
    seed: Count
    """Another seed renders other people."""


class Flic(Section):
    split: Literal["films", "choose", "official"]
    """Validation by film: films, or choose (other films: the development set); or the authors' own test frames: official."""


class Crop(Section):
    size: Annotated[int, Field(ge=16)]
    """Side of the stored square crops, in px."""
    padding: Annotated[float, Field(ge=1)]
    """Factor by which the box, brought to the network's aspect ratio, grows before it is cropped."""
    extent: Annotated[float, Field(ge=1)]
    """Smallest ratio of the crop's side to the longer side of the padded box: room for rotation."""
    format: Literal["raw", "jpeg"]
    """raw: 3 size^2 bytes a person; jpeg: an eighth of that or less, decoded for each batch (docs/packs.md)."""
    quality: Annotated[int, Field(ge=1, le=100)]
    """Quality of the JPEGs."""


class Part(Section):
    annotations: str
    """COCO-format JSON file."""
    images: str
    """Folder of its images."""


class Custom(Section):
    """A COCO-format set of the user's own; paths are relative to data.root."""

    train: Part
    """Training people, labelled or not."""
    val: Part
    """Validation people."""
    category: str | None
    """Name of the category; null: the only one that has keypoints."""
    pairs: list[list[str]] | None
    """Names of keypoints that a flip swaps, as pairs; null: left_x and right_x (or l_x and r_x); []: none."""
    sigmas: Annotated[list[Ratio], Field(min_length=1)] | None
    """OKS sigma of each keypoint; null: 0.067, the mean of COCO's, for all; []: no OKS, so that PCK is the measure."""
    torso: Annotated[list[str], Field(min_length=2, max_length=2)] | None
    """Two keypoints whose distance is the unit of PCK; null: PCK by the box."""


class Detections(Section):
    """A detector's boxes: a JSON in the format of COCO's detection results."""

    file: str
    """JSON file in the format of COCO's detection results."""
    score: Share
    """Boxes with a lower score are left out."""


class Media(Section):
    """Folders of images and videos."""

    folders: Annotated[list[str], Field(min_length=1)]
    """Folders below data.unlabelled.root, with the folders in them; .: all of it."""
    detector: Literal["small", "large"] | None
    """A detector of torchvision finds people: small (quick) or large (better); null: boxes of detections, else a picture is one person."""
    weights: str | None
    """File with the detector's weights; null: torchvision's, which are downloaded once."""
    score: Share
    """People that the detector finds with a lower score are left out."""
    every: Annotated[float, Field(ge=0)]
    """Seconds from one frame that is taken of a video to the next; 0: every frame."""
    blur: Share
    """People more blurred than this are left out, of 0 (sharp) to 1; 1: nobody. It counts in the size of the network's input."""
    near: Annotated[float, Field(ge=0, le=255)]
    """People whose thumbnail differs less from an earlier one, or a plain grey, are left out (mean grey level, of 255); 0: nobody."""

    @model_validator(mode="after")
    def _belongs_together(self) -> "Media":
        if self.weights is not None and self.detector is None:
            raise ValueError("data.unlabelled.media.weights are a detector's: name it in data.unlabelled.media.detector")
        if outside := [folder for folder in self.folders if PurePosixPath(folder).is_absolute() or ".." in PurePosixPath(folder).parts]:
            raise ValueError(f"data.unlabelled.media.folders: {outside[0]} must be a folder below data.unlabelled.root")
        return self


class Unlabelled(Section):
    """People of another set than data.source, without labels."""

    source: Literal["unlabeled2017", "aic", "flic", "media"]
    """unlabeled2017: COCO's unlabelled images; aic: AI Challenger; flic: FLIC's training people, as data.flic says; media: your own."""
    root: str | None
    """Folder of your own copy, which is only read; null: the project's folder."""
    detections: Detections | None
    """The boxes of unlabeled2017, or of media; null for aic and flic, which have their own."""
    media: Media | None
    """For source: media. Images and videos of your own (docs/own-data.md)."""

    @property
    def whole_images(self) -> bool:
        """Whether each picture is one person: no detector and no file of boxes says who is in it."""
        return self.media is not None and self.media.detector is None and self.detections is None

    @model_validator(mode="after")
    def _has_what_it_needs(self) -> "Unlabelled":
        if self.source == "media" and (self.root is None or self.media is None):
            raise ValueError("data.unlabelled.root and data.unlabelled.media must say where your images and videos are for source: media")
        if self.source != "media" and self.media is not None:
            raise ValueError(f"data.unlabelled.media must be null for source: {self.source}")
        if self.media and self.media.detector and self.detections:
            raise ValueError("data.unlabelled.media.detector and data.unlabelled.detections both say who is in a picture: one must be null")
        if self.source != "media" and (self.source == "unlabeled2017") != (self.detections is not None):
            raise ValueError(
                "data.unlabelled.detections must name the boxes of unlabeled2017, and must be null for aic and flic, which have boxes"
            )
        return self


class Data(Section):
    source: Literal["demo", "coco", "lsp", "mpii", "aic", "flic", "custom"]
    """The set: demo (synthetic people, rendered here), coco, lsp, mpii, aic, flic, or custom (your own COCO-format set)."""
    root: str | None
    """Folder of your own copy, which is only read; null: the project's folder, filled by the stage `download`."""
    custom: Custom | None
    """For source: custom. Where your set is, and its skeleton (docs/own-data.md)."""
    unlabelled: Unlabelled | None
    """Unlabelled people of another set (docs/own-data.md); null: those of `source`, as `split` says."""
    detections: Detections | None
    """A detector's boxes of the validation images (docs/own-data.md), for evaluate.boxes: detector."""
    validation_people: Positive
    """For lsp, and for mpii's .mat file: this many people at the end are the validation set."""
    max_broken: Count
    """Maximum number of undecodable images; the stage `prepare` fails above it."""
    exif: Literal["apply", "ignore"] | None
    """EXIF orientation. apply: annotations fit images as viewers show them; ignore: as stored; null: sizes in the annotations decide."""
    demo: DemoData
    """The synthetic people of source: demo."""
    flic: Flic
    """For source: flic."""
    crop: Crop
    """How people are cropped and stored."""

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> "Data":
        if self.source == "demo" and self.root is not None:
            raise ValueError("data.root must be null for data.source: demo, whose images the project renders")
        if self.source == "custom" and (self.root is None or self.custom is None):
            raise ValueError("data.source: custom needs data.root and data.custom; set them to where your set is (docs/own-data.md)")
        return self


class SplitParams(Section):
    selection: Literal["first", "random"]
    """The labelled people: first (in file order, as the released code) or random."""
    seed: Count
    """Seed of the permutation for selection: random."""
    per_seed: bool
    """true: each seed of the sweep has its own labelled people, for selection: random."""
    unlabelled: Literal["all", "rest"]
    """all: every training person is an unlabelled one, labelled ones too; rest: without labelled ones. data.unlabelled replaces both."""
    budgets: Annotated[dict[Name, Positive | Literal["all"]], Field(min_length=1)]
    """Name: number of labelled people, or all. Nested: each budget takes the first people of one order."""

    @model_validator(mode="after")
    def _seeds_need_random(self) -> "SplitParams":
        if self.per_seed and self.selection != "random":
            raise ValueError("split.per_seed: true needs split.selection: random; the first people are the same for every seed")
        return self
