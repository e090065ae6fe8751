import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from pipeline import estimate, use
from semipose.cli.app import app
from semipose.config.load import load
from semipose.config.network import Model
from semipose.evaluation.metrics.average_precision import KEYS
from semipose.models.network import build
from semipose.models.weight_file import network_metadata, save_network
from semipose.pose.skeleton import COCO17, Skeleton

run = CliRunner().invoke


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small network with random weights."""
    model = Model(
        backbone="resnet18", options={}, pretrained=False, frozen=[], height=64, width=64, head_channels=[8, 8, 8], sigma=2.0,
        networks=["net"],
    )  # fmt: skip
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_network(build(model, 17, seed=0), path, network_metadata(model, COCO17, 1.25))
    return path


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name, size in {"a.jpg": (120, 90), "b.png": (60, 100)}.items():
        Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def truth(tmp_path):
    rng = np.random.default_rng(0)
    annotations = []
    for number in range(1, 9):
        points = np.concatenate([rng.uniform(0, 100, (17, 2)), np.full((17, 1), 2)], 1)
        if number == 8:
            points[5] = 0  # no left shoulder, no torso
        annotations.append(
            {
                "id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "area": 8000.0,
                "bbox": [0, 0, 100, 100], "num_keypoints": 17, "keypoints": points.ravel().tolist(),
            }
        )  # fmt: skip
    content = {
        "images": [{"id": number} for number in range(1, 9)],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
        "annotations": annotations,
    }
    (tmp_path / "GT.json").write_text(json.dumps(content))
    results = [{"image_id": a["image_id"], "category_id": 1, "keypoints": a["keypoints"], "score": 0.5} for a in annotations]
    (tmp_path / "DT.json").write_text(json.dumps(results))
    return tmp_path


def said(result):
    """Everything that a command said, in one line; it must not have been a traceback."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return " ".join((result.stdout + result.stderr).split())


def failed(result, *words):
    text = said(result)
    assert result.exit_code == 1
    assert "Traceback" not in text
    assert result.stderr.startswith("semipose: ")
    assert [word for word in words if word not in text] == [], text
    return True


# evaluate


def test_evaluate_writes_the_ten_keys(truth):
    out = truth / "new" / "out.json"
    result = run(app, ["evaluate", "--annotations", f"{truth}/GT.json", "--predictions", f"{truth}/DT.json", "--json", str(out)])
    assert result.exit_code == 0, said(result)
    values = json.loads(out.read_text())
    assert tuple(values) == KEYS
    assert values["AP"] == pytest.approx(1)
    assert values["AP_L"] == -1
    assert "AP50" in result.stdout
    assert "1.000" in result.stdout
    assert "undefined" in result.stdout


def test_evaluate_pck(truth):
    out = truth / "out.json"
    result = run(
        app,
        [
            "evaluate",
            "--annotations",
            f"{truth}/GT.json",
            "--predictions",
            f"{truth}/DT.json",
            "--metric",
            "pck",
            "--json",
            str(out),
        ],
    )
    assert result.exit_code == 0, said(result)
    pooled = ("PCK@0.05 torso", "PCK@0.1 torso", "PCK@0.2 torso", "PCK area torso")
    assert json.loads(out.read_text()) == dict.fromkeys(pooled, 1.0) | {f"joint/{name}": 1.0 for name in COCO17.joints}
    assert "of 8 people; 1 left out" in said(result)


def test_evaluate_takes_a_skeleton_from_weights_options_or_names(truth, tmp_path):
    """Two joints that COCO does not know, in an order that is not COCO's."""
    joints = ("wing_tip", "beak", "tail")
    content = json.loads((truth / "GT.json").read_text())
    content["categories"][0]["keypoints"] = list(joints)
    for one in content["annotations"]:
        one["keypoints"], one["num_keypoints"] = [10.0, 10.0, 2, 40.0, 20.0, 2, 30.0, 60.0, 2], 3
        one["area"] = 1000.0
    results = [
        {"image_id": a["image_id"], "category_id": 1, "keypoints": [13.0, 10.0, 1, 40.0, 23.0, 1, 30.0, 60.0, 1], "score": 0.5}
        for a in content["annotations"]
    ]
    (tmp_path / "GT.json").write_text(json.dumps(content))
    (tmp_path / "DT.json").write_text(json.dumps(results))
    skeleton = Skeleton("birds", joints, (), (0.05, 0.02, 0.1), ("beak", "tail"), ())
    options = {"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}
    model = load(Path(__file__).parent.parent.parent / "params.yaml").model.model_copy(
        update={"height": 32, "width": 32, "options": options, "head_channels": [8, 8, 8]}
    )
    save_network(build(model, 3, 0), tmp_path / "W", network_metadata(model, skeleton, 1.25))
    base = ["evaluate", "--annotations", f"{tmp_path}/GT.json", "--predictions", f"{tmp_path}/DT.json"]

    def measured(*more):
        result = run(app, [*base, *more, "--json", f"{tmp_path}/out.json"])
        assert result.exit_code == 0, said(result)
        return json.loads((tmp_path / "out.json").read_text())

    assert failed(run(app, base), "joint 'wing_tip' has no OKS sigma; give the sigmas (--sigmas")
    assert measured("--weights", f"{tmp_path}/W") == measured("--sigmas", "0.05,0.02,0.1")
    assert measured("--weights", f"{tmp_path}/W")["AP"] != measured("--sigmas", "0.05,0.2,0.1")["AP"]
    pck = measured("--metric", "pck", "--weights", f"{tmp_path}/W")
    assert pck == measured("--metric", "pck", "--torso", "beak,tail")
    torso = (10**2 + 40**2) ** 0.5
    assert pck["PCK@0.05 torso"] == pytest.approx(1 / 3)
    assert pck["PCK@0.1 torso"] == 1
    assert pck["PCK area torso"] == pytest.approx((1 + 2 * (1 - 3 / (0.2 * torso))) / 3)
    assert failed(
        run(app, [*base, "--metric", "pck"]),
        "the ends of the torso are not known among the joints wing_tip, beak, tail; give them with --torso",
    )
    content["categories"][0] |= {"sigmas": [0.05, 0.02, 0.1], "torso": ["beak", "tail"]}
    (tmp_path / "GT.json").write_text(json.dumps(content))
    assert measured() == measured("--sigmas", "0.05,0.02,0.1"), "the set itself says it"
    assert measured("--metric", "pck") == pck
    assert measured("--sigmas", "0.05,0.2,0.1") != measured(), "an option goes before it"
    assert failed(run(app, [*base, "--sigmas", "1,2"]), "3 joints, but 2 sigmas")
    assert failed(run(app, [*base, "--sigmas", "a"]), "--sigmas a: must be numbers")
    assert failed(run(app, [*base, "--metric", "pck", "--torso", "beak"]), "--torso beak: must be two joints")


def test_evaluate_holds_names_against_ids_and_counts_the_unpredicted(truth):
    content, results = (json.loads((truth / name).read_text()) for name in ("GT.json", "DT.json"))
    for image in content["images"]:
        image["file_name"] = f"val/img{image['id']}.jpg"
    (truth / "GT.json").write_text(json.dumps(content))
    arguments = ["evaluate", "--annotations", f"{truth}/GT.json", "--predictions", f"{truth}/DT.json", "--json", f"{truth}/out.json"]

    def evaluated(changed):
        (truth / "DT.json").write_text(json.dumps(changed))
        return run(app, arguments)

    named = [result | {"file_name": f"img{result['image_id']}.jpg"} for result in results]
    right = evaluated(named)
    assert (right.exit_code, right.stderr) == (0, "")
    assert json.loads((truth / "out.json").read_text())["AP"] == pytest.approx(1)
    swapped = evaluated([named[0] | {"file_name": "img2.jpg"}, *named[1:]])
    assert failed(swapped, "DT.json: [0]: image_id: 1 is img1.jpg in", "file_name is img2.jpg; predict again", "--annotations")
    few = evaluated(named[:3])
    assert few.exit_code == 0
    assert "warning: " in few.stderr
    assert "5 of 8 images with people have no prediction" in few.stderr
    assert "no prediction" not in evaluated(named[:4]).stderr


def test_evaluate_takes_categories_as_the_set_has_them(truth):
    content, results = (json.loads((truth / name).read_text()) for name in ("GT.json", "DT.json"))
    content["categories"][0]["id"] = 7
    content["annotations"] = [one | {"category_id": 7} for one in content["annotations"]]
    (truth / "GT.json").write_text(json.dumps(content))
    arguments = ["evaluate", "--annotations", f"{truth}/GT.json", "--predictions", f"{truth}/DT.json", "--json", f"{truth}/out.json"]

    def measured(category):
        (truth / "DT.json").write_text(json.dumps([result | {"category_id": category} for result in results]))
        result = run(app, arguments)
        return result if result.exit_code else (json.loads((truth / "out.json").read_text())["AP"], said(result))

    assert measured(7)[0] == pytest.approx(1)
    ap, words = measured(1)
    assert ap == pytest.approx(1)
    assert "category_id 1 is read as 7" in words
    assert failed(measured(3), "[0]: category_id: 3, must be 7 (person)")
    content["categories"].append({"id": 1, "name": "horse"})
    (truth / "GT.json").write_text(json.dumps(content))
    assert failed(measured(1), "[0]: category_id: 1, must be 7 (person)")
    content["categories"][1]["keypoints"] = ["hoof"]
    (truth / "GT.json").write_text(json.dumps(content))
    assert failed(measured(7), "2 categories with `keypoints`", "--category NAME")
    arguments += ["--category", "person"]
    assert measured(7)[0] == pytest.approx(1)


def test_evaluate_takes_a_skeleton_from_params(truth, tmp_path):
    """data.custom of a params.yaml: 0.067 for each joint where it says nothing else, as in the pipeline."""
    content = json.loads((truth / "GT.json").read_text())
    content["categories"][0]["keypoints"] = [f"animal_{k}" for k in range(17)]
    (truth / "GT.json").write_text(json.dumps(content))
    results = json.loads((truth / "DT.json").read_text())
    noise = np.random.default_rng(0).normal(0, 4, (len(results), 17, 2))
    for result, shift in zip(results, noise, strict=True):
        points = np.array(result["keypoints"]).reshape(17, 3)
        points[:, :2] += shift
        result["keypoints"] = points.ravel().tolist()
    (truth / "DT.json").write_text(json.dumps(results))
    part = {"annotations": "a.json", "images": "a"}
    custom = {"train": part, "val": part, "category": None, "pairs": None, "sigmas": None, "torso": ["animal_0", "animal_3"]}
    text = (Path(__file__).parent.parent.parent / "params.yaml").read_text()
    text = text.replace("  source: demo", "  source: custom", 1).replace("  root: null", "  root: /birds", 1)
    text = text.replace("  custom: null", f"  custom: {json.dumps(custom)}", 1)
    (tmp_path / "params.yaml").write_text(text)
    base = ["evaluate", "--annotations", f"{truth}/GT.json", "--predictions", f"{truth}/DT.json", "--json", f"{tmp_path}/out.json"]

    def measured(*more):
        result = run(app, [*base, *more])
        assert result.exit_code == 0, said(result)
        return json.loads((tmp_path / "out.json").read_text())

    assert failed(run(app, base), "joint 'animal_0' has no OKS sigma", "--params")
    by_params = measured("--params", f"{tmp_path}/params.yaml")
    assert by_params == measured("--sigmas", ",".join(["0.067"] * 17))
    assert 0 < by_params["AP"] < 1
    assert measured("--params", f"{tmp_path}/params.yaml", "--metric", "pck") == measured("--torso", "animal_0,animal_3", "--metric", "pck")
    assert set(measured("--metric", "pck", "--pck-reference", "box")) > {"PCK@0.2 box", "PCK area box"}
    save_network(*_network_of(COCO17, tmp_path / "W"))
    assert failed(run(app, [*base, "--weights", f"{tmp_path}/W"]), "its joints are not those of the skeleton coco17", "'animal_0'")


def _network_of(skeleton, path):
    model = Model(
        backbone="resnet18", options={"layers": [1, 1, 1, 1], "channels": [8, 8, 8, 8]}, pretrained=False, frozen=[], height=32, width=32,
        head_channels=[8, 8, 8], sigma=2.0, networks=["net"],
    )  # fmt: skip
    return build(model, len(skeleton.joints), 0), path, network_metadata(model, skeleton, 1.25)


def test_evaluate_says_what_is_wrong(truth):
    truth.joinpath("bad.json").write_text('[{"image_id": 1, "category_id": 1, "keypoints": [1], "score": 1}]')
    arguments = ["evaluate", "--annotations", f"{truth}/GT.json", "--predictions"]
    assert failed(run(app, [*arguments, f"{truth}/bad.json"]), "bad.json: [0]: keypoints: has 1 numbers")
    assert failed(run(app, [*arguments, f"{truth}/none.json"]), "none.json: no such file")
    assert failed(run(app, [*arguments, f"{truth}/DT.json", "--json", str(truth)]), "cannot be read or written: Is a directory")
    assert failed(
        run(app, [*arguments, f"{truth}/DT.json", "--json", f"{truth}/DT.json/out.json"]), "cannot be read or written: File exists"
    )
    assert run(app, [*arguments, f"{truth}/DT.json", "--metric", "mae"]).exit_code == 2
    shares = json.loads((truth / "DT.json").read_text())
    for result in shares:
        result["keypoints"] = [value / 1000 if k % 3 < 2 else value for k, value in enumerate(result["keypoints"])]
    (truth / "shares.json").write_text(json.dumps(shares))
    assert failed(run(app, [*arguments, f"{truth}/shares.json"]), "x and y of all results are within 0 to 1", "give px")


# predict


def test_predict_writes_overlays_and_results(photos, weights, tmp_path):
    out = tmp_path / "made" / "out"
    result = run(app, ["predict", str(photos), "--weights", str(weights), "--out", str(out)])
    assert result.exit_code == 0, said(result)
    assert sorted(p.name for p in out.iterdir()) == ["a.jpg", "b.png", "predictions.json"]
    for name, kind in (("a.jpg", "JPEG"), ("b.png", "PNG")):
        with Image.open(out / name) as overlay, Image.open(photos / name) as photo:
            assert overlay.size == photo.size
            assert overlay.format == kind
    results = json.loads((out / "predictions.json").read_text())
    assert [(r["file_name"], r["image_id"], r["category_id"]) for r in results] == [("a.jpg", 1, 1), ("b.png", 2, 1)]
    assert all(len(r["keypoints"]) == 51 and np.isfinite(r["keypoints"]).all() for r in results)


def test_predict_in_boxes_by_name_and_by_number(photos, weights, tmp_path, monkeypatch):
    monkeypatch.setattr("semipose.inference.predict.SURE", -np.inf)  # random weights are not sure of anything
    (photos / "a.jpg").rename(photos / "000000000139.jpg")
    (photos / "b.png").rename(photos / "7.png")
    boxes = tmp_path / "boxes.json"
    content = [
        {"image_id": 139, "category_id": 1, "bbox": [10, 10, 40, 60], "score": 0.5},
        {"file_name": "val2017/000000000139.jpg", "bbox": [50, 20, 40, 60]},
    ]
    boxes.write_text(json.dumps(content))
    out = tmp_path / "out"
    arguments = ["predict", *map(str, sorted(photos.iterdir())), "--weights", str(weights), "--out", str(out)]
    result = run(app, [*arguments, "--boxes", str(boxes)])
    assert result.exit_code == 0, said(result)
    results = json.loads((out / "predictions.json").read_text())
    assert [r["image_id"] for r in results] == [139, 139]
    assert [r["score"] / np.mean(r["keypoints"][2::3]) for r in results] == pytest.approx([0.5, 1]), "of the pose times of its box"
    assert (out / "7.png").exists()
    assert "2 poses in 2 images" in said(result)


def test_images_of_other_kinds_are_counted(photos, weights, tmp_path):
    for name in ("c.GIF", "d.gif", "e.heic", "notes.txt", "._f.gif"):
        (photos / name).write_bytes(b"something")
    (photos / "folder.gif").mkdir()
    result = run(app, ["predict", str(photos), "--weights", str(weights), "--out", f"{tmp_path}/out"])
    assert result.exit_code == 0
    assert "3 images of kinds that are not read were passed over: 2 .gif, 1 .heic; convert them to JPEG or PNG" in said(result)
    assert "2 poses in 2 images" in said(result)
    for name in ("a.jpg", "b.png"):
        (photos / name).unlink()
    result = run(app, ["predict", str(photos), "--weights", str(weights), "--out", f"{tmp_path}/out"])
    assert failed(result, "no image in this folder (looked for .jpg", "; 3 images of kinds that are not read were passed over: 2 .gif")


NOT_UTF8 = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize("command", ["predict", "suggest", "doctor", "export", "suggest in the folder", "predict to", "doctor of"])
def test_a_name_that_is_not_utf8_is_named(photos, weights, tmp_path, command):
    """As an old archive leaves it; in the set of the doctor it is one of the images."""
    made = ["--weights", str(weights), "--out", str(tmp_path / "out")]
    if command == "export":
        arguments = ["export", "--weights", str(weights), "--out", str(tmp_path / NOT_UTF8)]
    elif command == "doctor":
        (tmp_path / "set/images/train").mkdir(parents=True)
        (tmp_path / "set/data.yaml").write_text("train: images/train\nkpt_shape: [17, 3]\n")
        for k, name in enumerate(("a.jpg", "a.jpg")):
            (tmp_path / f"set/images/train/{NOT_UTF8}{k}.jpg").write_bytes((photos / name).read_bytes())
        arguments = ["doctor", str(tmp_path / "set"), "--convert", str(tmp_path / "made")]
    elif command == "predict to":
        arguments = ["predict", str(photos), "--weights", str(weights), "--out", str(tmp_path / NOT_UTF8)]
    elif command == "doctor of":
        arguments = ["doctor", str(tmp_path / NOT_UTF8)]
    elif command == "suggest in the folder":
        photos = photos.rename(tmp_path / NOT_UTF8)
        arguments = ["suggest", str(photos), *made, "--count", "1"]
    else:
        (photos / "a.jpg").rename(photos / f"{NOT_UTF8}.jpg")
        arguments = [command, str(photos), *made]
    assert failed(run(app, arguments), "caf\\xe9", "not UTF-8, as results and sets are; rename it")
    assert not (tmp_path / "out/predictions.json").exists()


@pytest.mark.parametrize(
    ("command", "name", "words"),
    [
        ("predict", "predictions.json", "predictions.json was not written by semipose predict, and would be replaced; name another"),
        ("suggest", "coco.json", "has coco.json, not written by semipose suggest, which would be replaced; name another"),
        ("suggest", "suggestions.csv", "has suggestions.csv, not written by semipose suggest"),
    ],
)
def test_files_of_others_are_not_replaced_and_its_own_are(photos, weights, tmp_path, command, name, words):
    (tmp_path / "out").mkdir()
    theirs = '[{"image_id": 1, "category_id": 1, "keypoints": [1, 2, 3], "score": 1}]'
    (tmp_path / "out" / name).write_text(theirs)
    arguments = [command, str(photos), "--weights", str(weights), "--out", str(tmp_path / "out")]
    arguments += ["--count", "1"] if command == "suggest" else []
    assert failed(run(app, arguments), words)
    assert (tmp_path / "out" / name).read_text() == theirs
    (tmp_path / "out" / name).unlink()
    for _ in range(2):
        assert run(app, arguments).exit_code == 0
    assert (tmp_path / "out" / name).exists()


def test_the_summary_says_whether_the_poses_are_rubbish(photos, weights, tmp_path, monkeypatch):
    arguments = ["predict", str(photos), "--weights", str(weights), "--out", str(tmp_path / "out")]
    summary = run(app, arguments).stdout.splitlines()[-1]
    found = json.loads((tmp_path / "out/predictions.json").read_text())
    low, high = sorted(np.mean(np.reshape(one["keypoints"], (-1, 3))[:, 2]) for one in found)
    assert summary.startswith(f"confidence (mean of a pose's joints): median {(low + high) / 2:.2f}; ")
    monkeypatch.setattr(sys.modules["semipose.cli.predict"], "LOW", (low + high) / 2)
    assert "; 1 of 2 poses below" in run(app, arguments).stdout


def test_one_bad_file_is_left_out_and_named(photos, weights, tmp_path):
    """Cut off, no image at all, all white: the others have their poses, and the exit code is one of its own."""
    cut = photos / "cut.jpg"
    cut.write_bytes((photos / "a.jpg").read_bytes()[:2000])
    (photos / "no.png").write_text("no image")
    (photos / "._a.jpg").write_bytes(b"\0\5\26\7 mac")
    (photos / "gone.jpg").symlink_to(photos / "elsewhere.jpg")
    (photos / "folder.jpg").mkdir()
    result = run(app, ["predict", str(photos), "--weights", str(weights), "--out", f"{tmp_path}/out"])
    assert result.exit_code == 3, said(result)
    assert [one["file_name"] for one in json.loads((tmp_path / "out/predictions.json").read_text())] == ["a.jpg", "b.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jpg", "b.png", "predictions.json"]
    assert "2 poses in 2 images" in result.stdout
    assert "3 of 5 images could not be read" in result.stdout
    for name in ("cut.jpg", "no.png", "gone.jpg"):
        assert f"{photos / name} cannot be read as an image and was left out: " in result.stderr
    assert "._a.jpg" not in result.stderr
    strict = run(app, ["predict", str(photos), "--weights", str(weights), "--out", f"{tmp_path}/strict", "--strict"])
    assert failed(strict, "cut.jpg cannot be read as an image")


@pytest.mark.parametrize("orientation", [2, 3, 6, 8])
def test_a_set_annotated_in_stored_pixels_is_predicted_in_them(photos, weights, tmp_path, orientation):
    """Sizes decide about a quarter turn; about mirrored and half-turned images the user must. The poses are those of the untagged image."""
    plain = Image.open(photos / "a.jpg")
    exif = Image.Exif()
    exif[0x0112] = orientation
    folder = tmp_path / "tagged"
    folder.mkdir()
    plain.save(tmp_path / "a.png")
    plain.save(folder / "a.png", exif=exif)
    one = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [20, 10, 60, 70], "area": 4000, "iscrowd": 0, "num_keypoints": 1}
    content = {
        "images": [{"id": 1, "file_name": "a.png", "width": 120, "height": 90}],
        "annotations": [one | {"keypoints": [30, 30, 2] + [0] * 48}],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO17.joints)}],
    }
    (tmp_path / "set.json").write_text(json.dumps(content))

    def predict(image, out, *more):
        arguments = ["--annotations", f"{tmp_path}/set.json", "--weights", str(weights), "--out", f"{tmp_path}/{out}"]
        result = run(app, ["predict", str(image), *arguments, *more])
        return result if result.exit_code else json.loads((tmp_path / out / "predictions.json").read_text())

    expected = predict(tmp_path / "a.png", "plain")
    assert len(expected) == 1
    (tmp_path / "boxes.json").write_text(json.dumps([{"file_name": "a.png", "bbox": [20, 10, 60, 70]}]))
    boxes = ["--boxes", f"{tmp_path}/boxes.json", "--weights", str(weights), "--out", f"{tmp_path}/boxes"]
    assert failed(run(app, ["predict", str(folder), *boxes]), "it is not known whether boxes and annotations", "--exif apply")
    if orientation in (2, 3):
        assert failed(predict(folder, "x"), "its EXIF orientation turns or mirrors it", "--exif apply")
        assert predict(folder, "ignored", "--exif", "ignore") == expected
        assert predict(folder, "applied", "--exif", "apply")[0]["keypoints"] != expected[0]["keypoints"]
    else:
        assert predict(folder, "decided") == expected
        assert failed(predict(folder, "x", "--exif", "apply"), "the image is 90 x 120 px, but was annotated as 120 x 90")


def test_a_photo_is_turned_upright(weights, tmp_path):
    photo = Image.new("RGB", (80, 40), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by a quarter
    photo.save(tmp_path / "phone.jpg", exif=exif)
    result = run(app, ["predict", f"{tmp_path}/phone.jpg", "--weights", str(weights), "--out", f"{tmp_path}/out"])
    assert result.exit_code == 0, said(result)
    with Image.open(tmp_path / "out" / "phone.jpg") as overlay:
        assert overlay.size == (40, 80)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"image_id": 1, "bbox": [1, 1, 9, 9]}, ["[0]: image_id 1: these images are not named by numbers", "--annotations"]),
        ({"file_name": "c.jpg", "bbox": [1, 1, 9, 9]}, ["[0]: file_name 'c.jpg' is none of the 2 given images"]),
        ({"bbox": [1, 1, 9, 9]}, ["[0]: has neither file_name nor image_id"]),
        ({"file_name": "a.jpg"}, ["[0]: bbox: is missing"]),
        ({"file_name": "a.jpg", "bbox": [1, 1, 0, 9]}, ["[0]: bbox", "width and height above 0"]),
        ({"file_name": "a.jpg", "bbox": [500, 1, 9, 9]}, ["a.jpg", "outside the image of 120 x 90"]),
        ({"file_name": "a.jpg", "bbox": [1, 1, 9, 9], "score": "high"}, ["[0]: score: should be a valid number"]),
        (3, ["[0]: should be an object, not 3"]),
    ],
)  # fmt: skip
def test_bad_boxes_are_named(photos, weights, tmp_path, entry, words):
    boxes = tmp_path / "boxes.json"
    boxes.write_text(json.dumps([entry]))
    arguments = ["predict", str(photos), "--weights", str(weights), "--out", f"{tmp_path}/out", "--boxes", str(boxes)]
    assert failed(run(app, arguments), *words)


def test_predict_says_what_is_wrong(photos, weights, tmp_path):
    def predict(*images, weights=weights, out=tmp_path / "out", more=()):
        return run(app, ["predict", *map(str, images), "--weights", str(weights), "--out", str(out), *more])

    empty = tmp_path / "empty"
    empty.mkdir()
    text = tmp_path / "text.jpg"
    text.write_text("no image")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes((photos / "a.jpg").read_bytes()[:2000])
    (tmp_path / "b").mkdir()
    Image.open(photos / "a.jpg").save(tmp_path / "b" / "a.jpg")
    (tmp_path / "dict.json").write_text("{}")
    assert failed(predict(empty), "empty: no image in this folder")
    assert failed(predict(tmp_path / "gone.jpg"), "gone.jpg: no such file")
    assert failed(predict(photos, text, more=["--strict"]), "text.jpg cannot be read as an image: not an image file")
    assert failed(predict(cut, text), "none of the 2 images can be read")
    assert failed(predict(photos, out=photos), "contains a.jpg", "name another folder")
    assert failed(predict(photos, out=text), "text.jpg: this folder cannot be made")
    assert failed(predict(tmp_path / "gone.mp4", more=["--annotations", "set.json"]), "--annotations works only with images")
    assert failed(predict(photos, out="/proc/poses"), "--out /proc/poses: this folder cannot be made")
    assert failed(predict(photos, tmp_path / "b"), "would both get the overlay a.jpg")
    assert failed(predict(photos, weights=tmp_path / "w.safetensors"), "w.safetensors", "no such")
    assert failed(predict(photos, weights=text), "text.jpg", "not a semipose weight file")
    assert failed(predict(photos, more=["--boxes", str(tmp_path / "dict.json")]), "dict.json", "should be a valid array")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_named(photos, weights, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    result = run(app, ["predict", str(photos), "--weights", str(weights), "--out", str(tmp_path / "locked")])
    assert failed(result, "locked", "this folder cannot be written")


# all


def test_help_comes_without_the_heavy_libraries():
    code = "import sys, semipose.cli; print(sorted({'torch', 'numpy', 'pycocotools', 'PIL'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", [command.callback.__name__.replace("_", "-") for command in app.registered_commands])
def test_help_of_every_command_has_an_example(name):
    result = run(app, [name, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.stdout
    assert f"semipose {name}" in result.stdout.split("Example")[1]


@pytest.mark.parametrize("module", [use, estimate])
def test_help_of_the_pipelines_commands_has_an_example(module):
    made = typer.Typer()
    made.command()(getattr(module, module.__name__.rpartition(".")[2]))
    result = run(made, ["--help"])
    assert result.exit_code == 0
    assert f"Example: python -m {module.__name__}" in result.stdout
    assert run(made, ["cocoa"]).exit_code == 1
    assert run(made, ["--nothing"]).exit_code == 2


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.00075, "under 1 s"), (33, "33 s"), (89, "89 s"), (90, "2 min"), (1500, "25 min"), (9000, "2.5 h"), (4e6, "1,111 h")],
)
def test_an_estimate_has_readable_units(seconds, said):
    assert estimate.duration(seconds / 3600) == said


@pytest.mark.slow
def test_hours_follow_from_a_measurement(tmp_path, demo):
    """An entry that was not measured is as fast, in operations, as its base."""
    made, file = typer.Typer(), tmp_path / "bench.json"
    made.command()(estimate.estimate)
    known = {"backbone": demo.model.backbone, "input": f"{demo.model.height}x{demo.model.width}"}
    known |= {"precision": demo.train.precision, "batch_size": demo.train.batch_size}
    methods = {"supervised": {"gflop": 10.0, "end_to_end": 50.0}, "akm": {"gflop": 40.0, "end_to_end": 5.0}}  # 0.5 and 0.2 TFLOP/s
    file.write_text(json.dumps(known | {"methods": methods}))
    seconds = {cost: cost.pflop * 1000 / (0.5 if cost.method == "supervised" else 0.2) for cost in estimate.costs_of(demo)}
    assert {cost.method for cost in seconds} > {"supervised", "akm"}, "variants, too"
    told = run(made, ["demo", "--bench", str(file)])
    assert told.exit_code == 0, told.output
    times = [line.split("|")[5].strip() for line in told.output.splitlines()[2:] if "|" in line]
    assert times == [estimate.duration(one / 3600) for one in (*seconds.values(), sum(seconds.values()))]
    assert f"at the speeds in {file}" in told.output.replace("\n", "")
    for found, words in (
        (known | {"methods": {"supervised": methods["supervised"]}}, "akm, "),
        (known | {"methods": methods, "batch_size": 4}, "4 people at once, but these parameters train"),
        ([], "not a file that `semipose bench --json` wrote"),
    ):
        file.write_text(json.dumps(found))
        told = run(made, ["demo", "--bench", str(file)])
        assert (told.exit_code, words in told.output) == (1, True), told.output
    assert "no such file" in run(made, ["demo", "--bench", str(tmp_path / "none.json")]).output


def test_exit_codes(photos, weights, tmp_path, monkeypatch):
    def interrupted(paths):
        raise KeyboardInterrupt

    arguments = ["predict", str(photos), "--weights", str(weights), "--out", str(tmp_path / "out")]
    assert run(app, ["predict", str(photos)]).exit_code == 2
    assert run(app, ["predict", "none.jpg", *arguments[2:]]).exit_code == 1
    assert run(app, []).exit_code == 2, "the commands are listed, nothing is done"
    monkeypatch.setattr("semipose.inference.photos.find_photos", interrupted)
    assert run(app, arguments).exit_code == 130


def test_the_shell_completes_commands_and_options():
    def completed(line):
        words = {"_SEMIPOSE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split()) - 1)}
        return run(app, [], prog_name="semipose", env=words).stdout.split()

    assert completed("semipose pre") == ["predict"]
    assert completed("semipose predict --detector") == ["--detector-weights", "--detector-score"]
    shown = run(app, ["--show-completion", "bash"], prog_name="semipose")
    if shown.exit_code:  # it looks which shell began it; a job of none, or of sh, has no completion
        assert "not supported" in shown.output
    else:
        assert "complete -o default -F _semipose_completion semipose" in shown.stdout
