"""Classification datasets: lists, folders, the public layouts, and what is said of broken ones."""

from pathlib import Path

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

import mic_det
from mic_det.data import register_class_folders, register_image_list
from mic_det.data.catalog import load_labelled, load_unlabelled
from mic_det.data.classification import check_datasets
from mic_det.data.classification_builtin import VISDA_CLASSES
from mic_det.data.classification_mapper import ClassificationMapper
from mic_det.data.declare import declare
from mic_det.data.image_lists import list_images, read_class_folders, read_list
from mic_det.data.stream import seeded
from mic_det.errors import UserError
from tests.data.layouts import write_image, write_text

# As the public lists have it: not in alphabetical order.
OFFICE = ("Drill", "Exit_Sign", "Bottle")


@pytest.fixture
def forget():
    before = set(DatasetCatalog.list())
    yield
    for name in set(DatasetCatalog.list()) - before:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """VisDA-2017, Office-Home and DomainNet with their lists, two images per class."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))

    def write(base, folder, classes, list_name):
        lines = []
        for label, name in enumerate(classes):
            for index in range(2):
                write_image(tmp_path / base / folder / name / f"{index} x.jpg")
                lines.append(f"{folder}/{name}/{index} x.jpg {label}")
        write_text(tmp_path / base / f"image_list/{list_name}.txt", "\n".join(lines) + "\n")

    for split in ("train", "validation"):
        write("visda-2017", split, VISDA_CLASSES, split)
    for folder in ("Art", "Clipart", "Product", "Real_World"):
        write("office-home", folder, OFFICE, folder)
    for domain in ("clipart", "real"):
        for split in ("train", "test"):
            write("domainnet", domain, ("aircraft_carrier", "airplane"), f"{domain}_{split}")
    return tmp_path


def test_the_public_layouts_are_read(root):
    found = load_labelled("visda2017_train")
    assert len(found) == 24 and found[2]["label"] == 1 and found[2]["file_name"].endswith("train/bicycle/0 x.jpg")
    assert tuple(MetadataCatalog.get("visda2017_train").thing_classes) == VISDA_CLASSES
    load_labelled("officehome_Rw")
    assert tuple(MetadataCatalog.get("officehome_Rw").thing_classes) == OFFICE
    load_labelled("domainnet_clipart_test")
    assert MetadataCatalog.get("domainnet_clipart_test").thing_classes == ["aircraft_carrier", "airplane"]
    assert (
        all("label" not in record for record in load_unlabelled("officehome_Ar")) and len(load_unlabelled("officehome_Ar")) == 6
    )


def test_without_lists_folders_name_the_classes(root):
    (root / "office-home/image_list/Art.txt").unlink()
    assert [record["label"] for record in load_labelled("officehome_Ar")] == [0, 0, 1, 1, 2, 2]
    assert MetadataCatalog.get("officehome_Ar").thing_classes == sorted(OFFICE)
    cfg = mic_det.load_config("officehome_Ar2Cl_cls_mic", ["MODEL.CLASSIFIER.NUM_CLASSES", 3])
    with pytest.raises(UserError, match="they must be the same"):  # one with a list, one without
        check_datasets(cfg)
    with pytest.raises(UserError, match=r"visda-2017/train does not exist\. datasets/README\.md says"):
        (root / "visda-2017").rename(root / "elsewhere")
        load_labelled("visda2017_train")
    with pytest.raises(UserError, match=r"image_list/sketch_train\.txt does not exist"):
        load_labelled("domainnet_sketch_train")


TASKS = [f"officehome_{a}2{b}_cls" for a in ("Ar", "Cl", "Pr", "Rw") for b in ("Ar", "Cl", "Pr", "Rw") if a != b]


@pytest.mark.parametrize("stem", ["visda_cls", "visda_cls_r101", *TASKS])
def test_every_config_finds_its_data(root, stem):
    methods = ["mic", "sdat", "source_only", "reference", *(["oracle"] if stem.startswith("visda") else [])]
    for method in methods:
        options = [] if stem.startswith("visda") else ["MODEL.CLASSIFIER.NUM_CLASSES", 3]
        cfg = mic_det.load_config(f"{stem}_{method}", options)
        check_datasets(cfg)
        if stem.startswith("officehome"):
            source, target = stem.split("_")[1].split("2")
            assert (f"officehome_{source}",) == cfg.DATASETS.TRAIN and (f"officehome_{target}",) == cfg.DATASETS.TEST
            assert (() if method == "source_only" else (f"officehome_{target}",)) == cfg.DATASETS.TARGET
        assert f"output/{stem}_{method}" == cfg.OUTPUT_DIR
        assert (cfg.SOLVER.SAM_RHO == 0) == (method in ("source_only", "oracle"))


def test_faulty_lines_are_counted_and_survived(tmp_path, caplog):
    write_text(tmp_path / "list.txt", "a/one.jpg 0\n\na/two.jpg\nb/three.jpg 1\nb/four.jpg x\nb/five.jpg 7\n")
    items, classes = read_list(tmp_path / "list.txt", tmp_path, ("a", "b"))
    assert [(path.name, label) for path, label in items] == [("one.jpg", 0), ("three.jpg", 1)] and classes == ["a", "b"]
    assert "3 lines left out" in caplog.text and "a/two.jpg" in caplog.text
    write_text(tmp_path / "absolute.txt", f"{tmp_path}/a/one.jpg 0")
    assert read_list(tmp_path / "absolute.txt", "/elsewhere")[0] == [(tmp_path / "a/one.jpg", 0)]


@pytest.mark.parametrize(
    "content",
    [
        "a/one 1.jpg\t0\nb/two.jpg\t1\n",
        "\ufeffa/one 1.jpg 0\r\nb/two.jpg 1\r\n",
        "# path and label\na/one 1.jpg,0\nb/two.jpg, 1\n",
        '\'a/one 1.jpg\';0\n"b/two.jpg","1"\n',
        "a/one 1.jpg   0\n\n  b/two.jpg 1",
        "a/one 1.jpg 0\nb/two.jpg 01\nb/two.jpg 1\n",  # twice
    ],
)
def test_lists_of_many_programs_say_the_same(tmp_path, content):
    (tmp_path / "list.txt").write_bytes(content.encode())
    items, classes = read_list(tmp_path / "list.txt", tmp_path)
    assert items == [(tmp_path / "a/one 1.jpg", 0), (tmp_path / "b/two.jpg", 1)] and classes == ["a", "b"]
    assert list_images(tmp_path / "list.txt", tmp_path) == [path for path, _ in items]


def test_targets_need_no_labels_and_paths_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    content = '~/a b.JPG\n"c,d.png"\ne.png\nf.png poison\ne.png\n/abs/g h.webp 3\n'
    write_text(tmp_path / "list.txt", content)
    expected = [tmp_path / "home/a b.JPG", tmp_path / "c,d.png", tmp_path / "e.png", tmp_path / "f.png", Path("/abs/g h.webp")]
    assert list_images(tmp_path / "list.txt", tmp_path) == expected
    (tmp_path / "list.txt").write_bytes(b"\xff\xfea\x00")
    with pytest.raises(UserError, match="cannot be read as UTF-8 text"):
        list_images(tmp_path / "list.txt", tmp_path)


def test_labels_that_count_from_one_are_refused(tmp_path):
    write_text(tmp_path / "list.txt", "a/one.jpg 1\nb/two.jpg 2\n")
    for classes in (None, ("a", "b")):
        with pytest.raises(UserError, match="its labels are 1 to 2, but class indices start at 0"):
            read_list(tmp_path / "list.txt", tmp_path, classes)
    assert [label for _, label in read_list(tmp_path / "list.txt", tmp_path, ("none", "a", "b"))[0]] == [1, 2]


def test_classes_without_images_and_images_without_a_class_are_said(tmp_path, caplog):
    for name in ("pets/cat/1.png", "pets/cow/1.png", "pets/cow/deep/2.png", "pets/loose.png"):
        write_image(tmp_path / name)
    (tmp_path / "pets/dog").mkdir()
    items, classes = read_class_folders(tmp_path / "pets", ("cat", "dog"))
    assert [path.parent.name for path, _ in items] == ["cat"] and classes == ["cat", "dog"]
    assert "no image of 1 of the 2 classes, e.g. 'dog'" in caplog.text
    assert "2 images in subfolders that `classes` does not name left out: cow" in caplog.text
    assert "1 images beside the classes' subfolders left out" in caplog.text
    with pytest.raises(UserError, match=r"no subfolder 'Cat'; it has cat, cow, dog\. Did you mean 'cat'\?"):
        read_class_folders(tmp_path / "pets", ("Cat",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ("# nothing\n", "is empty"),
        ("a/one.jpg 0\na/one.jpg 1\n", "one.jpg has the labels 0 and 1"),
        ("a/one.jpg -1\n", "No line of .* ends in a class index"),
        ("a/one.jpg\n", "No line of .* ends in a class index"),
        ("a/one.jpg 0\nb/two.jpg 0\n", "label 0 stands for the folders 'a' and 'b'"),
        ("a/one.jpg 0\nc/two.jpg 2\n", "no image has the label 1"),
    ],
)
def test_unusable_lists_are_one_sentence(tmp_path, content, message):
    write_text(tmp_path / "list.txt", content)
    with pytest.raises(UserError, match=message):
        read_list(tmp_path / "list.txt", tmp_path)


def test_folders_of_classes(tmp_path, forget):
    for name in ("dog", "cat", ".cache"):
        write_image(tmp_path / "pets" / name / "1.png")
    write_text(tmp_path / "pets/dog/notes.txt", "")
    register_class_folders("pets", tmp_path / "pets")
    assert [record["label"] for record in load_labelled("pets")] == [0, 1]
    assert MetadataCatalog.get("pets").thing_classes == ["cat", "dog"]
    assert len(load_unlabelled("pets")) == 2
    assert [label for _, label in read_class_folders(tmp_path / "pets", ("dog", "cat"))[0]] == [0, 1]
    with pytest.raises(UserError, match="no subfolder 'cow'; it has cat, dog"):
        read_class_folders(tmp_path / "pets", ("cow",))
    (tmp_path / "empty/a").mkdir(parents=True)
    with pytest.raises(UserError, match="it needs one subfolder of images per class"):
        read_class_folders(tmp_path / "empty")


def test_declared_and_registered_lists(tmp_path, forget, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    write_image(tmp_path / "pets/dog/1.png")
    write_text(tmp_path / "pets/list.txt", "dog/1.png 0\n")
    register_image_list("listed_pets", tmp_path / "pets/list.txt", tmp_path / "pets")
    declare(
        [{"name": "own_pets", "format": "image_list", "images": "pets", "annotations": "pets/list.txt", "classes": ["hound"]}]
    )
    declare([{"name": "own_folders", "format": "class_folders", "images": "pets"}])
    for name, word in (("listed_pets", "dog"), ("own_pets", "hound"), ("own_folders", "dog")):
        assert load_labelled(name)[0]["label"] == 0 and MetadataCatalog.get(name).thing_classes == [word]


def image(size=(90, 60)):
    return np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def test_the_test_view_is_the_published_one(tmp_path):
    Image.fromarray(image()).save(tmp_path / "a.png")
    mapper = ClassificationMapper(resize=32, crop=24, image_format="RGB", labelled=True, random=False)
    sample = mapper({"file_name": str(tmp_path / "a.png"), "image_id": 3, "label": 5})
    expected = np.array(Image.fromarray(image()).resize((32, 32)))[4:28, 4:28]
    assert np.array_equal(sample["image"].permute(1, 2, 0).numpy(), expected)
    assert (sample["label"], sample["image_id"]) == (5, 3)
    bgr = ClassificationMapper(resize=32, crop=24, image_format="BGR", random=False)
    assert torch.equal(bgr({"file_name": str(tmp_path / "a.png"), "image_id": 3})["image"].flip(0), sample["image"])


def test_training_views_follow_the_seed_and_ignore_target_labels(tmp_path):
    Image.fromarray(image()).save(tmp_path / "a.png")
    record = {"file_name": str(tmp_path / "a.png"), "image_id": 0, "label": "poison"}
    mapper = ClassificationMapper(resize=32, crop=24, image_format="RGB", random_resized_crop=True)
    views = []
    for seed in (0, 1, 0):
        with seeded(seed):
            views.append(mapper(record)["image"])
    assert torch.equal(views[0], views[2]) and not torch.equal(views[0], views[1]) and views[0].shape == (3, 24, 24)
    assert "label" not in mapper(record)
    centre = ClassificationMapper(resize=32, crop=24, image_format="RGB")
    plain = ClassificationMapper(resize=32, crop=24, image_format="RGB", random=False)(record)["image"]
    seen = [centre(record)["image"] for _ in range(20)]
    assert all(torch.equal(view, plain) or torch.equal(view, plain.flip(2)) for view in seen)
    assert 0 < sum(torch.equal(view, plain) for view in seen) < 20
