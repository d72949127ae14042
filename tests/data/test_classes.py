"""Class subsets and mappings, against a count by hand."""

import pytest

from mic_det.data.classes import category_names, select_classes
from mic_det.errors import UserError

CONTENT = {
    "images": [{"id": 1}, {"id": 2}],
    "categories": [{"id": 7, "name": "van"}, {"id": 3, "name": "car"}, {"id": 5, "name": "person"}],
    "annotations": [
        {"id": 1, "category_id": 7},
        {"id": 2, "category_id": 3},
        {"id": 3, "category_id": 5},
        {"id": 4, "category_id": 99},
    ],
}


def ids(content):
    return [(item["id"], item["category_id"]) for item in content["annotations"]]


def test_all_classes_keep_the_order_of_their_ids():
    found = select_classes(CONTENT, "x")
    assert category_names(found) == ["car", "person", "van"]
    assert ids(found) == [(1, 3), (2, 1), (3, 2), (4, 99)]  # an unknown category stays for the reader to report


def test_a_subset_keeps_images_and_its_own_order():
    found = select_classes(CONTENT, "x", ["person", "car"])
    assert ids(found) == [(2, 2), (3, 1), (4, 99)] and len(found["images"]) == 2
    assert CONTENT["annotations"][0]["category_id"] == 7  # the input is not changed


def test_two_classes_become_one():
    found = select_classes(CONTENT, "x", ["car"], {"van": "car"})
    assert category_names(found) == ["car"] and ids(found) == [(1, 1), (2, 1), (4, 99)]
    assert category_names(select_classes(CONTENT, "x", mapping={"van": "car", "person": "human"})) == ["car", "human"]


def test_wrong_names_get_a_hint():
    with pytest.raises(UserError, match=r"photos has no class 'persn'; it has car, person, van\. Did you mean 'person'"):
        select_classes(CONTENT, "photos", ["persn"])
    with pytest.raises(UserError, match="no class 'vam' to map.*Did you mean 'van'"):
        select_classes(CONTENT, "photos", ["car"], {"vam": "car"})
