"""Exports of annotation tools, written here as the tools write them, become the set that they were made from."""

import csv
import json
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from made_set import make_set
from PIL import Image
from typer.testing import CliRunner

from semipose.cli.app import app
from semipose.data.annotations import read_annotations
from semipose.data.checks.examine import recognise
from semipose.data.exports.convert import convert
from semipose.data.pixels import read_image
from semipose.data.sources import read_people
from semipose.pose.skeleton import COCO17
from semipose.utils.errors import InputError

SIZE = (64, 48)


def content(root: Path, part: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((root / f"{part}.json").read_text())
    return made


def moved(root: Path, out: Path, to: Callable[[str, str], str]) -> None:
    """The images of a set, under other names (of part and name)."""
    for part in ("train", "val"):
        for image in content(root, part)["images"]:
            target = out / to(part, image["file_name"])
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((root / "images" / image["file_name"]).read_bytes())


def people_by_image(root: Path, part: str) -> list[tuple[str, list[dict[str, Any]], list[str]]]:
    made = content(root, part)
    of = {image["id"]: [one for one in made["annotations"] if one["image_id"] == image["id"]] for image in made["images"]}
    return [(image["file_name"], of[image["id"]], made["categories"][0]["keypoints"]) for image in made["images"]]


def roboflow(root: Path, out: Path) -> None:
    moved(root, out, lambda part, name: f"{'valid' if part == 'val' else part}/{name}")
    for part, folder in (("train", "train"), ("val", "valid")):
        (out / folder / "_annotations.coco.json").write_text(json.dumps(content(root, part)))
    (out / "test").mkdir()
    (out / "test" / "_annotations.coco.json").write_text(json.dumps(content(root, "val")))


def of_another_machine(name_of: Callable[[str], str]) -> Callable[[Path, Path], None]:
    def export(root: Path, out: Path) -> None:
        moved(root, out, lambda part, name: f"photos/{part}/{name}")
        for part in ("train", "val"):
            made = content(root, part)
            for image in made["images"]:
                image["file_name"] = name_of(image["file_name"])
            (out / f"{part}.json").write_text(json.dumps(made))

    return export


def ultralytics(root: Path, out: Path) -> None:
    moved(root, out, lambda part, name: f"images/{part}/{name}")
    for part in ("train", "val"):
        (out / "labels" / part).mkdir(parents=True)
        for name, people, _ in people_by_image(root, part):
            lines = []
            for one in people:
                x, y, w, h = one["bbox"]
                box = [(x + w / 2) / 64, (y + h / 2) / 48, w / 64, h / 48]
                points = np.reshape(one["keypoints"], (-1, 3)) / [64, 48, 1]
                lines.append(" ".join(str(value) for value in [0, *box, *points.ravel()]))
            (out / "labels" / part / f"{Path(name).stem}.txt").write_text("\n".join(lines))
    (out / "data.yaml").write_text(
        "path: /home/somebody/set\ntrain: images/train\nval: images/val\nkpt_shape: [17, 3]\nnames: {0: person}\n"
        f"node_names: [{', '.join(COCO17.joints)}]\n"  # as SLEAP names them
    )


def roboflow_ultralytics(root: Path, out: Path) -> None:
    """Folders train and valid, which the YAML beside them calls ../train and ../valid."""
    ultralytics(root, out)
    for part, folder in (("train", "train"), ("val", "valid")):
        (out / folder).mkdir()
        for kind in ("images", "labels"):
            (out / kind / part).rename(out / folder / kind)
    told = (out / "data.yaml").read_text().replace("path: /home/somebody/set\n", "")
    (out / "data.yaml").write_text(told.replace("train: images/train\nval: images/val", "train: ../train/images\nval: ../valid/images"))


def listed_ultralytics(root: Path, out: Path) -> None:
    ultralytics(root, out)
    for part in ("train", "val"):
        names = [image["file_name"] for image in content(root, part)["images"]]
        (out / f"{part}.txt").write_text("\n".join(f"./images/{part}/{name}" for name in names) + "\n\n")
    told = (out / "data.yaml").read_text()
    (out / "data.yaml").write_text(told.replace("train: images/train\nval: images/val", "train: train.txt\nval: val.txt"))


def deeplabcut(root: Path, out: Path) -> None:
    moved(root, out, lambda part, name: f"labeled-data/{part}/{name}")
    for part in ("train", "val"):
        rows: list[list[Any]] = []
        for name, people, joints in people_by_image(root, part):
            if not rows:
                heads = [["scorer", "", "", "me"], ["individuals", "", ""], ["bodyparts", "", ""], ["coords", "", ""]]
                rows = [heads[0] + ["me"] * (68 - 1), *heads[1:]]
                for animal in ("one", "two"):
                    rows[1] += [animal] * 34
                    rows[2] += [joint for joint in joints for _ in "xy"]
                    rows[3] += ["x", "y"] * 17
            places = [[x, y] for one in people for x, y, _ in np.reshape(one["keypoints"], (-1, 3)).tolist()]
            rows.append(["labeled-data", part, name, *[value for place in places for value in place]])
            rows[-1] += [""] * (71 - len(rows[-1]))
        with (out / "labeled-data" / part / "CollectedData_me.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)


def label_studio(root: Path, out: Path) -> None:
    moved(root, out, lambda part, name: f"upload/0a1b2c3d-{name}")
    tasks = []
    for part in ("train", "val"):
        for name, people, joints in people_by_image(root, part):
            results: list[dict[str, Any]] = []
            size = {"original_width": SIZE[0], "original_height": SIZE[1]}
            for number, one in enumerate(people):
                x, y, w, h = one["bbox"]
                box = {"x": x / 0.64, "y": y / 0.48, "width": w / 0.64, "height": h / 0.48, "rectanglelabels": ["person"]}
                results.append({"id": f"b{number}", "type": "rectanglelabels", "value": box} | size)
                for joint, (px, py, _) in zip(joints, np.reshape(one["keypoints"], (-1, 3)).tolist(), strict=True):
                    value = {"x": px / 0.64, "y": py / 0.48, "width": 0.5, "keypointlabels": [joint]}
                    results.append({"id": f"{joint}{number}", "parentID": f"b{number}", "type": "keypointlabels", "value": value} | size)
            tasks.append({"id": len(tasks), "data": {"img": f"/data/upload/1/0a1b2c3d-{name}"}, "annotations": [{"result": results}]})
    (out / "project-1.json").write_text(json.dumps(tasks))


def cvat(root: Path, out: Path) -> None:
    moved(root, out, lambda part, name: f"images/{name}")
    tree = ElementTree.Element("annotations")
    for part, subset in (("train", "Train"), ("val", "Validation")):
        for name, people, joints in people_by_image(root, part):
            image = ElementTree.SubElement(tree, "image", name=name, subset=subset, width="64", height="48")
            for one in people:
                skeleton = ElementTree.SubElement(image, "skeleton", label="person")
                for joint, (x, y, _) in zip(joints, np.reshape(one["keypoints"], (-1, 3)).tolist(), strict=True):
                    ElementTree.SubElement(skeleton, "points", label=joint, points=f"{x},{y}", outside="0", occluded="0")
    ElementTree.ElementTree(tree).write(out / "annotations.xml")


EXPORTS: dict[str, Callable[[Path, Path], None]] = {
    "addresses": of_another_machine(lambda name: f"http://localhost:8080/data/upload/3/{name}?x=1"),
    "local files of Label Studio": of_another_machine(lambda name: f"/data/local-files/?d=there/{name}"),
    "paths of Windows": of_another_machine(lambda name: f"C:\\photos\\{name}"),
    "Ultralytics": ultralytics,
    "Ultralytics by Roboflow": roboflow_ultralytics,
    "Ultralytics with lists of images": listed_ultralytics,
    "DeepLabCut": deeplabcut,
    "Label Studio": label_studio,
    "CVAT": cvat,
}


@pytest.mark.parametrize("kind", EXPORTS)
def test_an_export_becomes_the_set_that_it_was_made_from(tmp_path: Path, kind: str) -> None:
    root, out = make_set(tmp_path / "set"), tmp_path / "export"
    out.mkdir()
    EXPORTS[kind](root, out)
    for path in [path for path in out.rglob("*") if path.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\26\7 mac")
    if "of" not in kind and kind != "addresses":
        with pytest.raises(InputError, match=f"is an export of {kind}; run `semipose doctor .* --convert FOLDER`"):
            recognise(out)
    result = CliRunner().invoke(app, ["doctor", str(out), "--convert", str(tmp_path / "made")])
    assert result.exit_code == 0, result.output
    assert "no errors: training can read this set" in result.output
    assert "area larger than their box" not in result.output
    every = [
        [read_people("custom", place, part, custom=recognise(place).custom) for part in ("train", "val")]
        for place in (root, tmp_path / "made")
    ]
    sound, made = (
        {
            (Path(name).name, *np.round(point[0], 1)): (point, box)
            for people in parts
            for name, point, box in zip(people.images, people.points, people.boxes, strict=True)
        }
        for parts in every
    )
    assert len(sound) == 16
    given = {(name.removeprefix("0a1b2c3d-"), *rest): value for (name, *rest), value in made.items()}
    assert given.keys() == sound.keys()
    for key, (points, box) in sound.items():
        np.testing.assert_allclose(given[key][0], points, atol=1e-3)
        np.testing.assert_allclose(given[key][1], box, atol=1e-3 if kind not in ("DeepLabCut", "CVAT") else 4)
    assert set(every[1][0].skeleton.joints) == set(every[0][0].skeleton.joints)
    if kind not in ("DeepLabCut", "Label Studio"):
        assert [len(people) for people in every[1]] == [8, 8]


def test_an_export_of_validation_images_alone_is_a_whole_set(tmp_path: Path) -> None:
    root, out = make_set(tmp_path / "set"), tmp_path / "export"
    out.mkdir()
    ultralytics(root, out)
    yaml = out / "data.yaml"
    yaml.write_text(yaml.read_text().replace("train: images/train\n", ""))
    convert(out, tmp_path / "made")
    parts = [{image["file_name"] for image in content(tmp_path / "made", part)["images"]} for part in ("train", "val")]
    assert all(parts)
    assert parts[0].isdisjoint(parts[1])


def test_images_elsewhere_keep_their_folders(tmp_path: Path) -> None:
    """Two images of one name in two folders stay two."""
    root, out = make_set(tmp_path / "set"), tmp_path / "export"
    out.mkdir()
    ultralytics(root, out)
    (out / "images").rename(tmp_path / "images")
    (out / "labels").rename(tmp_path / "labels")
    for part in ("train", "val"):
        for image in sorted((tmp_path / "images" / part).iterdir()):
            number = image.stem.removeprefix(part)
            (tmp_path / "labels" / part / f"{image.stem}.txt").rename(tmp_path / "labels" / part / f"{number}.txt")
            image.rename(image.with_stem(number))
    yaml = out / "data.yaml"
    yaml.write_text(yaml.read_text().replace("/home/somebody/set", str(tmp_path)))
    convert(out, tmp_path / "made")
    for part in ("train", "val"):
        for image in content(tmp_path / "made", part)["images"]:
            name = Path(image["file_name"])
            assert (tmp_path / "made" / "images" / name).read_bytes() == (tmp_path / "images" / part / name.name).read_bytes()


def test_names_that_one_disk_takes_for_one_become_two(tmp_path: Path) -> None:
    """Macs and Windows take A.png and a.png, and both ways to write an accent, for one file; images that differ must stay two."""
    names = ["cam/A.png", "cam/a.png", "cam/\u00e9.png", "cam/e\u0301.png", "cam/b.png"]
    (tmp_path / "export/cam").mkdir(parents=True)
    points = np.column_stack([np.arange(17) + 5, np.arange(17) + 8, np.full(17, 2)]).ravel().tolist()
    one = {"category_id": 1, "iscrowd": 0, "bbox": [1, 1, 30, 30], "keypoints": points}
    made = {
        "images": [{"id": k, "file_name": name} for k, name in enumerate(names)],
        "annotations": [one | {"id": k + 1, "image_id": k} for k in range(len(names))],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
    }
    for k, name in enumerate(names):
        Image.new("RGB", SIZE, (40 * k, 0, 0)).save(tmp_path / "export" / name)
    (tmp_path / "export/labels.json").write_text(json.dumps(made))
    convert(tmp_path / "export", tmp_path / "made")
    written = [image["file_name"] for part in ("train", "val") for image in content(tmp_path / "made", part)["images"]]
    assert len({unicodedata.normalize("NFC", name).lower() for name in written}) == len(names)
    reds = {Image.open(tmp_path / "made/images" / name).getpixel((0, 0)) for name in written}
    assert reds == {(40 * k, 0, 0) for k in range(len(names))}


def test_a_box_that_leaves_its_image_counts_as_far_as_it_is_on_it(tmp_path: Path) -> None:
    """A person at the image's corner: its margin, or a box drawn too large, is outside; the area that OKS divides by is not."""
    root, out = make_set(tmp_path / "set"), tmp_path / "export"
    out.mkdir()
    ultralytics(root, out)
    label = out / "labels/val/val1.txt"
    first, second = label.read_text().splitlines()
    label.write_text(f"0 0.25 0.9 1.0 0.8 {first.split(maxsplit=5)[5]}\n{second}\n")  # x -16 to 48 of 64, y 24 to 62.4 of 48
    result = CliRunner().invoke(app, ["doctor", str(out), "--convert", str(tmp_path / "made")])
    assert result.exit_code == 0, result.output
    assert "area larger than their box" not in result.output
    truth = read_annotations(tmp_path / "made/val.json").dataset["annotations"]
    assert truth[0]["area"] == pytest.approx(48 * 24)
    assert truth[1]["area"] == pytest.approx(truth[1]["bbox"][2] * truth[1]["bbox"][3])
    plain = content(tmp_path / "made", "val")
    for one in plain["annotations"]:
        del one["area"]
    assert read_annotations(plain).dataset["annotations"] == truth, "a file without areas is read as if it had been converted"


def test_people_with_one_joint_and_no_box_are_counted_and_the_remedy_fits(tmp_path: Path) -> None:
    """CVAT's skeletons have no boxes; nobody's joints but the nose are labelled."""

    def noses(made: dict[str, Any]) -> None:
        for one in made["annotations"]:
            one["keypoints"][3:] = [0] * 48

    root, out = make_set(tmp_path / "set", noses, people=1), tmp_path / "export"
    out.mkdir()
    cvat(root, out)
    xml = ElementTree.parse(out / "annotations.xml")
    for skeleton in xml.iterfind("image/skeleton"):
        for point in list(skeleton)[1:]:
            point.set("outside", "1")
    xml.write(out / "annotations.xml")
    result = CliRunner().invoke(app, ["doctor", str(out), "--convert", str(tmp_path / "made")])
    assert result.exit_code == 1
    said = " ".join(result.output.split())
    assert "train.json: no person is left (left out: 4 degenerate box); degenerate box: a box needs a width and a height" in said
    assert "Draw boxes, or label more joints" in said
    assert "download" not in said

    for point in list(next(xml.iterfind("image/skeleton")))[1:]:
        point.set("outside", "0")
    xml.write(out / "annotations.xml")
    result = CliRunner().invoke(app, ["doctor", str(out), "--convert", str(tmp_path / "again")])
    assert "3 annotations left out: degenerate box (a box needs a width and a height" in " ".join(result.output.split())


def test_roboflows_folders_need_no_conversion(tmp_path: Path) -> None:
    root, out = make_set(tmp_path / "set"), tmp_path / "export"
    roboflow(root, out)
    custom = recognise(out).custom
    assert custom
    assert [custom.train.annotations, custom.val.annotations] == ["train/_annotations.coco.json", "valid/_annotations.coco.json"]
    assert [custom.train.images, custom.val.images] == ["train", "valid"]
    assert len(read_people("custom", out, "val", custom=custom)) == 8


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("labels.v001.slp", "a project of SLEAP, which cannot be read: .*save_ultralytics"),
        ("CollectedData_me.h5", r"use the CollectedData_\*\.csv"),
    ],
)
def test_files_that_are_not_read_are_named(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / name).write_bytes(b"\x89HDF")
    result = CliRunner().invoke(app, ["doctor", str(tmp_path)])
    assert result.exit_code == 1
    with pytest.raises(InputError, match=words):
        recognise(tmp_path)


@pytest.mark.parametrize(
    ("kind", "spoil", "words"),
    [
        (
            "Ultralytics",
            ("labels/train/train1.txt", "0 0.5 0.5 1 1 0.1"),
            r"train1\.txt: line 1: has 1 numbers after the box, must have 51",
        ),
        ("DeepLabCut", ("labeled-data/val/CollectedData_me.csv", "scorer,a\nbodyparts,b\n"), "has no header rows bodyparts and coords"),
        (
            "Label Studio",
            ("project-1.json", '[{"data": {"img": "/data/upload/9.png"}, "annotations": [{"result": []}]}]'),
            "image .*9.png' is missing",
        ),
        (
            "Label Studio",
            ("project-1.json", '[{"id": 17, "data": {"text": "a letter"}, "annotations": [{"result": []}]}]'),
            r"project-1\.json: \[0\]: task 17: `data` has text: 'a letter', but no path or address of an image \(\.bmp, .*; add it, or",
        ),
        (
            "Label Studio",
            ("project-1.json", '[{"data": ["a.png"], "annotations": [{"result": []}]}]'),
            r"\[0\]: is not a task with key points",
        ),
        ("CVAT", ("annotations.xml", "<annotations><image name='a'></image></annotations>"), "no image has a skeleton"),
    ],
)
def test_faults_of_exports_are_named(tmp_path: Path, kind: str, spoil: tuple[str, str], words: str) -> None:
    out = tmp_path / "export"
    out.mkdir()
    EXPORTS[kind](make_set(tmp_path / "set"), out)
    (out / spoil[0]).write_text(spoil[1])
    result = CliRunner().invoke(app, ["doctor", str(out), "--convert", str(tmp_path / "made")])
    assert result.exit_code == 1
    with pytest.raises(InputError, match=words):
        convert(out, tmp_path / "made")


FLIP = [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]


def told_of_flips(root: Path, out: Path, flip: object, named: bool) -> Path:
    """An export of Ultralytics whose YAML has this `flip_idx`."""
    out.mkdir()
    ultralytics(root, out)
    yaml = out / "data.yaml"
    text = yaml.read_text() if named else "\n".join(line for line in yaml.read_text().splitlines() if "node_names" not in line) + "\n"
    yaml.write_text(f"{text}flip_idx: {flip}\n")
    return out


@pytest.mark.parametrize("named", [True, False])
def test_flip_idx_gives_the_pairs_that_names_do_not_tell(tmp_path: Path, named: bool) -> None:
    out = told_of_flips(make_set(tmp_path / "set"), tmp_path / "export", FLIP, named)
    result = CliRunner().invoke(app, ["doctor", str(out), "--convert", str(tmp_path / "made")])
    assert result.exit_code == 0, result.output
    assert "17 joints, 8 left-right pairs" in result.output
    custom = recognise(tmp_path / "made").custom
    assert custom
    assert (custom.pairs is None) == named
    people = read_people("custom", tmp_path / "made", "train", custom=custom)
    assert people.skeleton.flip == FLIP
    assert ("- joint_2\n" in result.output) != named, "params.yaml needs them"


@pytest.mark.parametrize(
    ("flip", "words"),
    [
        ([*range(17)], "flip_idx does not swap left_eye and right_eye, but their names do; correct flip_idx, or rename"),
        ([0, 1], r"flip_idx \[0, 1\] must name the partner of each of the 17 joints"),
        ([1, 2, 0, *range(3, 17)], "must name the partner"),
        ("none", "must name the partner"),
        ([str(k) for k in range(17)], "must name the partner"),
    ],
)
def test_a_flip_idx_that_names_contradict_is_refused(tmp_path: Path, flip: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        convert(told_of_flips(make_set(tmp_path / "set"), tmp_path / "export", flip, named=True), tmp_path / "made")


def test_confidences_are_not_visibilities(tmp_path: Path) -> None:
    (out := tmp_path / "export").mkdir()
    ultralytics(make_set(tmp_path / "set"), out)
    label = out / "labels/train/train2.txt"
    first, second = label.read_text().splitlines()
    label.write_text(f"{first}\n{second.removesuffix('2.0')}0.93\n")
    with pytest.raises(InputError, match=r"train2\.txt: line 2: joint 17 has the visibility 0\.93, must be 0, 1 or 2"):
        convert(out, tmp_path / "made")


def test_people_of_two_classes_are_not_made_one(tmp_path: Path) -> None:
    for kind in ("Ultralytics", "CVAT"):
        (out := tmp_path / kind).mkdir()
        EXPORTS[kind](make_set(tmp_path / f"set of {kind}"), out)
    label = tmp_path / "Ultralytics/labels/train/train1.txt"
    label.write_text("1" + label.read_text()[1:])
    with pytest.raises(InputError, match=r"the labels are of several classes \(0, 1\); keep the lines of one"):
        convert(tmp_path / "Ultralytics", tmp_path / "made")
    xml = tmp_path / "CVAT/annotations.xml"
    xml.write_text(xml.read_text().replace('label="person"', 'label="dog"', 1))
    with pytest.raises(InputError, match=r"the skeletons are of several labels \(dog, person\); export one of them"):
        convert(tmp_path / "CVAT", tmp_path / "made")


def test_a_label_file_of_notepad_begins_with_a_mark(tmp_path: Path) -> None:
    (out := tmp_path / "export").mkdir()
    ultralytics(make_set(tmp_path / "set"), out)
    label = out / "labels/train/train1.txt"
    label.write_bytes(b"\xef\xbb\xbf" + label.read_bytes())
    convert(out, tmp_path / "made")
    assert len(content(tmp_path / "made", "train")["annotations"]) == len(content(tmp_path / "set", "train")["annotations"])


@pytest.mark.parametrize("place", ["images/train/gone.png", "gone.txt"])
def test_a_list_of_images_names_what_is_missing(tmp_path: Path, place: str) -> None:
    root, out = make_set(tmp_path / "set"), tmp_path / "export"
    out.mkdir()
    listed_ultralytics(root, out)
    if place == "gone.txt":
        (out / "val.txt").rename(out / "moved.txt")
    else:
        (out / "val.txt").write_text(place)
    with pytest.raises(InputError, match="there is no folder or list val.txt" if place == "gone.txt" else r"val\.txt: line 1: .*gone\.png"):
        convert(out, tmp_path / "made")


def test_images_without_any_label_file_are_named_with_where_it_should_be(tmp_path: Path) -> None:
    root, out = make_set(tmp_path / "set"), tmp_path / "export"
    out.mkdir()
    ultralytics(root, out)
    (out / "labels/train").rename(out / "labels/training")
    with pytest.raises(InputError, match=r"data\.yaml: train: none of the 4 images has labelled people; .*export/labels/train/train1\.txt"):
        convert(out, tmp_path / "made")


def tasks_of(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """An export of Label Studio, each task changed."""
    root, out = make_set(tmp_path / "set"), tmp_path / "export"
    out.mkdir()
    label_studio(root, out)
    tasks = json.loads((out / "project-1.json").read_text())
    for task in tasks:
        change(task)
    (out / "project-1.json").write_text(json.dumps(tasks))
    return out


def test_tasks_without_labels_or_on_turned_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"project-1\.json: no task has a key point; label people, and export the project as JSON"):
        convert(tasks_of(tmp_path / "none", lambda task: task.update(annotations=[])), tmp_path / "made")
    turned = tasks_of(tmp_path / "turned", lambda task: [one.update(image_rotation=90) for one in task["annotations"][0]["result"]])
    with pytest.raises(
        InputError, match=r"\[0\]: the image was turned by 90 degrees in Label Studio; turn the file itself, and label it again"
    ):
        convert(turned, tmp_path / "made")


def test_label_studio_has_skipped_annotations_and_other_fields(tmp_path: Path) -> None:
    (out := tmp_path / "export").mkdir()
    label_studio(make_set(tmp_path / "set"), out)
    tasks = json.loads((out / "project-1.json").read_text())
    for task in tasks:
        task["data"] = {"title": "Mr. Smith"} | task["data"]
        task["annotations"].insert(0, {"was_cancelled": True, "result": []})
    (out / "project-1.json").write_text(json.dumps(tasks))
    convert(out, tmp_path / "made", val=2)
    made = sum(len(content(tmp_path / "made", part)["annotations"]) for part in ("train", "val"))
    assert made == sum(len(content(tmp_path / "set", part)["annotations"]) for part in ("train", "val"))


@pytest.mark.parametrize(("written", "there"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_the_same_however_they_are_written(tmp_path: Path, written: str, there: str) -> None:
    """An archive from a Mac: its file names have their accents apart (NFD), the annotations have them in the letter."""
    root = make_set(tmp_path / "set")
    for part in ("train", "val"):
        made = content(root, part)
        for image in made["images"]:
            name = f"photos/Bär {image['file_name']}"
            target = root / unicodedata.normalize(there, name)
            target.parent.mkdir(exist_ok=True)
            (root / "images" / image["file_name"]).rename(target)
            image["file_name"] = unicodedata.normalize(written, name)
        (root / f"{part}.json").write_text(json.dumps(made))
    (root / "images").rmdir()
    with pytest.raises(InputError, match=r"B.+r val1\.png: .* accents .*semipose doctor FOLDER --convert"):
        read_image(root / unicodedata.normalize(written, "photos/Bär val1.png"))
    result = CliRunner().invoke(app, ["doctor", str(root), "--convert", str(tmp_path / "made")])
    assert result.exit_code == 0, result.output
    assert content(tmp_path / "made", "val")["images"][0]["file_name"] == unicodedata.normalize(there, "photos/Bär val1.png")


def test_a_name_in_other_capitals_is_found_unless_two_files_have_it(tmp_path: Path) -> None:
    """Annotations made on Windows or a Mac, where IMG.JPG is img.jpg."""
    root = make_set(tmp_path / "set")
    for path in [*(root / "images").iterdir()]:
        path.rename(path.with_name(path.name.upper()))
    convert(root, tmp_path / "made")
    assert content(tmp_path / "made", "val")["images"][0]["file_name"] == "VAL1.PNG"
    (root / "images/Val1.png").write_bytes((root / "images/VAL2.PNG").read_bytes())
    with pytest.raises(InputError, match=r"the image 'val1\.png' exists 2 times \(.*VAL1\.PNG, .*Val1\.png\)"):
        convert(root, tmp_path / "again")
    (root / "images/val1.png").write_bytes((root / "images/VAL2.PNG").read_bytes())
    convert(root, tmp_path / "third")
    assert content(tmp_path / "third", "val")["images"][0]["file_name"] == "val1.png"


def test_links_to_images_become_the_images(tmp_path: Path) -> None:
    root, out = make_set(tmp_path / "set"), tmp_path / "export"
    (out / "pics").mkdir(parents=True)
    for path in (root / "images").iterdir():
        (out / "pics" / path.name).symlink_to(Path("../../set/images") / path.name)
    (out / "labels.json").write_text((root / "train.json").read_text())
    convert(out, tmp_path / "made")
    images = [path for path in (tmp_path / "made/images").rglob("*") if path.suffix]
    assert images
    assert not any(path.is_symlink() for path in images)


@pytest.mark.parametrize("given", ["the file", "the folder"])
def test_a_plain_file_is_split_into_as_many_validation_images_as_asked_for(tmp_path: Path, given: str) -> None:
    root = make_set(tmp_path / "set", images=11)
    (root / "val.json").unlink()
    (root / "train.json").rename(root / "labels.json")
    place = root if given == "the folder" else root / "labels.json"
    for more, count in (([], 2), (["--val", "4"], 4), (["--val", "10"], 10)):
        made = tmp_path / f"made{count}"
        result = CliRunner().invoke(app, ["doctor", str(place), "--convert", str(made), *more])
        assert result.exit_code == 0, result.output
        names = [{image["file_name"] for image in content(made, part)["images"]} for part in ("train", "val")]
        assert [len(one) for one in names] == [11 - count, count]
        assert not names[0] & names[1]
        assert len(content(made, "train")["annotations"]) == 2 * (11 - count)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--val", "4"], "--val 4: the export has 4 images; hold out fewer"),
        (["--join", "SET"], "has no validation part; make a set with one first"),
        (["--images", "nowhere"], "nowhere: no such file or folder"),
    ],
)
def test_what_cannot_be_converted_so_is_said(tmp_path: Path, more: list[str], words: str) -> None:
    root = make_set(tmp_path / "set")
    (root / "val.json").unlink()
    more = [str(root) if one == "SET" else one for one in more]
    result = CliRunner().invoke(app, ["doctor", str(root), "--convert", str(tmp_path / "made"), *more])
    assert result.exit_code == 1
    assert words in result.output
    assert "--val and --join belong to --convert" in CliRunner().invoke(app, ["doctor", str(root), "--val", "2"]).output


def test_joined_people_have_the_joints_of_the_set_and_an_image_is_there_once(tmp_path: Path) -> None:
    """The new labels name the joints in another order and lack one; one image is in the set, another has the name of one in it."""
    root, new = make_set(tmp_path / "set"), tmp_path / "new"
    (new / "frames").mkdir(parents=True)
    (new / "frames/train1.png").write_bytes((root / "images/train1.png").read_bytes())
    Image.new("RGB", SIZE, "olive").save(new / "frames/train2.png")
    order = [*reversed(range(1, 17))]
    points = np.column_stack([np.arange(17), np.arange(17) + 20, np.full(17, 2)])
    one = {"category_id": 9, "iscrowd": 0, "bbox": [1, 1, 40, 40], "keypoints": points[order].ravel().tolist()}
    made = {
        "images": [{"id": k, "file_name": f"train{k}.png"} for k in (1, 2)],
        "annotations": [one | {"id": k, "image_id": k} for k in (1, 2)],
        "categories": [{"id": 9, "name": "animal", "keypoints": [COCO17.joints[k] for k in order]}],
    }
    (new / "corrected.json").write_text(json.dumps(made))
    result = CliRunner().invoke(
        app, ["doctor", str(new / "corrected.json"), "--convert", str(tmp_path / "both"), "--join", str(root)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    custom = recognise(tmp_path / "both").custom
    before, after = (read_people("custom", place, "train", custom=custom) for place in (root, tmp_path / "both"))
    assert len(after) == len(before) + 2
    assert after.images.count("images/train1.png") == 3, "the two of before, and the new one"
    assert after.images[-1] == "images/frames/train2.png"
    assert after.skeleton.joints == before.skeleton.joints
    np.testing.assert_array_equal(after.points[-1], np.where(np.arange(17)[:, None] > 0, points[:, :2], 0))
    assert after.visibility[-1].tolist() == [0] + [2] * 16
    assert content(tmp_path / "both", "val")["annotations"] == content(root, "val")["annotations"]

    (new / "frames/train2.png").write_bytes((root / "images/val3.png").read_bytes())
    with pytest.raises(InputError, match=r"1 of the new images are validation images of .*set: train2\.png; take them out"):
        convert(new / "corrected.json", tmp_path / "more", join=root)


def test_a_person_of_the_set_is_one_person_of_the_export_the_most_similar(tmp_path: Path) -> None:
    """Dancers: of the first one in the export, nine joints are where the set has those of the second, who comes after."""
    root, new = make_set(tmp_path / "set", images=2, people=1), tmp_path / "new"
    made = content(root, "train")
    (one, *_) = made["annotations"]
    known = np.reshape(one["keypoints"], (-1, 3))
    other = known + np.where(np.arange(17)[:, None] < 9, 0, [15, 5, 0])
    again = known + np.where(np.arange(17)[:, None] == 16, [3, 3, 0], 0)
    made["annotations"] = [one | {"id": k, "keypoints": points.ravel().tolist()} for k, points in enumerate((other, again), start=1)]
    new.mkdir()
    (new / "again.json").write_text(json.dumps(made))
    told = convert(new / "again.json", tmp_path / "both", root / "images", join=root)
    assert told.startswith(f"1 people added; 1 people are in {root} already")
    after = content(tmp_path / "both", "train")["annotations"]
    assert [person["keypoints"] for person in after if person["image_id"] == 1] == [again.ravel().tolist(), other.ravel().tolist()]


@pytest.mark.parametrize("decimals", [1, 0])
def test_people_whose_labels_were_rounded_are_not_joined_twice(tmp_path: Path, decimals: int) -> None:
    """The export has everybody of the set with rounded labels; one of them has a corrected wrist, another a joint that was not labelled."""
    root, new = make_set(tmp_path / "set"), tmp_path / "new"
    made = content(root, "train")
    rng = np.random.default_rng(0)
    for one in made["annotations"]:
        points = np.reshape(one["keypoints"], (-1, 3)).astype(float)
        points[:, :2] += rng.uniform(-0.5, 0.5, (17, 2))
        one["keypoints"] = points.ravel().tolist()
    made["annotations"][1]["keypoints"][:3] = [0, 0, 0]
    (root / "train.json").write_text(json.dumps(made))
    before = json.loads(json.dumps(made))["annotations"]
    for one in made["annotations"]:
        one["keypoints"] = np.round(one["keypoints"], decimals).tolist()
    made["annotations"][0]["keypoints"][27:30] = [11.0, 12.0, 2]
    made["annotations"][1]["keypoints"][:3] = [21.0, 22.0, 2]
    new.mkdir()
    (new / "again.json").write_text(json.dumps(made))
    more = ["--images", str(root / "images"), "--convert", str(tmp_path / "both"), "--join", str(root)]
    result = CliRunner().invoke(app, ["doctor", str(new / "again.json"), *more], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    said = f"0 people added; 8 people are in {root} already (same image, at least half of their joints within 1 px) and were not added"
    assert f"{said} again; 2 of these got labels" in " ".join(result.output.split())
    after = content(tmp_path / "both", "train")["annotations"]
    assert [one["id"] for one in after] == [one["id"] for one in before]
    before[0]["keypoints"][27:30] = [11.0, 12.0, 2]
    before[1]["keypoints"][:3] = [21.0, 22.0, 2]
    assert [one["keypoints"] for one in after] == [one["keypoints"] for one in before]
