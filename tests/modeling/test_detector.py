import copy

import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY, build_model
from detectron2.structures import Boxes, Instances
from detectron2.utils.events import EventStorage

from mic_det.adaptation import AdaptationBatch
from mic_det.errors import UserError


def sample(height=64, width=128, boxes=1, labelled=True, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randint(0, 256, (3, height, width), dtype=torch.uint8, generator=generator)
    result = {"image": image, "height": height, "width": width}
    if labelled:
        result["instances"] = Instances((height, width))
        result["instances"].gt_boxes = Boxes(torch.tensor([[5.0 + i, 5, 40 + i, 50] for i in range(boxes)]).reshape(-1, 4))
        result["instances"].gt_classes = torch.arange(boxes) % 8
    return result


@pytest.fixture
def build(tiny_cfg):
    def build(*overrides):
        torch.manual_seed(0)
        return build_model(tiny_cfg(*overrides)).train()

    return build


def losses_of(model, batch, seed=1):
    torch.manual_seed(seed)
    with EventStorage():
        return model(batch)


def test_state_dict_holds_student_and_teacher(build):
    model = build()
    student = {name.removeprefix("student.") for name in model.state_dict() if name.startswith("student.")}
    teacher = {name.removeprefix("teacher.model.") for name in model.state_dict() if name.startswith("teacher.model.")}
    assert student == teacher and len(student) + len(teacher) == len(model.state_dict())
    assert META_ARCH_REGISTRY.get("MaskedConsistencyDetector") is type(model)


def test_without_target_the_losses_are_the_students_own(build):
    model = build()
    source = [sample(seed=1), sample(seed=2, boxes=3)]
    found = losses_of(model, AdaptationBatch(source))
    torch.manual_seed(1)
    with EventStorage():
        expected = model.student(source)
    assert set(found) == set(expected)
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_target_adds_masked_losses_and_diagnostics(build):
    model = build()
    batch = AdaptationBatch([sample(seed=1)], [sample(labelled=False, seed=2), sample(labelled=False, seed=3)])
    losses = losses_of(model, batch)
    assert {"loss_cls_mask", "loss_rpn_cls_mask"} <= set(losses)
    assert model.diagnostics["pseudo_boxes_per_image"] > 0
    assert model.diagnostics["source_boxes_per_image"] == 1
    assert 0.2 < model.diagnostics["masked_fraction"] < 0.8
    assert 0.05 <= model.diagnostics["pseudo_score"] <= 1
    sum(losses.values()).backward()
    assert all(p.grad is None for p in model.teacher.parameters())
    assert all(p.grad is not None for p in model.student.parameters() if p.requires_grad)


def test_no_confident_box_no_masked_loss(build):
    model = build("MODEL.MIC.PSEUDO_LABELS.THRESHOLD", 1.0)
    losses = losses_of(model, AdaptationBatch([sample()], [sample(labelled=False)]))
    assert not any(name.endswith("_mask") for name in losses)
    assert model.diagnostics["pseudo_boxes_per_image"] == 0


@pytest.mark.parametrize(("source_count", "target_count"), [(1, 1), (1, 3), (3, 1)])
def test_mixed_sizes_and_counts(build, source_count, target_count):
    model = build()
    sizes = [(64, 128), (50, 70), (96, 64)]
    source = [sample(*sizes[i], boxes=i, seed=i) for i in range(source_count)]
    target = [sample(*sizes[i], labelled=False, seed=9 + i) for i in range(target_count)]
    losses = losses_of(model, AdaptationBatch(source, target))
    assert all(torch.isfinite(loss) for loss in losses.values())
    assert "loss_cls_mask" in losses


def test_pseudo_boxes_lie_in_network_input_coordinates(build):
    """A sample's "height" and "width", the original size, must not rescale the pseudo boxes."""
    model = build()
    target = sample(labelled=False)
    images = model.student.preprocess_image([target])
    plain = model.teacher_predictions(images)
    huge = model.student.preprocess_image([{**target, "height": 640, "width": 1280}])
    assert torch.equal(plain[0].pred_boxes.tensor, model.teacher_predictions(huge)[0].pred_boxes.tensor)
    assert plain[0].image_size == (64, 128)


def test_target_labels_change_nothing(build):
    model = build()
    clean = AdaptationBatch([sample(seed=1)], [sample(labelled=False, seed=2)])
    leaky = copy.deepcopy(clean)
    leaky.target[0]["instances"] = sample(boxes=5)["instances"]
    first, second = losses_of(model, clean), losses_of(model, leaky)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_mask_ratio_zero_shows_the_student_the_complete_image(build):
    model = build(*("MODEL.MIC.MASK.RATIO", 0.0, "MODEL.MIC.AUGMENT.JITTER", 0.0, "MODEL.MIC.AUGMENT.BLUR_PROB", 0.0))
    images = model.student.preprocess_image([sample()])
    assert torch.equal(model.consistency.view(images.tensor)[0], images.tensor)


def test_inference_runs_the_one_that_is_named(build):
    inputs = [sample(labelled=False)]
    model = build()
    with torch.no_grad():
        for parameter in model.student.roi_heads.parameters():
            parameter.add_(0.05)
    model.eval()
    with torch.no_grad():
        teacher, student = model.network("teacher")(inputs), model.network("student")(inputs)
        assert torch.equal(model(inputs)[0]["instances"].scores, teacher[0]["instances"].scores)
        model.inference_model = "student"
        assert torch.equal(model(inputs)[0]["instances"].scores, student[0]["instances"].scores)
    assert not torch.equal(teacher[0]["instances"].scores, student[0]["instances"].scores)


def test_wrong_names_are_explained(build):
    with pytest.raises(UserError, match=r"GeneralisedRCNN.*Did you mean 'GeneralizedRCNN'"):
        build("MODEL.MIC.STUDENT", "GeneralisedRCNN")
    with pytest.raises(ValueError, match="MODEL.MIC.INFERENCE"):
        build("MODEL.MIC.INFERENCE", "ema")


def test_values_out_of_range_are_one_sentence(build):
    with pytest.raises(UserError, match="MODEL.MIC: The mask ratio must lie in"):
        build("MODEL.MIC.MASK.RATIO", 1.5)
    with pytest.raises(UserError, match="2 entries for 8 classes"):
        build("MODEL.MIC.PSEUDO_LABELS.CLASS_THRESHOLDS", (0.5, 0.6))


def test_only_teacher_and_student_can_be_asked_for(tiny_cfg):
    model = build_model(tiny_cfg())
    assert model.network("teacher") is model.teacher.model and model.network("student") is model.student
    with pytest.raises(UserError, match="no 'taecher'. Did you mean 'teacher'"):
        model.network("taecher")
