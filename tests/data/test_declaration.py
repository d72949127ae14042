"""Declarations of datasets, as odd as they come."""

from detectron2.data import DatasetCatalog, MetadataCatalog
from hypothesis import given, settings
from hypothesis import strategies as st

from mic_det.data.declaration import FORMATS
from mic_det.data.declare import DECLARED, declare
from mic_det.errors import UserError

ODD = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    st.lists(st.one_of(st.text(max_size=3), st.integers()), max_size=3),
    st.dictionaries(st.text(max_size=3), st.one_of(st.text(max_size=3), st.none()), max_size=2),
)
ENTRY = {
    "name": "fuzz",
    "format": "coco",
    "images": "a",
    "annotations": "b",
    "classes": ["x"],
    "mapping": {"y": "x"},
    "split": "train",
}


@settings(max_examples=200, derandomize=True, deadline=None)
@given(
    st.sampled_from(sorted(FORMATS)),
    st.dictionaries(st.sampled_from([*ENTRY, "other"]), ODD, max_size=3),
    st.sets(st.sampled_from(sorted(ENTRY))),
)
def test_odd_declarations_are_accepted_or_one_sentence(kind, changes, missing):
    entry = {key: value for key, value in {**ENTRY, "format": kind, **changes}.items() if key not in missing}
    before = set(DatasetCatalog.list())
    try:
        declare([entry])
    except UserError as error:
        assert str(error).startswith("DATASETS.DECLARE") and set(DatasetCatalog.list()) == before
    finally:
        for name in set(DatasetCatalog.list()) - before:
            DatasetCatalog.remove(name)
            MetadataCatalog.remove(name)
            DECLARED.discard(name)
