"""Whatever is wrong with a COCO file, training and evaluation work with the rest of it or say why not."""

import copy
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mic_det.data.coco import drop_faulty, labelled_records, load_json, read_images
from mic_det.data.detection import with_masks
from mic_det.data.detection_mapper import TrainingMapper
from mic_det.data.stream import READ_ERRORS
from mic_det.errors import UserError
from mic_det.evaluation import coco
from tests.data.layouts import write_image

SIZE = {"height": 60, "width": 80}
MASKS = [
    [[5, 5, 25, 5, 25, 25, 5, 25]],
    {"size": [60, 80], "counts": [100, 50, 60 * 80 - 150]},
    {"size": [60, 80], "counts": "T3b1Z?"},
]
GOOD = {
    "images": [{"id": index, "file_name": f"{index}.png", **SIZE} for index in range(3)],
    "categories": [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}],
    "annotations": [
        {"id": index, "image_id": index % 3, "category_id": 3 + 5 * (index % 2), "bbox": [5, 5, 20, 20], "iscrowd": 0}
        | {"area": 400, "segmentation": MASKS[index % 3]}
        for index in range(4)
    ],
}
ODD = st.sampled_from(
    [None, True, False, 0, 1, -1, 3, 2.5, math.nan, math.inf, 1e300, 10**40, "", "0", "x", "\0", "\ud800", "../1.png", "a\\b.png"]
    + ["/", [], [[]], [1], [[1, 2, 3, 4]], {}, {"id": 1}, [None] * 4, {"size": [60, 80], "counts": "P"}, "cat"]
)


def places(value, path=()):
    """Paths of everything within a JSON value."""
    yield path
    for key, inner in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from places(inner, (*path, key))


@st.composite
def mutations(draw):
    """The good file with one to three values removed, replaced or doubled."""
    content = copy.deepcopy(GOOD)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(content))))
        if not path:
            return draw(ODD)
        parent = content
        for key in path[:-1]:
            parent = parent[key]
        action = draw(st.sampled_from(["remove", "replace", "double"]))
        if action == "remove":
            del parent[path[-1]]
        elif action == "replace":
            parent[path[-1]] = draw(ODD)
        elif isinstance(parent, list):
            parent.append(copy.deepcopy(parent[path[-1]]))
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz")
    for image in GOOD["images"]:
        write_image(folder / image["file_name"])
    return folder


def metrics(content, detections, library):
    """`all_metrics` by one of the libraries: (class of annotations, class of evaluation)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coco, "COCO", library[0])
        patch.setattr(coco, "COCOeval", library[1])
        return coco.all_metrics(content, detections, ("voc12",))


def train_and_evaluate(path, folder):
    """What a run does with a file; the metrics of perfect detections by either library."""
    content = drop_faulty(load_json(path), "fuzz")
    mapper = TrainingMapper([], "BGR", True, "bitmask")
    for record in with_masks(labelled_records(content, folder), "bitmask"):
        try:
            sample = mapper(record)
        except READ_ERRORS:
            continue  # reported and replaced in training
        assert len(sample["instances"]) <= len(record["annotations"])
    perfect = [
        {key: item[key] for key in ("image_id", "category_id", "bbox")} | {"score": 0.9} for item in content["annotations"]
    ]
    libraries = (coco.COCO, coco.COCOeval), (COCO, COCOeval)
    return content, [metrics(content, perfect, library) for library in libraries]


@given(content=mutations())
@settings(
    max_examples=100, derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_every_outcome_is_a_run_or_a_sentence(folder, content):
    path = folder / "labels.json"
    path.write_text(json.dumps(content))
    try:
        assert all(record["file_name"] for record in read_images(path, folder))
        usable, (compiled, plain) = train_and_evaluate(path, folder)
    except UserError as error:
        assert str(error).strip()
        return
    objects = [item for item in usable["annotations"] if not item.get("iscrowd")]
    for found in (compiled, plain):
        assert math.isnan(found["AP"]) if not objects else found["AP"] > 0
    assert compiled["AP"] == pytest.approx(plain["AP"], nan_ok=True)


def test_the_good_file_is_used_whole(folder):
    path = folder / "good.json"
    path.write_text(json.dumps(GOOD))
    content, found = train_and_evaluate(path, folder)
    assert len(content["images"]) == 3 and len(content["annotations"]) == 4
    assert all(own["AP"] == pytest.approx(100) and own["VOC12"] == pytest.approx(100) for own in found)
