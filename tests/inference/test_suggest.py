"""Whom to label next: the ranking against naive loops, the tasks through the readers of labels, the command on real files."""

import csv
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from PIL import Image
from test_predict import CARD, Reader, points_in, ruler
from typer.testing import CliRunner

from semipose.cli.app import app
from semipose.config.tree import Params
from semipose.data.checks.examine import examine, recognise
from semipose.data.exports import label_studio
from semipose.data.sources.coco import read_custom
from semipose.inference.label_tasks import Task, write_tasks
from semipose.inference.poser import Poser
from semipose.inference.suggestions import VIEWS, ask_networks, choose, disagreement
from semipose.models.network import build
from semipose.models.weight_file import network_metadata, save_network
from semipose.pose.skeleton import COCO17, FLIC11, Skeleton


class Seeing(Reader):
    """The reader of the ruler, with the features of a layer of its own, and told to err by (x, y) px where a view is mirrored."""

    places = ("input", "colours")

    def __init__(self, points: np.ndarray, error: tuple[float, float] = (0, 0)) -> None:
        super().__init__(points)
        self.error = np.array(error)

    def forward(self, views: torch.Tensor, levels: dict[str, torch.Tensor]) -> torch.Tensor:
        levels["colours"] = views
        return super().forward(views)

    def heatmaps(self, red: np.ndarray, green: np.ndarray, blue: np.ndarray) -> torch.Tensor:
        right = self.points
        across = np.polyfit(np.arange(20), red[red.shape[0] // 2, 40:60], 1)[0]
        self.points = right + (self.error if across < 0 else 0)
        try:
            return super().heatmaps(red, green, blue)
        finally:
            self.points = right


def test_a_network_that_knows_agrees_with_itself_in_every_view() -> None:
    box = (30, 20, 45, 75)
    points = points_in(box, np.random.default_rng(0))
    found = ask_networks([Poser(Seeing(points), CARD, batch_size=2)], [(ruler(), np.array([box], np.float32))] * 3)
    assert len(found) == 3
    np.testing.assert_allclose(found.poses.points, [points] * 3, atol=0.25)
    assert found.disagreement.max() < 0.01
    assert found.features.shape == (3, 3)


def test_who_errs_in_the_mirror_disagrees_as_the_formula_says() -> None:
    box, error = (30, 20, 45, 75), (3.0, -2.0)
    points = points_in(box, np.random.default_rng(0))
    found = ask_networks([Poser(Seeing(points, error), CARD)], [(ruler(), np.array([box], np.float32))])
    apart = 1 - np.mean([math.exp(-(3**2 + 2**2) / (2 * 45 * 75 * (2 * sigma) ** 2)) for sigma in COCO17.sigmas])
    pairs = len(VIEWS) * (len(VIEWS) - 1) / 2
    assert found.disagreement[0] == pytest.approx(apart * (len(VIEWS) - 1) / pairs, abs=0.02)


def test_disagreement_equals_naive_loops() -> None:
    rng = np.random.default_rng(1)
    answers, areas, sigmas = rng.normal(50, 4, (3, 5, 4, 2)), rng.uniform(500, 3000, 5), rng.uniform(0.02, 0.1, 4)
    for n in range(5):
        oks = []
        for a in range(3):
            for b in range(a):
                terms = [
                    math.exp(-(math.dist(answers[a, n, k], answers[b, n, k]) ** 2) / (8 * areas[n] * sigmas[k] ** 2)) for k in range(4)
                ]
                oks.append(sum(terms) / 4)
        assert disagreement(answers, areas, sigmas)[n] == pytest.approx(1 - sum(oks) / 3, rel=1e-12)


def test_who_stands_for_most_disagreement_equals_naive_loops() -> None:
    rng = np.random.default_rng(3)
    features, labelled, hard = rng.normal(size=(12, 5)), rng.normal(size=(3, 5)), rng.uniform(size=12)
    middle = np.mean([*features, *labelled], axis=0)
    one, other = ([row / math.dist(row, [0] * 5) for row in rows - middle] for rows in (features, labelled))
    nearest = [min(math.dist(n, m) for m in other) for n in one]
    wanted: list[int] = []
    for _ in range(5):
        worth = [sum(hard[n] * max(0, nearest[n] - math.dist(one[n], one[i])) for n in range(12)) for i in range(12)]
        best = max((i for i in range(12) if i not in wanted), key=worth.__getitem__)
        wanted.append(best)
        nearest = [min(nearest[n], math.dist(one[n], one[best])) for n in range(12)]
    assert [found.row for found in choose(hard, features, labelled, 5)] == wanted


def test_no_two_alike_and_no_outlier() -> None:
    crowd, other = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    features = np.array([crowd] * 6 + [other] * 3 + [[0, 0, -1.0]])
    hard = np.array([0.3] * 6 + [0.3] * 3 + [0.6])
    chosen = [one.row for one in choose(hard, features, features[:0], 10)]
    assert chosen[0] < 6, "of the crowd, though the outlier is hardest"
    assert set(chosen[1:3]) == {next(row for row in chosen if 6 <= row < 9), 9}, "then one of the others, and the outlier; no second one"
    assert sorted(chosen) == list(range(10))
    known = [one.row for one in choose(hard, features, features[:1], 2)]
    assert all(row >= 6 for row in known), "the crowd is labelled"


def test_tasks_come_back_through_the_readers_of_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    joints = len(FLIC11.joints)
    tasks = [
        Task(name, (120, 90), np.array([10.0, 5, 60, 70]), rng.uniform(20, 60, (joints, 2)), np.array([0.9] * (joints - 1) + [0.1]))
        for name in ("a.jpg", "b.jpg", "b.jpg")
    ]
    for name in ("a.jpg", "b.jpg"):
        Image.new("RGB", (120, 90)).save(tmp_path / name)
    write_tasks(tasks, FLIC11, tmp_path)
    people = read_custom(tmp_path, "coco.json", ".")
    np.testing.assert_allclose(people.points, [task.points for task in tasks], rtol=1e-5)
    assert (people.visibility == [2.0] * (joints - 1) + [1.0]).all()
    assert people.images == ["a.jpg", "b.jpg", "b.jpg"]
    # Accepted as they are: a prediction becomes an annotation.
    content = json.loads((tmp_path / "label_studio.json").read_text())
    for task in content:
        task["annotations"] = task.pop("predictions")
    (tmp_path / "label_studio.json").write_text(json.dumps(content))
    read = label_studio.read(tmp_path / "label_studio.json")[""]
    assert [Path(image["path"]).name for image in read["images"]] == ["a.jpg", "b.jpg"]
    for one, task in zip(read["annotations"], tasks, strict=True):
        np.testing.assert_allclose(np.reshape(one["keypoints"], (-1, 3))[:, :2], task.points, rtol=1e-5)
        np.testing.assert_allclose(one["bbox"], task.box, rtol=1e-5)
    assert (tmp_path / "label_studio.xml").read_text().count("<Label ") == joints + 1


def weights_of(demo: Params, skeleton: Skeleton, path: Path, seed: int = 0) -> Path:
    model = demo.model.model_copy(update={"height": 32, "width": 32})
    save_network(build(model, len(skeleton.joints), seed), path, network_metadata(model, skeleton, 1.25, flip_test=False))
    return path


@pytest.fixture
def folder(tmp_path: Path, demo: Params) -> Path:
    """Two weight files of a random network, and eight images, the first two of them labelled."""
    weights_of(demo, COCO17, tmp_path / "one.safetensors"), weights_of(demo, COCO17, tmp_path / "two.safetensors", 1)
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for k in range(8):
        Image.fromarray(rng.integers(0, 256, (48, 40, 3), dtype=np.uint8)).save(tmp_path / f"images/{k}.png")
    person = {"category_id": 1, "iscrowd": 0, "bbox": [2, 2, 30, 40], "area": 900, "num_keypoints": 17, "keypoints": [9, 9, 2] * 17}
    content = {
        "images": [{"id": k, "file_name": f"{k}.png", "width": 40, "height": 48} for k in range(3)],
        "annotations": [person | {"id": k + 1, "image_id": k} for k in range(2)],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints), "skeleton": []}],
    }
    (tmp_path / "labelled.json").write_text(json.dumps(content))
    boxes = [{"file_name": f"{k}.png", "bbox": [1, 1, 30 + k, 40]} for k in range(8)] + [
        {"file_name": "7.png", "bbox": [5.6, 5.6, 0.3, 0.3]}
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    return tmp_path


def suggested(folder: Path, *more: str, code: int = 0) -> str:
    command = ["suggest", str(folder / "images"), "--weights", str(folder / "one.safetensors"), "--out", str(folder / "out"), *more]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == code, done.output
    return done.output


def test_the_command_leaves_a_list_a_sheet_and_tasks(folder: Path) -> None:
    more = ["--weights", f"{folder}/two.safetensors", "--labelled", f"{folder}/labelled.json", "--boxes", f"{folder}/boxes.json"]
    assert "7 of 7 people in 6 images" in suggested(folder, *more, "--count", "7"), "a box of a third of a pixel among them"
    suggested(folder, *more, "--count", "5")
    out = folder / "out"
    assert sorted(path.name for path in out.iterdir()) == [
        "coco.json",
        "label_studio.json",
        "label_studio.xml",
        "sheet.jpg",
        "suggestions.csv",
    ]
    with (out / "suggestions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert {row["file_name"] for row in rows}.isdisjoint({"0.png", "1.png"}), "they have labels"
    assert all(0 < float(row["disagreement"]) <= 1 for row in rows)
    first = (out / "suggestions.csv").read_bytes()
    suggested(folder, *more, "--count", "5")
    assert (out / "suggestions.csv").read_bytes() == first
    assert "6 of 6 people in 6 images" in suggested(folder, *more[:4], "--count", "6"), "an image is a person"


def test_wrong_input_is_named(folder: Path, demo: Params) -> None:
    assert "--count 9: there are 8 people without labels" in suggested(folder, "--count", "9", code=1)
    here = suggested(folder, "--count", "2", "--out", str(folder / "images"), code=1)
    assert "contains the images, and its contact sheet would be one of them; name another folder" in " ".join(here.split())
    assert not (folder / "images/sheet.jpg").exists()
    other = weights_of(demo, FLIC11, folder / "flic.safetensors")
    assert "has other joints than" in suggested(folder, "--weights", str(other), code=1)
    (folder / "images/4.png").write_bytes(b"no image")
    assert "4.png cannot be read as an image and was left out" in suggested(folder, "--count", "7")


def names_in(folder: Path) -> set[str]:
    with (folder / "out/suggestions.csv").open() as file:
        return {row["file_name"] for row in csv.DictReader(file)}


def test_several_sets_count_as_labelled(folder: Path) -> None:
    """The last one alone counted; and images of two sets have the same ids."""
    content = json.loads((folder / "labelled.json").read_text())
    for number, image in enumerate(content["images"], start=3):
        image["file_name"] = f"{number}.png"
    (folder / "val.json").write_text(json.dumps(content))
    sets = ["--labelled", str(folder / "val.json"), "--labelled", str(folder / "labelled.json")]
    assert "4 of 4 people in 4 images" in suggested(folder, *sets, "--count", "4")
    assert names_in(folder) == {"2.png", "5.png", "6.png", "7.png"}


def test_labelled_images_are_found_beside_their_set(folder: Path) -> None:
    """New images have an old one's name, or are a copy of it."""
    away = folder / "set"
    (away / "images").mkdir(parents=True)
    shutil.move(folder / "labelled.json", away / "train.json")
    for name in ("0.png", "1.png", "2.png"):
        shutil.move(folder / "images" / name, away / "images")
    train = ["--labelled", str(away / "train.json")]
    assert "5 of 5 people in 5 images" in suggested(folder, *train, "--count", "5"), "none is among the images, so all remain"
    shutil.copyfile(away / "images/0.png", folder / "images/0.png")
    shutil.copyfile(folder / "images/7.png", folder / "images/1.png")
    suggested(folder, *train, "--count", "6")
    assert names_in(folder) == {"1.png", "3.png", "4.png", "5.png", "6.png", "7.png"}, "0.png is a copy; 1.png is another image"
    (away / "images").rename(folder / "elsewhere")
    for name in ("0.png", "1.png"):
        (folder / "images" / name).unlink()
    said = suggested(folder, *train, "--count", "5", code=1)
    assert "train.json: none of its 3 images (0.png, 1.png, 2.png ...) is in" in said
    assert "name their folder: --labelled-images DIR" in said
    assert "5 of 5 people" in suggested(folder, *train, "--labelled-images", str(folder / "elsewhere"), "--count", "5")
    (folder / "elsewhere/2.png").unlink()
    assert "1 of its images were not found" in suggested(folder, *train, "--labelled-images", str(folder / "elsewhere"), "--count", "5")


def test_a_copy_of_a_labelled_image_under_another_name_is_not_suggested(folder: Path) -> None:
    (folder / "set").mkdir()
    shutil.move(folder / "labelled.json", folder / "set/train.json")
    for name in ("0.png", "1.png", "2.png"):
        shutil.move(folder / "images" / name, folder / "set" / name)
    shutil.copyfile(folder / "set/0.png", folder / "images/frame_0000.png")
    shutil.copyfile(folder / "set/0.png", folder / "images/0.png")
    shutil.copyfile(folder / "set/2.png", folder / "images/frame_0002.png")
    (folder / "images/gone.png").symlink_to(folder / "nowhere.png")
    said = suggested(folder, "--labelled", str(folder / "set/train.json"), "--count", "6")
    assert "train.json: 2 of the 9 images have labels in it and are not suggested (1 under another name)" in said
    assert names_in(folder) == {*(f"{k}.png" for k in range(3, 8)), "frame_0002.png"}, "nobody is labelled in 2.png"


def test_names_tell_the_folder_of_an_image(folder: Path) -> None:
    (folder / "more").mkdir()
    for k in range(4, 8):
        shutil.move(folder / f"images/{k}.png", folder / f"more/{k - 4}.png")
    assert f"relative to {folder}\n" in suggested(folder, str(folder / "more"), "--count", "8")
    names = {f"{where}/{k}.png" for where in ("images", "more") for k in range(4)}
    assert names_in(folder) == names
    assert {image["file_name"] for image in json.loads((folder / "out/coco.json").read_text())["images"]} == names
    tasks = json.loads((folder / "out/label_studio.json").read_text())
    assert {task["data"]["image"] for task in tasks} == {f"/data/local-files/?d={name}" for name in names}


def from_label_studio(out: Path) -> Path:
    """The tasks as Label Studio exports them when the predictions were accepted; one was not labelled."""
    tasks = json.loads((out / "label_studio.json").read_text())
    for task in tasks:
        task["annotations"] = [{"result": task.pop("predictions")[0]["result"]}]
    tasks[-1]["annotations"] = []
    (out / "project-1.json").write_text(json.dumps(tasks))
    return out / "project-1.json"


def from_cvat(out: Path) -> Path:
    """The set as `CVAT for images 1.1` has it; one image was not labelled."""
    content, tree = json.loads((out / "coco.json").read_text()), ElementTree.Element("annotations")
    joints = content["categories"][0]["keypoints"]
    for image in content["images"]:
        entry = ElementTree.SubElement(tree, "image", name=image["file_name"], width=str(image["width"]), height=str(image["height"]))
        for one in content["annotations"]:
            if one["image_id"] == image["id"] != len(content["images"]):
                skeleton = ElementTree.SubElement(entry, "skeleton", label="person")
                for joint, (x, y, seen) in reversed(list(zip(joints, np.reshape(one["keypoints"], (-1, 3)).tolist(), strict=True))):
                    ElementTree.SubElement(
                        skeleton, "points", label=joint, points=f"{x},{y}", outside="0", occluded="1" if seen == 1 else "0"
                    )
    ElementTree.ElementTree(tree).write(out / "annotations.xml")
    return out / "annotations.xml"


@pytest.mark.parametrize("export", [from_label_studio, from_cvat, lambda out: out / "coco.json"], ids=["Label Studio", "CVAT", "COCO"])
def test_corrected_labels_join_the_set_that_they_were_suggested_for(folder: Path, export: Callable[[Path], Path]) -> None:
    """From suggest's own task files, in two folders of images, to a set that doctor passes."""
    old = folder / "set"
    (old / "images").mkdir(parents=True)
    (folder / "more").mkdir()
    content = json.loads((folder / "labelled.json").read_text())
    for name in ("0.png", "1.png", "2.png"):
        shutil.copyfile(folder / "images" / name, old / "images" / name)
    for part, kept in (("train", {0, 2}), ("val", {1})):
        some = {key: [one for one in content[key] if one.get("image_id", one["id"]) in kept] for key in ("images", "annotations")}
        (old / f"{part}.json").write_text(json.dumps(content | some))
    for k in (6, 7):
        shutil.move(folder / f"images/{k}.png", folder / f"more/{k}.png")
    sets = ["--labelled", str(old / "train.json"), "--labelled", str(old / "val.json")]
    suggested(folder, str(folder / "more"), *sets, "--count", "6")
    made = export(folder / "out")
    command = ["doctor", str(made), "--images", str(folder), "--convert", str(folder / "new"), "--join", str(old)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "no errors: training can read this set" in done.output
    found = examine(folder / "new", recognise(folder / "new"))
    labelled = 6 if made.name == "coco.json" else 5
    assert len(found.people["train"]) == 1 + labelled
    assert found.people["val"].images == ["images/1.png"]
    assert {"images/0.png"} < set(found.people["train"].images)
    tasks = json.loads((folder / "out/coco.json").read_text())
    first = next(row for row, image in enumerate(found.people["train"].images) if image.endswith(tasks["images"][0]["file_name"]))
    want = np.reshape(tasks["annotations"][0]["keypoints"], (-1, 3))[:, :2]
    np.testing.assert_allclose(found.people["train"].points[first], want, atol=1e-3)
