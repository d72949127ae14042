"""Conversions: there and back, against the published layout, and into a detectron2 that knows nothing of mic-det."""

import json
import pickle
import subprocess
import sys

import pytest
import torch
import yaml
from detectron2.modeling import build_model

import mic_det
from mic_det.checkpoint import conversion, published_detection
from mic_det.checkpoint.weights import load_weights
from mic_det.errors import UserError
from tests.conftest import REPOSITORY, TINY, run_script

R50 = [
    *("MODEL.DEVICE", "cpu", "MODEL.WEIGHTS", "", "MODEL.ROI_BOX_HEAD.FC_DIM", 16, "MODEL.FPN.OUT_CHANNELS", 16),
    *("MODEL.RPN.CONV_DIMS", [-1], "MODEL.MIC.ALIGN.IMAGE_DIM", 8, "MODEL.MIC.ALIGN.INSTANCE_DIM", 8),
]


@pytest.fixture(scope="module")
def r50():
    torch.manual_seed(0)
    return build_model(mic_det.load_config(REPOSITORY / "configs/cs2foggy.yaml", R50)).eval()


def published_state(classes=8):
    """A state dict with the published names and shapes, written out here by hand for one layer of each kind."""
    generator = torch.Generator().manual_seed(0)

    def rand(*shape):
        return torch.rand(*shape, generator=generator) + 0.1

    return {
        "module.backbone.body.stem.conv1.weight": rand(64, 3, 7, 7),
        "module.backbone.body.stem.bn1.running_var": rand(64),
        "module.backbone.body.layer1.0.downsample.0.weight": rand(256, 64, 1, 1),
        "module.backbone.body.layer1.0.downsample.1.running_mean": rand(256),
        "module.backbone.body.layer4.2.conv3.weight": rand(2048, 512, 1, 1),
        "module.backbone.fpn.fpn_inner1.bias": rand(256),
        "module.backbone.fpn.fpn_layer4.weight": rand(256, 256, 3, 3),
        "module.rpn.anchor_generator.cell_anchors.0": rand(3, 4),
        "module.rpn.head.cls_logits.weight": rand(3, 256, 1, 1),
        "module.rpn.head.bbox_pred.bias": rand(12),
        "module.roi_heads.box.feature_extractor.fc6.weight": rand(16, 8),
        "module.roi_heads.box.predictor.cls_score.weight": rand(classes + 1, 16),
        "module.roi_heads.box.predictor.cls_score.bias": torch.arange(classes + 1.0),
        "module.roi_heads.box.predictor.bbox_pred.bias": torch.arange(4.0 * (classes + 1)),
        "module.da_heads.imghead.da_img_conv2_level3.weight": rand(1, 512, 1, 1),
        "module.da_heads.inshead.da_ins_fc3_level1.bias": rand(1),
    }


def test_published_names_class_order_and_epsilon():
    there = published_state()
    here, unknown = published_detection.from_published(there)
    assert unknown == []
    pairs = {
        "backbone.body.stem.conv1.weight": "backbone.bottom_up.stem.conv1.weight",
        "backbone.body.layer1.0.downsample.0.weight": "backbone.bottom_up.res2.0.shortcut.weight",
        "backbone.body.layer1.0.downsample.1.running_mean": "backbone.bottom_up.res2.0.shortcut.norm.running_mean",
        "backbone.body.layer4.2.conv3.weight": "backbone.bottom_up.res5.2.conv3.weight",
        "backbone.fpn.fpn_inner1.bias": "backbone.fpn_lateral2.bias",
        "backbone.fpn.fpn_layer4.weight": "backbone.fpn_output5.weight",
        "rpn.head.cls_logits.weight": "proposal_generator.rpn_head.objectness_logits.weight",
        "rpn.head.bbox_pred.bias": "proposal_generator.rpn_head.anchor_deltas.bias",
        "roi_heads.box.feature_extractor.fc6.weight": "roi_heads.box_head.fc1.weight",
        "da_heads.imghead.da_img_conv2_level3.weight": "alignment.image_classifiers.levels.3.2.weight",
        "da_heads.inshead.da_ins_fc3_level1.bias": "alignment.instance_classifiers.levels.1.6.bias",
    }
    for old, new in pairs.items():
        assert torch.equal(here[new], there[f"module.{old}"]), new
    assert here["roi_heads.box_predictor.cls_score.bias"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 0]
    assert here["roi_heads.box_predictor.bbox_pred.bias"].tolist() == list(range(4, 36))
    # Frozen batch normalisation without epsilon there, with it here, scales alike.
    var = here["backbone.bottom_up.stem.conv1.norm.running_var"]
    torch.testing.assert_close((var + 1e-5).rsqrt(), there["module.backbone.body.stem.bn1.running_var"].rsqrt())


def test_every_parameter_of_our_model_has_a_published_name_and_comes_back(r50):
    state = {**r50.student.state_dict(), **{f"alignment.{k}": v for k, v in r50.alignment.state_dict().items()}}
    there, unknown = published_detection.to_published(state)
    assert unknown == [] and len(there) == len(state)
    back, unknown = published_detection.from_published(there)
    assert unknown == [] and back.keys() == state.keys()
    for name, value in state.items():
        torch.testing.assert_close(back[name], value, msg=name)


def test_unmatched_entries_are_listed_and_fail_unless_allowed(tmp_path, caplog):
    torch.save({"model": {**published_state(), "module.da_heads.scale.weight": torch.zeros(1)}}, tmp_path / "published.pth")
    with pytest.raises(UserError, match="1 entries of .*published.pth have no counterpart"):
        conversion.mic_checkpoint(tmp_path / "published.pth")
    assert "da_heads.scale.weight" in caplog.text
    state = conversion.mic_checkpoint(tmp_path / "published.pth", allow_unmatched=True)
    assert "student.backbone.fpn_lateral2.bias" in state and "alignment.image_classifiers.levels.3.2.weight" in state


def test_command_to_mic_det_and_back_with_a_fit_check(r50, tmp_path):
    config = ("--config-file", REPOSITORY / "configs/cs2foggy.yaml")
    torch.save({"model": r50.state_dict()}, tmp_path / "mic.pth")
    tool = "tools/convert_checkpoint.py"
    run_script(tool, tmp_path / "mic.pth", tmp_path / "published.pth", "--student", "--published")
    run = run_script(tool, tmp_path / "published.pth", tmp_path / "again.pth", *config, *R50)
    assert "Wrote" in run.stdout
    again = build_model(mic_det.load_config(REPOSITORY / "configs/cs2foggy.yaml", R50))
    load_weights(again, str(tmp_path / "again.pth"))
    for name, value in r50.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, msg=name)
    wrong = run_script(
        tool, tmp_path / "published.pth", tmp_path / "no.pth", *config, *R50, "MODEL.RESNETS.DEPTH", 101, check=False
    )
    assert wrong.returncode == 1 and "res4.22" in wrong.stdout + wrong.stderr and not (tmp_path / "no.pth").exists()
    taken = run_script(tool, tmp_path / "mic.pth", tmp_path / "again.pth", check=False)
    assert taken.returncode == 1 and "exists already" in taken.stderr


def test_a_plain_pickle_becomes_a_mic_checkpoint(r50, tmp_path):
    arrays = {name: value.numpy() for name, value in r50.student.state_dict().items()}
    (tmp_path / "zoo.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "x"}))
    state = conversion.mic_checkpoint(tmp_path / "zoo.pkl")
    conversion.check_fit(mic_det.load_config(REPOSITORY / "configs/cs2foggy_mic.yaml", R50), state)
    for name, value in r50.student.state_dict().items():
        assert torch.equal(state[f"student.{name}"], value) and torch.equal(state[f"teacher.model.{name}"], value)


def test_the_published_teacher_comes_from_its_own_file(tmp_path):
    student = published_state()
    teacher = {name.replace("module.", "ema_model."): value + 1 for name, value in student.items()}
    torch.save({"model": student}, tmp_path / "student.pth")
    torch.save({"model": teacher}, tmp_path / "teacher.pth")
    run_script(
        "tools/convert_checkpoint.py", tmp_path / "student.pth", tmp_path / "mic.pth", "--teacher-file", tmp_path / "teacher.pth"
    )
    state = torch.load(tmp_path / "mic.pth", weights_only=True)["model"]
    name = "backbone.fpn_lateral2.bias"
    assert torch.equal(state[f"teacher.model.{name}"], state[f"student.{name}"] + 1)
    assert sum(key.startswith("alignment.") for key in state) == 2


def test_the_published_layout_is_named_when_loaded_unconverted(r50, tmp_path):
    torch.save({"model": published_state()}, tmp_path / "published.pth")
    with pytest.raises(UserError, match="mic-det convert"):
        load_weights(r50, str(tmp_path / "published.pth"))


STOCK = """
import json, sys, torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg
from detectron2.data import build_detection_test_loader
from detectron2.data.datasets import register_coco_instances
from detectron2.engine import DefaultTrainer
from detectron2.evaluation import COCOEvaluator
config, json_file, image_root, output = sys.argv[1:]
register_coco_instances("toycity_val", {}, json_file, image_root)
cfg = get_cfg()
cfg.merge_from_file(config)
cfg.DATASETS.TEST, cfg.OUTPUT_DIR = ("toycity_val",), output
model = DefaultTrainer.build_model(cfg)
found = DetectionCheckpointer(model, save_dir=output).resume_or_load(cfg.MODEL.WEIGHTS, resume=False)
results = DefaultTrainer.test(cfg, model, [COCOEvaluator("toycity_val", output_dir=output, use_fast_impl=False)])
assert "mic_det" not in sys.modules
image = torch.randint(0, 256, (3, 64, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
with torch.no_grad():
    scores = model.eval()([{"image": image, "height": 64, "width": 128}])[0]["instances"].scores.tolist()
print("RESULT", json.dumps({"bbox": results["bbox"], "scores": scores}))
"""


def test_stock_detectron2_evaluates_the_exported_teacher(toycity, tiny_cfg, tmp_path):
    """The steps of detectron2's own `train_net.py --eval-only`, in a process that never imports mic_det."""
    torch.manual_seed(5)
    model = build_model(tiny_cfg(name="toycity")).eval()
    with torch.no_grad():
        model.teacher.model.roi_heads.box_predictor.cls_score.weight.normal_()
    torch.save({"model": model.state_dict()}, tmp_path / "mic.pth")
    run_script(
        *("tools/convert_checkpoint.py", tmp_path / "mic.pth", tmp_path / "plain.pth", "--teacher"),
        *("--config-file", REPOSITORY / "configs/toycity.yaml", *TINY),
    )
    assert "MIC" not in yaml.safe_load((tmp_path / "plain.yaml").read_text())["MODEL"]
    data = toycity / "toycity"
    command = [sys.executable, "-c", STOCK, tmp_path / "plain.yaml", data / "annotations/instances_val.json", data, tmp_path]
    run = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=240)
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout.split("RESULT", 1)[1])
    image = torch.randint(0, 256, (3, 64, 128), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        own = model.network("teacher")([{"image": image, "height": 64, "width": 128}])[0]["instances"].scores
    torch.testing.assert_close(torch.tensor(found["scores"]), own)


def test_a_student_with_our_backbone_has_no_stock_config():
    cfg = mic_det.load_config(REPOSITORY / "configs/cs2foggy_vgg16.yaml")
    with pytest.raises(UserError, match="no build_vgg_fpn_backbone"):
        conversion.stock_config(cfg, "x.pth")


def test_entries_beside_student_and_teacher_are_refused(r50, tmp_path):
    torch.save({"model": {**r50.state_dict(), "strange.weight": torch.zeros(1)}}, tmp_path / "mic.pth")
    with pytest.raises(UserError, match="1 entries of .* have no counterpart"):
        conversion.mic_checkpoint(tmp_path / "mic.pth")
    torch.save({"model": {**r50.state_dict(), "discriminator.0.weight": torch.zeros(1)}}, tmp_path / "mic.pth")
    with pytest.raises(UserError, match="1 entries of .* have no counterpart"):
        conversion.published_checkpoint(tmp_path / "mic.pth", "student")


def test_another_shape_is_called_that_whatever_is_allowed(r50):
    name = "roi_heads.box_head.fc1.bias"
    state = {**r50.student.state_dict(), name: torch.zeros(3)}
    cfg = mic_det.load_config(REPOSITORY / "configs/cs2foggy.yaml", R50)
    for allowed in (False, True):
        with pytest.raises(UserError, match=r"fc1\.bias is \(3,\) in the checkpoint, \(16,\) in the model") as caught:
            conversion.check_fit(cfg, state, allowed)
        assert "--allow-unmatched" not in str(caught.value)


def test_torchvisions_faster_rcnn_becomes_a_mic_checkpoint(tmp_path):
    from torchvision.models.detection import FasterRCNN
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    reference = FasterRCNN(resnet_fpn_backbone(backbone_name="resnet18", weights=None), num_classes=9).state_dict()
    torch.save(reference, tmp_path / "fasterrcnn.pth")
    state = conversion.mic_checkpoint(tmp_path / "fasterrcnn.pth")
    r18 = ("MODEL.DEVICE", "cpu", "MODEL.RESNETS.DEPTH", 18, "MODEL.RESNETS.RES2_OUT_CHANNELS", 64)
    conversion.check_fit(mic_det.load_config(REPOSITORY / "configs/cs2foggy_mic.yaml", r18), state)
    torch.save({**reference, "backbone.body.layer1.0.se.weight": torch.zeros(1)}, tmp_path / "strange.pth")
    with pytest.raises(UserError, match="1 entries of .* have no counterpart"):
        conversion.mic_checkpoint(tmp_path / "strange.pth")


def test_the_tool_writes_over_nothing(tmp_path):
    torch.save({"model": published_state()}, tmp_path / "in.pth")
    before = (tmp_path / "in.pth").read_bytes()
    (tmp_path / "mine.yaml").write_text("MODEL: {}")
    run = run_script("tools/convert_checkpoint.py", tmp_path / "in.pth", tmp_path / "in.pth", check=False)
    assert run.returncode == 1 and "in.pth exists already" in run.stderr and (tmp_path / "in.pth").read_bytes() == before
    command = (tmp_path / "in.pth", tmp_path / "mine.pth", "--teacher", "--config-file", tmp_path / "mine.yaml")
    run = run_script("tools/convert_checkpoint.py", *command, check=False)
    assert run.returncode == 1 and "mine.yaml exists already" in run.stderr
