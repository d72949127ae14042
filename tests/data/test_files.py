import pytest

from mic_det.data.coco import read_folder
from mic_det.data.files import find_files
from mic_det.data.image_lists import read_class_folders
from mic_det.data.label_images import find_pairs
from mic_det.errors import UserError


@pytest.fixture
def tree(tmp_path):
    """Real folders, links to folders beside and above, two circles, hidden and broken things."""
    root = tmp_path / "root"
    for name in (
        *("a/1.png", "a/2.PNG", "b/deep/3.jpg", "b/täg ü\nx.png", "notes.txt", "._1.png", ".hidden/4.png", "a/.DS_Store"),
        *("../outside/5.png", "../outside/inner/6.png"),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    (root / "folder.png").mkdir()
    (root / "a/link").symlink_to(tmp_path / "outside")
    (root / "0_first").symlink_to(root / "b")  # sorted before what it names
    (root / "b/circle").symlink_to(root)
    (tmp_path / "outside/inner/back").symlink_to(tmp_path / "outside")
    (root / "self").symlink_to(root / "self")
    (root / "broken.png").symlink_to(tmp_path / "nowhere.png")
    return root


def test_links_are_followed_and_every_folder_is_read_once(tree):
    expected = ["a/1.png", "a/2.PNG", "a/link/5.png", "a/link/inner/6.png", "b/deep/3.jpg", "b/täg ü\nx.png", "broken.png"]
    found = [str(path.relative_to(tree)) for path in find_files(tree)]
    assert found == expected  # the broken link stays: whoever opens it reports it
    assert [record["file_name"] for record in read_folder(tree)] == [str(tree / name) for name in expected]
    assert [path.name for path in find_files(tree, ".JPG")] == ["3.jpg"] and find_files(tree / "nowhere") == []


def test_pairs_and_classes_go_through_links_too(tmp_path):
    for name in ("target/cityA/0.png", "elsewhere/cityB/1.PNG", "labels/cityA/0.png", "labels/cityB/1.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "target/cityB").symlink_to(tmp_path / "elsewhere/cityB")
    pairs = find_pairs(tmp_path / "target", tmp_path / "labels")
    assert [(image.name, label.name) for image, label in pairs] == [("0.png", "0.png"), ("1.PNG", "1.png")]
    items, classes = read_class_folders(tmp_path / "target")
    assert classes == ["cityA", "cityB"] and [label for _, label in items] == [0, 1]


def test_wrong_suffixes_of_labels_are_one_sentence(tmp_path):
    for name in ("images/a.jpg", "labels/a_mask.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(UserError, match=r"1 of 1 images none\. There is .*a_mask\.png, for one: set `image_suffix`"):
        find_pairs(tmp_path / "images", tmp_path / "labels")
    assert len(find_pairs(tmp_path / "images", tmp_path / "labels", ".jpg", "_mask.png")) == 1
    with pytest.raises(UserError, match=r"a_mask\.png would be its own label"):
        find_pairs(tmp_path / "labels", tmp_path / "labels")
