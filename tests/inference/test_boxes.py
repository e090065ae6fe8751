"""Whose image it is: ids of the set or of the boxes, never of the order; natural order; other folders and Windows' names."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from semipose.inference.boxes import of_images, of_set
from semipose.inference.finder import by_boxes
from semipose.inference.labelled import find_labelled
from semipose.inference.photos import find_photos
from semipose.utils.errors import InputError, InputWarning


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """img1.jpg to img12.jpg, and what macOS puts beside one."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(1, 13):
        Image.new("RGB", (100 + number, 80)).save(folder / f"img{number}.jpg")
    (folder / "._img3.jpg").write_bytes(b"\0\5\26\7 mac")
    return folder


def written(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def annotated(photos: Path, names: dict[int, str]) -> Path:
    """A set of two people in each image, one of them a crowd in image 5, nobody in image 7; its category is 4."""
    people = []
    for image_id in names:
        for side in range(2 if image_id != 7 else 0):
            number = len(people) + 1
            one = {"id": number, "image_id": image_id, "category_id": 4, "bbox": [10 + 40 * side, 5, 30, 40 + image_id], "area": 900}
            people.append(one | {"keypoints": [20 + 40 * side, 20, 2], "num_keypoints": 1, "iscrowd": int(image_id == 5 and side)})
    sizes = {image_id: Image.open(photos / Path(name.replace("\\", "/")).name).size for image_id, name in names.items()}
    images = [{"id": k, "file_name": name, "width": sizes[k][0], "height": sizes[k][1]} for k, name in names.items()]
    content = {"images": images, "annotations": people, "categories": [{"id": 4, "name": "bird", "keypoints": ["beak"]}]}
    return written(photos.parent / "set.json", content)


def test_photos_come_in_natural_order_without_companions(photos: Path) -> None:
    assert [path.name for path in find_photos([photos])] == [f"img{number}.jpg" for number in range(1, 13)]
    assert [photo.image_id for photo in of_images(find_photos([photos])).photos] == list(range(1, 13))
    assert [path.name for path in find_photos([photos / "img10.jpg", photos / "img2.jpg"])] == ["img10.jpg", "img2.jpg"], "as named"


def test_videos_and_folders_beside_images_are_named_with_what_to_do(photos: Path) -> None:
    for name in ("clip10.mov", "clip2.MP4", "._clip2.MP4"):
        (photos / name).write_bytes(b"a video")
    for name in ("more", "empty"):
        (photos / name).mkdir()
    Image.new("RGB", (50, 60)).save(photos / "more/IMG.JPG")
    clips = f"2 videos were left out: {photos}/clip2.MP4, {photos}/clip10.mov; give each to semipose predict by itself"
    folders = f"folders with images were left out: {photos}/more; to take their images, name them, too"
    with pytest.warns(InputWarning) as said:
        assert len(find_photos([photos])) == 12
    assert [str(one.message).split(", with")[0] for one in said] == [clips, folders]
    for path in photos.glob("*.jpg"):
        path.unlink()
    with pytest.raises(InputError) as refused:
        find_photos([photos])
    assert "photos: no image in this folder" in str(refused.value)
    assert clips in str(refused.value)
    with pytest.raises(InputError, match=r"clip2\.MP4: is a video, and images are needed; save some of its frames as images"):
        find_photos([photos / "clip2.MP4"])
    assert folders in str(refused.value)


def test_accents_are_the_same_however_they_are_written(photos: Path) -> None:
    """macOS writes é as e and an accent (NFD), annotation tools as one letter (NFC), or the other way round."""
    composed, apart = (unicodedata.normalize(form, "café 1.jpg") for form in ("NFC", "NFD"))
    for name, other in ((composed, apart), (apart, composed)):
        here = next(photos.glob("*1.jpg")).rename(photos / name)
        truth = annotated(photos, {3: name})
        truth.write_text(truth.read_text().replace(json.dumps(name), json.dumps(other)))
        assert [photo.image_id for photo in of_set([here], truth, clamped=False).photos] == [3]
        asked = of_images([here], written(photos.parent / "boxes.json", [{"file_name": other, "image_id": 7, "bbox": [1, 2, 30, 40]}]))
        assert asked.photos[0].image_id == 7
        assert asked.boxes is not None
        assert len(asked.boxes[here].xywh) == 1
        labelled = find_labelled(truth, [here], [], clamped=False)
        assert (labelled.given, labelled.missing) == ({here}, 0)
        finder = by_boxes(photos.parent / "boxes.json", photos, [here.name])
        assert len(finder.rows[here.name][0]) == 1


@pytest.mark.parametrize("folder", ["", "images/", "images\\", "C:\\birds\\"])
def test_a_set_gives_ids_order_people_and_category(photos: Path, folder: str) -> None:
    names = {30: f"{folder}img10.jpg", 5: f"{folder}img2.jpg", 7: f"{folder}img1.jpg"}
    asked = of_set(find_photos([photos]), annotated(photos, names), clamped=False)
    assert [(photo.path.name, photo.image_id) for photo in asked.photos] == [("img10.jpg", 30), ("img2.jpg", 5), ("img1.jpg", 7)]
    assert asked.photos[0].annotated == (110, 80)
    assert (asked.category, asked.left_out) == (4, 9)
    assert asked.boxes is not None
    assert [len(asked.boxes[photo.path].xywh) for photo in asked.photos] == [2, 1, 0], "no crowd, and nobody where nobody is"
    assert asked.boxes[photos / "img10.jpg"].xywh.tolist() == [[10, 5, 30, 70], [50, 5, 30, 70]]
    clamped = of_set(find_photos([photos]), annotated(photos, names), clamped=True).boxes
    assert clamped is not None
    assert clamped[photos / "img2.jpg"].xywh.tolist() == [[10, 5, 29, 44]]


def test_names_that_occur_twice_are_told_apart_by_their_folders(photos: Path) -> None:
    other = photos.parent / "more"
    other.mkdir()
    Image.new("RGB", (50, 60)).save(other / "img1.jpg")
    truth = annotated(photos, {1: "more/img1.jpg", 2: "photos/img1.jpg"})
    found = of_set([photos / "img1.jpg", other / "img1.jpg"], truth, False).photos
    assert [(photo.path.parent.name, photo.image_id) for photo in found] == [("more", 1), ("photos", 2)]


def test_a_set_of_other_images_is_refused(photos: Path) -> None:
    truth = annotated(photos, {1: "img1.jpg"})
    with pytest.raises(InputError, match=r"set\.json: none of the 1 given images is in this set, whose images are img1\.jpg"):
        of_set([photos / "img2.jpg"], truth, False)


def test_shares_and_corners_are_refused(photos: Path) -> None:
    """The photos have 100 x 80 px."""
    paths, names = find_photos([photos]), ["img1.jpg", "img2.jpg", "img10.jpg"]
    px = [[40, 20, 50, 50], [50, 30, 45, 45], [55, 5, 30, 70]]
    asked = of_images(paths, written(photos.parent / "px.json", [{"file_name": n, "bbox": box} for n, box in zip(names, px, strict=True)]))
    assert asked.boxes is not None
    forms = {
        "is within 0 to 1": [[x / 100, y / 80, w / 100, h / 80] for x, y, w, h in px],
        "look like x1, y1, x2, y2": [[x, y, x + w, y + h] for x, y, w, h in px],
    }
    for words, boxes in forms.items():
        entries = [{"file_name": name, "bbox": box} for name, box in zip(names, boxes, strict=True)]
        with pytest.raises(InputError, match=f"{words}.*; must be x, y, width, height in px"):
            of_images(paths, written(photos.parent / "other.json", entries))


def test_boxes_go_by_name_or_by_ids_that_say_something(photos: Path) -> None:
    paths, box = find_photos([photos]), {"bbox": [1, 2, 30, 40]}
    by_name = of_images(paths, written(photos.parent / "n.json", [box | {"file_name": "x\\img10.jpg", "score": 0.5}]))
    assert by_name.boxes is not None
    assert by_name.boxes[photos / "img10.jpg"].scores.tolist() == [0.5]
    assert sum(len(one.xywh) for one in by_name.boxes.values()) == 1
    by_id = written(photos.parent / "i.json", [box | {"image_id": 10}])
    with pytest.raises(InputError, match=r"\[0\]: image_id 10: these images are not named by numbers.* --annotations"):
        of_images(paths, by_id)
    truth = annotated(photos, {10: "img2.jpg", 3: "img10.jpg"})
    of_the_set = of_set(paths, truth, False, by_id)
    assert of_the_set.boxes is not None
    assert {path.name: len(one.xywh) for path, one in of_the_set.boxes.items()} == {"img2.jpg": 1, "img10.jpg": 0}
    both = [box | {"image_id": 77, "file_name": "img2.jpg"}, box | {"image_id": 77}]
    asked = of_images(paths, written(photos.parent / "b.json", both))
    assert asked.boxes is not None
    assert {photo.path.name: photo.image_id for photo in asked.photos}["img2.jpg"] == 77
    assert len(asked.boxes[photos / "img2.jpg"].xywh) == 2
    with pytest.raises(InputError, match=r"\[1\]: image_id 1 is none of the 12 given images"):
        of_images(paths, written(photos.parent / "d.json", [both[0], box | {"image_id": 1}]))
    with pytest.raises(InputError, match=r"\[1\]: image_id: 78, but img2\.jpg was 77 before"):
        of_images(paths, written(photos.parent / "c.json", [both[0], both[0] | {"image_id": 78}]))


def test_frames_of_several_clips_have_the_same_names(tmp_path: Path) -> None:
    for clip in ("clip1", "clip2"):
        (tmp_path / "frames" / clip).mkdir(parents=True)
        for name in ("f1.png", "f2.png"):
            Image.new("RGB", (60, 80)).save(tmp_path / "frames" / clip / name)
    paths, box = find_photos([tmp_path / "frames" / clip for clip in ("clip1", "clip2")]), {"bbox": [1, 2, 30, 40]}
    entries = [box | {"file_name": name} for name in ("clip1/f1.png", "frames\\clip2\\f2.png")]
    boxes = of_images(paths, written(tmp_path / "boxes.json", entries)).boxes
    assert boxes is not None
    counts = {path.relative_to(tmp_path).as_posix(): len(one.xywh) for path, one in boxes.items()}
    assert counts == {"frames/clip1/f1.png": 1, "frames/clip1/f2.png": 0, "frames/clip2/f1.png": 0, "frames/clip2/f2.png": 1}
    with pytest.raises(InputError, match=r"\[0\]: file_name 'f1.png': several images have this name; give it with the folders"):
        of_images(paths, written(tmp_path / "boxes.json", [box | {"file_name": "f1.png"}]))


def test_boxes_are_of_one_category_which_results_take_over(photos: Path) -> None:
    box = {"bbox": np.array([1, 2, 30, 40]).tolist(), "file_name": "img1.jpg"}
    paths = find_photos([photos])
    assert of_images(paths, written(photos.parent / "a.json", [box | {"category_id": 18}])).category == 18
    with pytest.raises(InputError, match="category_id: has 1, 18; keep the boxes of one category"):
        of_images(paths, written(photos.parent / "b.json", [box, box | {"category_id": 18}]))
