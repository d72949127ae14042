import pytest

from mic_det.data.catalog import load_labelled
from mic_det.data.kitti import convert_kitti
from mic_det.errors import UserError
from tests.conftest import run_script
from tests.data.layouts import write_image, write_text

LINES = """Car 0.00 0 1.85 387.63 181.54 423.81 203.12 1.67 1.87 3.69 -16.53 2.39 58.49 1.57
Van 0.00 2 1.67 10.00 11.50 30.00 41.50 1.65 1.72 3.64 4.59 1.32 45.84 -1.55
Pedestrian 0.00 0 -0.20 712.40 143.00 810.73 307.92 1.89 0.48 1.20 1.84 1.47 8.41 0.01
DontCare -1 -1 -10 503.89 169.71 590.61 190.13 -1 -1 -1 -1000 -1000 -1000 -10
"""


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "kitti"
    for name in ("000000", "000001"):
        write_image(root / f"training/image_2/{name}.png", (375, 1242))
        write_text(root / f"training/label_2/{name}.txt", LINES)
    return root


def test_boxes_types_and_dont_care(root):
    coco = convert_kitti(root).coco
    assert coco["images"][0] == {"id": 1, "file_name": "training/image_2/000000.png", "height": 375, "width": 1242}
    first = coco["annotations"][:3]
    assert [coco["categories"][item["category_id"] - 1]["name"] for item in first] == ["Car", "Van", "Pedestrian"]
    assert first[0]["bbox"] == pytest.approx([387.63, 181.54, 36.18, 21.58])
    assert len(coco["annotations"]) == 6


def test_command_car_only_and_a_missing_label_file(root, monkeypatch):
    (root / "training/label_2/000001.txt").unlink()
    run = run_script("datasets/prepare_kitti.py", "--root", root, check=False)
    assert run.returncode == 1 and "label_2/000001.txt" in run.stdout
    monkeypatch.setenv("DETECTRON2_DATASETS", str(root.parent))
    records = load_labelled("kitti_car_train")
    assert len(records) == 1 and len(records[0]["annotations"]) == 1


def test_what_is_no_object_is_counted_and_bad_lines_are_named(root):
    (root / "training/image_2/000001.png").write_bytes(b"broken")
    odd = "Car 0 0 0 30 10 30 50\nTruk 0 0 0 1 1 9 9\nVan 0 0 0 1 1 nan 9\nDontCare -1 -1 -10 5 5 5 5\n"
    write_text(root / "training/label_2/000000.txt", LINES + odd)
    result = convert_kitti(root)
    assert result.left_out == {
        "a box without area": 1,
        "the unknown type 'Truk'": 1,
        "a corner that is no finite number": 1,
    }
    assert len(result.coco["annotations"]) == 3 and result.bad_files == [str(root / "training/image_2/000001.png")]
    write_text(root / "training/label_2/000000.txt", "Car 0 0 0 30 10\n")
    assert "000000.txt: not enough values" in convert_kitti(root).bad_files[0]


def test_wrong_root_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="--root must be the folder that holds training/"):
        convert_kitti(tmp_path)
