"""However an iteration's images are divided, the gradients are the same."""

import pytest
import torch

from mic_det.engine.launch import launch
from mic_det.errors import UserError
from tests.conftest import REPOSITORY, TINY, TINY_CLASSIFICATION, TINY_SEGMENTATION, run_script

# No random sampling or masking, which differ between processes, and as many proposals for every image.
DETERMINISTIC = [
    *("MODEL.RPN.BATCH_SIZE_PER_IMAGE", 5000, "MODEL.RPN.NMS_THRESH", 1.1, "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE", 5000),
    *("MODEL.ROI_HEADS.POSITIVE_FRACTION", 1.0, "MODEL.ROI_HEADS.PROPOSAL_APPEND_GT", False),
    *("MODEL.MIC.MASK.RATIO", 0.0, "MODEL.MIC.AUGMENT.JITTER", 0.0, "MODEL.MIC.AUGMENT.BLUR_PROB", 0.0, "SOLVER.CLIP_NORM", 0.0),
    *("MODEL.RPN.PRE_NMS_TOPK_TRAIN", 5000, "MODEL.RPN.POST_NMS_TOPK_TRAIN", 5000),
    *("OUTPUT_DIR", "nowhere"),
]

RENDEZVOUS = ("--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:0")


# ClassMix draws from the process's own generator as well.
DETERMINISTIC_SEGMENTATION = [
    *("MODEL.MIC.MIX.ENABLED", False, "MODEL.MIC.MASK.RATIO", 0.0, "MODEL.MIC.AUGMENT.JITTER", 0.0, "SOLVER.CLIP_NORM", 0.0),
    *("MODEL.SEM_SEG_HEAD.DROPOUT", 0.0, "MODEL.MIT.DROP_PATH", 0.0, "OUTPUT_DIR", "nowhere"),
]


def gradients(path, *overrides, processes=1, config="toycity", fixed=(*TINY, *DETERMINISTIC)):
    arguments = [REPOSITORY / "tests/engine/gradients.py", config, path, *fixed, *overrides]
    if processes > 1:
        arguments = ["-m", "torch.distributed.run", "--nproc-per-node", processes, *RENDEZVOUS, *arguments]
    run_script(*arguments)
    return torch.load(path)


@pytest.fixture(scope="module")
def reference(toycity, tmp_path_factory):
    return gradients(tmp_path_factory.mktemp("ddp") / "one.pth")


def assert_same(found, reference):
    """Every parameter's gradient within 1 %: rounding may flip a ReLU that is nearly 0, wrong averaging is far off.

    A bias that normalisation takes back has no gradient but rounding, near 1e-8.
    """
    assert reference["gradients"].keys() == found["gradients"].keys()
    for name, value in reference["gradients"].items():
        assert (found["gradients"][name] - value).norm() <= 0.01 * value.norm() + 1e-6, name


def test_the_reference_has_pseudo_labels_and_foreground(reference):
    assert reference["means"]["pseudo_boxes_per_image"] > 0 and "loss_cls_mask" in reference["means"]
    assert reference["means"]["loss_box_reg"] > 0  # foreground was sampled


def test_two_processes_give_the_gradients_of_one_with_twice_the_batch(reference, tmp_path):
    found = gradients(tmp_path / "two.pth", processes=2)
    assert found["world"] == 2
    assert_same(found, reference)


def test_accumulation_gives_the_gradients_of_the_whole_batch(reference, tmp_path):
    assert_same(gradients(tmp_path / "parts.pth", "SOLVER.ACCUMULATE", 2), reference)


@pytest.mark.parametrize("sequential", [False, True])
def test_two_processes_segment_like_one(toycity, tmp_path, sequential):
    """Also when passes are back-propagated one after the other and only the last is reduced."""
    options = {"config": "toycity_seg_mic_daformer", "fixed": (*TINY_SEGMENTATION, *DETERMINISTIC_SEGMENTATION)}
    one = gradients(tmp_path / "one.pth", **options)
    two = gradients(tmp_path / "two.pth", "MODEL.MIC.SEQUENTIAL_BACKWARD", sequential, processes=2, **options)
    assert one["means"]["pseudo_quality"] > 0 and "loss_seg_mask" in one["means"] and two["world"] == 2
    assert_same(two, one)


@pytest.mark.parametrize("split", [{"processes": 2}, {"overrides": ("SOLVER.ACCUMULATE", 2)}], ids=["processes", "accumulation"])
def test_a_divided_batch_has_one_ascent(toycity, tmp_path, split):
    """SAM's direction is that of the whole iteration, and the adversary, which it leaves out, does not stop DDP."""
    fixed = (*TINY_CLASSIFICATION, "MODEL.MIC.MCC.WEIGHT", 0.0, "MODEL.MIC.MASK.RATIO", 0.0, "MODEL.MIC.AUGMENT.JITTER", 0.0)
    options = {"config": "toycity_cls_mic", "fixed": (*fixed, "SOLVER.SAM_RHO", 0.5, "OUTPUT_DIR", "nowhere")}
    one = gradients(tmp_path / "one.pth", **options)
    other = gradients(tmp_path / "other.pth", *split.get("overrides", ()), processes=split.get("processes", 1), **options)
    assert {"loss_cdan", "loss_cls_mask"} < set(one["means"])
    assert_same(other, one)


def test_more_gpus_than_there_are_is_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="--num-gpus 4, but 1 GPUs are visible"):
        launch(print, num_gpus=4)


def refuse(sentence):
    raise UserError(sentence)


def test_an_error_in_a_process_of_its_own_is_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)  # here; the processes see none and use gloo
    with pytest.raises(UserError, match=r"^DATASETS\.TRAIN is empty\.$"):
        launch(refuse, num_gpus=2, args=("DATASETS.TRAIN is empty.",))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_gpus": 0}, "--num-gpus is 0, but must be at least 1"),
        ({"num_machines": 2}, "--dist-url must name the first machine"),
        ({"num_machines": 2, "machine_rank": 2, "dist_url": "tcp://a:1"}, "--machine-rank is 2, but must be from 0 to"),
    ],
)
def test_numbers_of_processes_that_cannot_be_started(options, message):
    with pytest.raises(UserError, match=message):
        launch(print, **options)


def test_a_world_size_without_torchrun_is_named(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    with pytest.raises(UserError, match="WORLD_SIZE is set, but LOCAL_RANK is not"):
        launch(print)
