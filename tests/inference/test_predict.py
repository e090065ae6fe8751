import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from semipose.data.loading.matrices import base_matrix
from semipose.data.loading.normalise import MEAN, STD
from semipose.data.loading.pack import CropPack, Crops
from semipose.data.packing.writing import Recipe, write_pack
from semipose.data.people import People
from semipose.inference.poser import Poser
from semipose.inference.predict import pose_scores, predict_crops, predict_pack, to_results
from semipose.models.network import evaluating
from semipose.pose.geometry import transform
from semipose.pose.heatmap import encode
from semipose.pose.skeleton import COCO17
from semipose.utils.errors import InputError

SIZE = (128, 96)  # of the network's input, px
SIGMA = 2.0  # cells
STRIDE = 4
CARD = {
    "skeleton": {"name": "coco17", "joints": COCO17.joints, "limbs": COCO17.limbs, "sigmas": COCO17.sigmas},
    "model": {"height": SIZE[0], "width": SIZE[1], "sigma": SIGMA},
    "padding": 1.25, "decode": "dark",
}  # fmt: skip


def predict_image(net, metadata, image, boxes=None, flip=False, batch_size=32):
    return Poser(net, metadata, flip, batch_size).predict(image, boxes)


def ruler(width=128, height=128):
    """An image whose colour says where a pixel is: red is 2 x, green is 2 y, and blue is 255, as nothing outside it is.

    Half a level is a quarter of a pixel, so the tests keep to scales at which the roundings of many pixels cancel.
    """
    y, x = np.mgrid[:height, :width]
    return np.stack([2 * x, 2 * y, np.full_like(x, 255)], 2).astype(np.uint8)


class Reader(nn.Module):
    """A network that reads the ruler: it returns the encoded heatmaps of known points [K, 2] of the image (px),
    wherever a view shows them. It sees from the slope of red whether the view is mirrored, and then takes left for
    right, as people would."""

    def __init__(self, points):
        super().__init__()
        self.points = np.asarray(points)

    def forward(self, views):
        colours = ((views * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)) * 255).numpy()
        return torch.cat([self.heatmaps(*view) for view in colours])

    def heatmaps(self, red, green, blue):
        v, u = np.nonzero(blue > 254)
        across, left = np.polyfit(u, red[v, u] / 2, 1)  # image px per px of the view, image px at its left edge
        down, top = np.polyfit(v, green[v, u] / 2, 1)
        points = (self.points[COCO17.flip] if across < 0 else self.points) - [left, top]
        seen = torch.tensor(points / [across, down], dtype=torch.float32)[None]
        size = red.shape[0] // STRIDE, red.shape[1] // STRIDE
        return encode(seen, torch.ones(1, 17), size, STRIDE, SIGMA)[0]


def points_in(box, rng, margin=0.1):
    x, y, w, h = box
    return rng.uniform([x + margin * w, y + margin * h], [x + (1 - margin) * w, y + (1 - margin) * h], (17, 2))


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(
    "box",
    [(30, 20, 45, 75), (5, 50, 100, 30), (1, 10, 35, 50), (50.3, 30.7, 40.2, 70.9), (1, 2, 123, 125)],
    ids=["tall", "wide", "at the edge", "fractions", "nearly whole"],
)
def test_points_come_back_from_a_box_of_an_image(box, flip):
    points = points_in(box, np.random.default_rng(0))
    found = predict_image(Reader(points), CARD, ruler(), np.array([box]), flip)
    assert found.points.shape == (1, 17, 2)
    assert found.points.dtype == np.float32
    assert np.abs(found.points[0] - points).max() < 0.1
    assert found.confidence.min() > 0.85


def test_without_boxes_the_image_is_one_person():
    points = points_in((0, 0, 100, 120), np.random.default_rng(1))
    image = ruler(100, 120)
    found = predict_image(Reader(points), CARD, image)
    assert np.abs(found.points[0] - points).max() < 0.1
    again = predict_image(Reader(points), CARD, image, np.array([[0, 0, 100, 120]]))
    assert np.array_equal(found.points, again.points)


def test_an_image_much_larger_than_the_input_is_averaged_not_skipped():
    """Stripes of one pixel, which bilinear sampling alone would turn into moire, are grey to the network."""
    stripes = np.zeros((1000, 750, 3), np.uint8)
    stripes[:, ::2] = 255
    seen = []
    net = nn.Identity()
    net.register_forward_hook(lambda module, args, output: (seen.append(output), torch.zeros(1, 17, 32, 24))[1])
    predict_image(net, CARD, stripes, np.array([[100, 100, 450, 600]]))
    grey = (seen[0] * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1)) * 255
    assert (grey[..., 20:-20, 20:-20] - 127.5).abs().max() < 20


def test_several_boxes_in_batches():
    points = points_in((45, 45, 30, 30), np.random.default_rng(2))
    boxes = np.array([[30, 20, 65, 75], [35, 30, 50, 65], [40, 40, 45, 45]], np.float32)
    found = predict_image(Reader(points), CARD, ruler(), boxes, batch_size=2)
    assert found.points.shape == (3, 17, 2)
    assert np.abs(found.points - points).max() < 0.1
    assert len(predict_image(Reader(points), CARD, ruler(), boxes[:0])) == 0


def people_of(boxes, points):
    n = len(boxes)
    return People(
        COCO17, ids=np.arange(n) + 7, image_ids=np.full(n, 3), images=["ruler.png"] * n, sizes=np.full((n, 2), 128),
        boxes=np.array(boxes, np.float32), areas=np.full(n, 900.0), points=points, visibility=np.full((n, 17), 2),
    )  # fmt: skip


@pytest.mark.parametrize("flip", [False, True])
def test_points_come_back_from_a_pack(tmp_path, flip):
    """Crops of a pack are rounded to 8 bits and sampled again, which costs a little of the tenth of a pixel."""
    boxes = [(30, 20, 45, 75), (50, 45, 30, 30), (40, 35, 41, 51), (25, 30, 75, 60)]
    points = points_in((52, 47, 20, 20), np.random.default_rng(3))
    Image.fromarray(ruler()).save(tmp_path / "ruler.png")
    people = people_of(boxes, np.repeat(points[None], 4, axis=0))
    write_pack(people, tmp_path, tmp_path / "pack", Recipe(160, 1.25, 1.2, SIZE[1] / SIZE[0]), 0, 1)
    pack = CropPack.open(tmp_path / "pack")
    chosen = np.array([3, 0, 2])
    found = predict_pack(Reader(points), pack, chosen, SIZE, flip, "dark", 2, "cpu", SIGMA)
    assert found.points.shape == (3, 17, 2)
    assert np.abs(found.points - points).max() < 0.1
    alone = predict_image(Reader(points), CARD, ruler(), np.array(boxes)[chosen], flip)
    assert np.abs(found.points - alone.points).max() < 0.15
    assert predict_pack(Reader(points), pack, [], SIZE, flip, "dark", 2, "cpu").points.shape == (0, 17, 2)


@pytest.mark.parametrize(("decode", "within"), [("dark", 0.05), ("quarter", 1.5)])
def test_points_of_crops_are_in_crop_px(decode, within):
    points = points_in((30, 20, 60, 70), np.random.default_rng(4), 0.2)
    crop = torch.from_numpy(ruler()[10:106, 12:108].copy()).permute(2, 0, 1)[None]  # 96 px, shifted by (12, 10)
    found, confidence = predict_crops(Reader(points), Crops(crop, base_matrix(96, 1.0, SIZE)), SIZE, None, decode)
    assert np.abs(found[0].numpy() + np.array([12, 10]) - points).max() < within
    assert confidence.shape == (1, 17)
    assert not confidence.requires_grad


def test_the_flip_test_is_the_mean_of_both_heatmaps():
    """Of a network that errs to the right, whatever it sees, the flip test makes one that does not err."""

    class Erring(Reader):
        def forward(self, views):
            return super().forward(views).roll(1, dims=-1)

    points = points_in((30, 20, 45, 75), np.random.default_rng(5), 0.25)
    box = np.array([[30, 20, 45, 75]])
    pixel = 1.25 * 75 / SIZE[0]  # image px per px of the view
    plain = predict_image(Erring(points), CARD, ruler(), box).points[0] - points
    flipped = predict_image(Erring(points), CARD, ruler(), box, True).points[0] - points
    assert plain[:, 0] == pytest.approx(STRIDE * pixel, abs=0.1)
    assert np.abs(flipped).max() < 0.1


def test_the_mode_of_every_module_is_brought_back():
    net = nn.Sequential(nn.BatchNorm2d(3), nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3)))
    net[0].eval()
    before = [module.training for module in net.modules()]
    with evaluating(net):
        assert not any(module.training for module in net.modules())
    assert [module.training for module in net.modules()] == before == [True, False, True, True, True]


def test_a_network_in_training_predicts_in_eval_mode_and_is_not_changed():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(3, 17, 4, stride=4), nn.BatchNorm2d(17), nn.Dropout(0.5))

        def forward(self, views):
            return self.layers(views)

    net = Net().train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    image = np.random.default_rng(0).integers(0, 256, (100, 80, 3), np.uint8)
    first, second = (predict_image(net, CARD, image) for _ in range(2))
    assert np.array_equal(first.confidence, second.confidence)
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_scores_are_the_mean_of_the_sure_joints_times_the_box():
    confidence = np.array([[0.9, 0.5, 0.2, 0.1], [0.1, 0.2, 0.0, -1.0], [0.3, 0.3, 0.3, 0.3]], np.float32)
    assert pose_scores(confidence) == pytest.approx([0.7, 0.0, 0.3])
    assert pose_scores(confidence, [0.5, 1.0, 0.1]) == pytest.approx([0.35, 0.0, 0.03])


def test_results_are_coco_results():
    rng = np.random.default_rng(0)
    points = points_in((45, 45, 30, 30), rng)
    found = predict_image(Reader(points), CARD, ruler(), np.array([[30, 20, 65, 75], [35, 30, 50, 65]]))
    results = json.loads(json.dumps(to_results(found, np.array([5, 9]), [1.0, 0.5])))
    assert [sorted(r) for r in results] == [["category_id", "image_id", "keypoints", "score"]] * 2
    assert [r["image_id"] for r in results] == [5, 9]
    keypoints = np.array(results[1]["keypoints"]).reshape(17, 3)
    assert np.array_equal(keypoints[:, :2].astype(np.float32), found.points[1])
    assert results[1]["score"] == pytest.approx(0.5 * keypoints[:, 2].mean())
    with pytest.raises(ValueError, match="longer"):
        to_results(found, [5])


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ([300, 10, 20, 20], "outside the image of 128 x 128"),
        ([-30, 10, 30, 20], "outside"),
        ([10, 10, 0, 20], "width and height above 0"),
        ([10, math.nan, 5, 20], "finite"),
        ([10, 10, 5000, 20], "ten times"),
    ],
)
def test_boxes_that_hold_nobody_are_refused(box, words):
    with pytest.raises(InputError, match=rf"box \[1\].*{words}"):
        predict_image(Reader(np.zeros((17, 2))), CARD, ruler(), np.array([[5, 5, 50, 50], box]))


def test_images_of_another_kind_and_poor_cards_are_refused():
    net = Reader(np.zeros((17, 2)))
    for image in (ruler()[..., :1], ruler().astype(np.float32), ruler()[:0]):
        with pytest.raises(InputError, match=r"must be \(height, width, 3\) of uint8"):
            predict_image(net, CARD, image)
    with pytest.raises(InputError, match="'padding'"):
        predict_image(net, {key: value for key, value in CARD.items() if key != "padding"}, ruler())


@pytest.mark.parametrize("size", [160, 90])
def test_a_pack_and_an_image_place_a_box_alike(tmp_path, size):
    """The corners of the padded box lie at the corners of the input, both ways; the crop keeps the image's pixels, or is shrunk."""
    Image.fromarray(ruler()).save(tmp_path / "ruler.png")
    write_pack(people_of([(30.3, 20.4, 45, 75)], np.zeros((1, 17, 2))), tmp_path, tmp_path / "pack", Recipe(size, 1.25, 1.2), 0, 1)
    pack = CropPack.open(tmp_path / "pack")
    height, width = 128, 96
    half = np.array([75 * 0.75, 75]) * 1.25 / 2
    centre = np.array([30.3 + 44 / 2, 20.4 + 74 / 2])
    corners = torch.tensor(np.stack([centre - half, centre + half]), dtype=torch.float32)[None]
    view = transform(pack.bases([0], (height, width)), transform(torch.from_numpy(pack.matrices), corners))
    assert view[0].numpy() == pytest.approx(np.array([[-0.5, -0.5], [width - 0.5, height - 0.5]]), abs=1e-3)
