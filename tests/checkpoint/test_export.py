"""Exported files give what the network says, also on images (detectors: and sizes) that they were not traced with."""

import json

import cv2
import numpy as np
import pytest
import torch
from detectron2.modeling import build_model

from mic_det.checkpoint.export import CLASS_PROBABILITIES, DETECTIONS, PIXEL_PROBABILITIES, detections, export
from mic_det.errors import UserError
from mic_det.tasks import task_of
from tests.conftest import REPOSITORY, TINY, run_script
from tests.modeling.test_students import student_cfg


def spread(model):
    """Untrained scores are nearly equal; their order must not hang on rounding."""
    for name, parameter in model.named_parameters():
        if name.endswith(("cls_score.weight", "objectness_logits.weight", "classifier.weight")):
            torch.nn.init.normal_(parameter, std=0.5)


def run_onnx(path, image):
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image.numpy()})


def test_onnx_command(toycity, tiny_cfg, tmp_path):
    torch.manual_seed(0)
    model = build_model(tiny_cfg(name="toycity")).eval()
    spread(model.teacher.model)
    torch.save({"model": model.state_dict()}, tmp_path / "mic.pth")
    pictures = sorted((toycity / "toycity/leftImg8bit/val").rglob("*.png"))
    run = run_script(
        *("tools/export_model.py", "--config-file", REPOSITORY / "configs/toycity.yaml", "--output", tmp_path / "m.onnx"),
        *("--image", pictures[0], *TINY, "MODEL.WEIGHTS", tmp_path / "mic.pth"),
    )
    assert "differ from the teacher's by at most" in run.stdout
    description = json.loads((tmp_path / "m.onnx.json").read_text())
    assert description["classes"][0] == "person" and description["outputs"] == ["boxes", "scores", "classes"]
    for path in pictures[1:3]:
        image = cv2.imread(str(path))
        for size in ((128, 64), (160, 96)):
            tensor = torch.from_numpy(np.ascontiguousarray(cv2.resize(image, size).transpose(2, 0, 1)))
            with torch.no_grad():
                boxes, scores, classes = detections(model.network("teacher"), [{"image": tensor}])
            found = run_onnx(tmp_path / "m.onnx", tensor)
            assert len(boxes) > 5
            np.testing.assert_allclose(found[0], boxes.numpy(), atol=1e-3)
            np.testing.assert_allclose(found[1], scores.numpy(), atol=1e-3)
            assert (found[2] == classes.numpy()).all()


@pytest.mark.parametrize(
    ("name", "kind"), [("cascade_rcnn", "onnx"), ("retinanet", "torchscript"), ("convnext_t", "torchscript")]
)
def test_other_students(datasets, tmp_path, name, kind):
    torch.manual_seed(0)
    detector = build_model(student_cfg(name)).eval().network("student")
    spread(detector)
    image = torch.randint(0, 256, (3, 64, 128), dtype=torch.uint8)
    assert export(detector, DETECTIONS, tmp_path / f"m.{kind}", kind, image, {}) <= 1e-3


@pytest.mark.parametrize(
    "options",
    [
        ("TEST.SEM_SEG.WINDOW", (48, 64), "TEST.SEM_SEG.WINDOW_STRIDE", (32, 40), "TEST.SEM_SEG.FLIP", True),
        ("MODEL.LANGUAGE_HEAD.ENABLED", True, "MODEL.LANGUAGE_HEAD.TEXT_BANK", "random", "TEST.SEM_SEG.DECODER", "mean")
        + ("MODEL.MIC.MASK.IMAGES", "source_and_mixed"),
        ("MODEL.MIC.STUDENT", "HRDA", "MODEL.HRDA.DETAIL_CROP", (32, 64)),
    ],
    ids=["windows", "language", "hrda"],
)
def test_segmentation_networks(tiny_seg_cfg, tmp_path, options):
    torch.manual_seed(0)
    network = build_model(tiny_seg_cfg(*options)).eval().network("student")
    spread(network)
    images = torch.randint(0, 256, (2, 3, 64, 96), dtype=torch.uint8)
    assert export(network, PIXEL_PROBABILITIES, tmp_path / "m.onnx", "onnx", images[0], {}) <= 1e-3
    with torch.no_grad():
        expected = network([{"image": images[1]}])[0]["sem_seg"]
    assert float(expected.std()) > 0.01
    np.testing.assert_allclose(run_onnx(tmp_path / "m.onnx", images[1])[0], expected.numpy(), atol=1e-4)


def test_hrda_attention_is_called_so(tiny_seg_cfg, tmp_path):
    cfg = tiny_seg_cfg("MODEL.MIC.STUDENT", "HRDA", "MODEL.HRDA.DETAIL_CROP", (32, 64), "MODEL.HRDA.OUTPUT", "att")
    network, answers = build_model(cfg).eval().network("student"), task_of(cfg).answers(cfg)
    export(network, answers, tmp_path / "m.ts", "torchscript", torch.zeros(3, 64, 96, dtype=torch.uint8), {})
    assert json.loads((tmp_path / "m.ts.json").read_text())["outputs"] == ["attention"]
    assert torch.jit.load(str(tmp_path / "m.ts"))(torch.zeros(3, 64, 96, dtype=torch.uint8))[0].shape == (1, 64, 96)


def test_classifiers(tiny_cls_cfg, tmp_path):
    torch.manual_seed(0)
    network = build_model(tiny_cls_cfg()).eval().network("student")
    spread(network)
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert export(network, CLASS_PROBABILITIES, tmp_path / "m.ts", "torchscript", images[0], {}) <= 1e-3
    with torch.no_grad():
        expected = network([{"image": images[1]}])[0]["scores"]
    torch.testing.assert_close(torch.jit.load(str(tmp_path / "m.ts"))(images[1])[0], expected)


def test_a_file_that_differs_is_refused(tiny_cfg, tmp_path, monkeypatch):
    torch.manual_seed(0)
    detector = build_model(tiny_cfg()).eval().network("student")
    image = torch.randint(0, 256, (3, 64, 128), dtype=torch.uint8)
    monkeypatch.setattr(
        "torch.jit.load", lambda path: lambda example: [part + 1 for part in detections(detector, [{"image": example}])]
    )
    with pytest.raises(UserError, match="is not written: it would differ"):
        export(detector, DETECTIONS, tmp_path / "m.ts", "torchscript", image, {})
