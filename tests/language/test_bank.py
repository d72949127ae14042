import logging
from pathlib import Path

import pytest
import torch

import mic_det
from mic_det.config import num_classes
from mic_det.data.camvid import SEMANTIC_CLASSES
from mic_det.data.label_ids import CLASSES as CITYSCAPES
from mic_det.errors import UserError
from mic_det.language import TextBank, open_bank

CLASSES = ["road", "car", "sky"]
CLASS_LISTS = {"cityscapes": CITYSCAPES, "camvid": SEMANTIC_CLASSES}


@pytest.fixture
def bank():
    prompts = [[f"a photo of a {name}."] for name in CLASSES]
    return TextBank(torch.randn(3, 8), CLASSES, prompts, "ViT-T", "tiny", "ab" * 32)


def test_a_bank_survives_its_file(bank, tmp_path):
    bank.save(tmp_path / "new/bank.pth")
    found = open_bank(str(tmp_path / "new/bank.pth"), 3)
    assert torch.equal(found.embeddings, bank.embeddings)
    assert (found.classes, found.prompts, found.model, found.tag) == (CLASSES, bank.prompts, "ViT-T", "tiny")
    assert str(found) == "3 class embeddings of ViT-T, tiny, weights abababababab, e.g. 'a photo of a road.'"


def test_the_banks_in_the_repository_have_their_datasets_classes_and_know_what_is_alike():
    neighbours = {}
    for name in ("toycity_seg_lcmsm", "camvid_seg_lcmsm"):
        cfg = mic_det.load_config(name)
        bank = open_bank(cfg.MODEL.LANGUAGE_HEAD.TEXT_BANK, num_classes(cfg))
        bank.check_classes(CLASS_LISTS[Path(cfg.MODEL.LANGUAGE_HEAD.TEXT_BANK).stem.split("_")[0]], name)
        assert bank.model == "all-MiniLM-L6-v2 (sentence-transformers)" and len(bank.weights_sha256) == 64
        likeness = bank.embeddings @ bank.embeddings.T
        torch.testing.assert_close(likeness.diagonal(), torch.ones(len(likeness)))
        nearest = likeness.fill_diagonal_(-1).argmax(dim=1).tolist()
        neighbours |= {own: bank.classes[other] for own, other in zip(bank.classes, nearest, strict=True)}
    alike = {
        "motorcycle": "bicycle",
        "traffic light": "traffic sign",
        "vegetation": "terrain",
        "truck": "car",
        "pavement": "road",
    }
    assert alike.items() <= neighbours.items()


def test_random_rows_are_always_the_same_and_say_so():
    torch.manual_seed(1)
    first = open_bank("random", 5)
    torch.manual_seed(2)
    assert torch.equal(first.embeddings, open_bank("random", 5).embeddings) and first.embeddings.shape == (5, 1024)
    assert "random" in str(first)
    first.check_classes(CLASSES, "x")  # nothing to compare
    assert open_bank("none", 5) is None


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (["road", "sky", "car"], "class 1 of the text bank is 'car', but streets has 'sky' there"),
        (["road", "car"], "class 2 of the text bank is 'sky', but streets has 'nothing' there"),
        (
            [*CLASSES, "bus"],
            "class 3 of the text bank is 'nothing', but streets has 'bus' there: make the bank with --classes 'road'",
        ),
    ],
)
def test_another_order_is_refused(bank, classes, message):
    bank.check_classes(CLASSES, "streets")
    with pytest.raises(UserError, match=message):
        bank.check_classes(classes, "streets")


def test_wrong_files_are_named(bank, tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    with pytest.raises(UserError, match="TEXT_BANK is empty"):
        open_bank("", 3)
    with pytest.raises(UserError, match=r"nowhere\.pth does not exist"):
        open_bank(str(tmp_path / "nowhere.pth"), 3)
    torch.save({"model": {}}, tmp_path / "model.pth")
    with pytest.raises(UserError, match=r"model\.pth is no text bank: make one with `mic-det text-bank`"):
        open_bank(str(tmp_path / "model.pth"), 3)
    bank.save(tmp_path / "bank.pth")
    with pytest.raises(UserError, match=r"holds 3 classes, but MODEL\.SEM_SEG_HEAD\.NUM_CLASSES is 19"):
        open_bank(str(tmp_path / "bank.pth"), 19)
    TextBank(torch.randn(2, 8), CLASSES, bank.prompts, "ViT-T").save(tmp_path / "broken.pth")
    with pytest.raises(UserError, match=r"broken\.pth is broken: 3 classes"):
        open_bank(str(tmp_path / "broken.pth"), 3)
