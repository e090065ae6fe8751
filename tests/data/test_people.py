"""The people table: what goes in comes out, and nothing else gets in."""

import numpy as np
import pytest

from semipose.data.people import ARRAYS, People
from semipose.pose.skeleton import LSP14
from semipose.utils.errors import InputError

RNG = np.random.default_rng(0)


def table(count: int = 5, **changes) -> People:
    fields = {
        "ids": np.arange(count) * 7 + 3,
        "image_ids": np.arange(count) // 2,
        "images": [f"images/im{i:05d}.jpg" for i in range(count)],
        "sizes": RNG.integers(10, 900, (count, 2)),
        "boxes": RNG.uniform(1, 90, (count, 4)),
        "areas": RNG.uniform(1, 90, count),
        "points": RNG.uniform(1, 90, (count, 14, 2)),
        "visibility": RNG.integers(0, 3, (count, 14)),
        "dropped": {"crowd": 3},
    }
    return People(LSP14, **(fields | changes))


def assert_equal(one: People, other: People) -> None:
    assert one.skeleton is other.skeleton
    assert one.images == other.images
    assert one.dropped == other.dropped
    for name, dtype in ARRAYS.items():
        assert getattr(one, name).dtype == dtype
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_save_and_load_give_the_same_table(tmp_path):
    people = table(images=["a/ä.jpg", "b", "c", "d", "e" * 300])
    people.save(tmp_path / "new" / "people.npz")
    assert_equal(People.load(tmp_path / "new" / "people.npz"), people)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["people.npz"]


def test_an_empty_table_is_a_table(tmp_path):
    table().subset([]).save(tmp_path / "people.npz")
    assert len(People.load(tmp_path / "people.npz")) == 0


def test_equal_tables_give_equal_bytes(tmp_path):
    people = table()
    people.save(tmp_path / "a.npz")
    people.subset(np.arange(5)).save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    people = table()
    people.save(tmp_path / "people.npz")
    before = (tmp_path / "people.npz").read_bytes()

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        table().save(tmp_path / "people.npz")
    assert (tmp_path / "people.npz").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("positions", [[3, 0], np.array([True, False, False, True, False]), np.array([4]), []])
def test_subset_keeps_rows_together(positions):
    people = table()
    part = people.subset(positions)
    rows = [i for i, chosen in enumerate(positions) if chosen] if len(positions) == 5 else list(positions)
    assert len(part) == len(rows)
    for row, source in enumerate(rows):
        assert part.images[row] == people.images[source]
        for name in ARRAYS:
            np.testing.assert_array_equal(getattr(part, name)[row], getattr(people, name)[source])


@pytest.mark.parametrize("name", list(ARRAYS))
def test_arrays_of_another_length_are_refused(name):
    with pytest.raises(ValueError, match=f"People.{name}"):
        table(**{name: getattr(table(4), name)})


def test_a_wrong_number_of_joints_and_equal_ids_are_refused():
    with pytest.raises(ValueError, match="points"):
        table(points=np.zeros((5, 17, 2)))
    with pytest.raises(ValueError, match="unique"):
        table(ids=[1, 2, 3, 2, 5])


def test_load_names_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match=r"absent.npz.*write the crop pack again"):
        People.load(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("no table")
    with pytest.raises(InputError, match=r"text.npz.*not a table of person annotations"):
        People.load(tmp_path / "text.npz")
    table().save(tmp_path / "cut.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:900])
    with pytest.raises(InputError, match=r"cut.npz.*not a table of person annotations"):
        People.load(tmp_path / "cut.npz")
