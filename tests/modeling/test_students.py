"""Every kind of student: its config trains and evaluates, and with weights of one its masked losses are detectron2's own."""

import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY, build_model
from detectron2.structures import ImageList
from detectron2.utils.events import EventStorage

import mic_det
from mic_det.adaptation import AdaptationBatch
from mic_det.engine import AdaptationTrainer
from mic_det.errors import UserError
from mic_det.evaluation import evaluate_network
from mic_det.modeling.sample_weights import SampleWeights
from mic_det.modeling.students.two_stage import best_of_batch
from mic_det.tasks import task_of
from tests.conftest import REPOSITORY
from tests.modeling.test_detector import sample
from tests.modeling.test_sample_weights import make_labels

SMALL = [
    *("MODEL.DEVICE", "cpu", "SEED", 1, "DATALOADER.NUM_WORKERS", 0, "MODEL.WEIGHTS", "", "LOG.PERIOD", 1, "SOLVER.MAX_ITER", 2),
    *("DATASETS.TRAIN", ("toycity_train",), "DATASETS.TARGET", ("toycity_foggy_all_train",), "DATASETS.TEST", ("toycity_val",)),
    *("INPUT.MIN_SIZE_TRAIN", (64,), "INPUT.MAX_SIZE_TRAIN", 128, "INPUT.MIN_SIZE_TEST", 64, "INPUT.MAX_SIZE_TEST", 128),
    # Frozen batch statistics fit trained weights only; an untrained detector's scores are small.
    *("MODEL.RESNETS.NORM", "GN", "MODEL.MIC.PSEUDO_LABELS.THRESHOLD", 0.01, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.005),
    *("MODEL.RETINANET.SCORE_THRESH_TEST", 0.005, "MODEL.RPN.POST_NMS_TOPK_TRAIN", 100, "MODEL.RPN.POST_NMS_TOPK_TEST", 30),
    *("MODEL.VIT.IMG_SIZE", 128, "SOLVER.STEPS", ()),
]
STUDENTS = ("retinanet", "mask_rcnn", "cascade_rcnn", "r101", "vgg16", "vitdet_b", "convnext_t", "reference")


def student_cfg(name, *overrides):
    return mic_det.load_config(REPOSITORY / f"configs/cs2foggy_{name}.yaml", [*SMALL, *overrides])


@pytest.mark.parametrize("name", STUDENTS)
def test_config_trains_two_iterations_and_evaluates(datasets, tmp_path, name):
    cfg = student_cfg(name, "OUTPUT_DIR", str(tmp_path))
    trainer = AdaptationTrainer(cfg)
    before = {key: value.clone() for key, value in trainer.core.student.named_parameters() if value.requires_grad}
    with EventStorage() as trainer.storage:
        for trainer.iter in range(2):
            trainer.run_step()
    means = trainer.meters.read()
    masked = {key for key in means if key.endswith("_mask")}
    assert masked and all(torch.isfinite(torch.tensor(means[key])) for key in means), means
    assert ("loss_mask_mask" in masked) == (name == "mask_rcnn")
    assert ("loss_align_instance" in means) == (name != "retinanet") and 0 <= means["align_image_accuracy"] <= 1
    moved = [
        key for key, value in trainer.core.student.named_parameters() if key in before and not torch.equal(before[key], value)
    ]
    assert any(key.startswith("backbone") for key in moved) and not all(key.startswith("backbone") for key in moved)
    metrics = evaluate_network(task_of(cfg), cfg, trainer.core.network("teacher"), "toycity_val")
    assert 0 <= metrics["AP50"] <= 100
    assert ("mask_AP50" in metrics) == (name == "mask_rcnn")


@pytest.fixture(params=["retinanet", "cascade_rcnn", "mask_rcnn"])
def core(request, datasets):
    torch.manual_seed(0)
    cfg = student_cfg(request.param, "MODEL.MIC.PSEUDO_LABELS.BOX_REGRESSION", True, "MODEL.MIC.ALIGN.ENABLED", False)
    core = build_model(cfg).train()
    core.adapter.weights = SampleWeights("none")
    return core


def with_masks(labels, core):
    """Rectangular masks in the lower halves of the boxes."""
    from detectron2.structures import BitMasks

    if core.adapter.learn_masks:
        for label in labels:
            masks = torch.zeros(len(label.instances), 64, 128, dtype=torch.bool)
            for mask, (x0, y0, x1, y1) in zip(masks, label.instances.gt_boxes.tensor.int().tolist(), strict=True):
                mask[(y0 + y1) // 2 : y1, x0:x1] = True
            label.instances.gt_masks = BitMasks(masks)
    return labels


def test_weights_of_one_give_detectron2s_own_losses(core):
    images = ImageList(torch.randn(2, 3, 64, 128, generator=torch.Generator().manual_seed(1)), [(64, 128)] * 2)
    labels = with_masks(make_labels(), core)
    instances, student = [label.instances for label in labels], core.student
    with EventStorage():
        torch.manual_seed(2)
        found = core.pseudo_box_losses(images, labels)
        torch.manual_seed(2)
        features = student.backbone(images.tensor)
        if hasattr(student, "head"):
            features = [features[name] for name in student.head_in_features]
            expected = student.forward_training(images, features, student.head(features), instances)
            # detectron2 divides by a running count of positive anchors, we by this batch's.
            anchors = student.anchor_generator(features)
            classes = torch.stack(student.label_anchors(anchors, instances)[0])
            positives = ((classes >= 0) & (classes < 8)).sum()
            expected = {name: loss * student.loss_normalizer / positives for name, loss in expected.items()}
        else:
            proposals, expected = student.proposal_generator(images, features, instances)
            expected.update(student.roi_heads(images, features, proposals, instances)[1])
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_half_the_teachers_trust_halves_every_loss(core):
    core.adapter.box_regression = False
    core.adapter.weights = SampleWeights("teacher_score")
    images = ImageList(torch.randn(2, 3, 64, 128, generator=torch.Generator().manual_seed(1)), [(64, 128)] * 2)
    losses = []
    for scores in (((0.9, 0.6), (0.8,)), ((0.45, 0.3), (0.4,))):
        torch.manual_seed(2)
        with EventStorage():
            losses.append(core.pseudo_box_losses(images, with_masks(make_labels(scores=scores), core)))
    assert set(losses[0]) == set(losses[1])
    for name, value in losses[0].items():
        torch.testing.assert_close(losses[1][name], value / 2)


def test_pseudo_masks_come_from_the_teacher(datasets):
    torch.manual_seed(0)
    core = build_model(student_cfg("mask_rcnn")).train()
    images = core.student.preprocess_image([sample(labelled=False)])
    prediction = core.teacher_predictions(images)[0]
    label = core.pseudo_labels([prediction])[0]
    assert len(label.instances) > 0
    box, mask = label.instances.gt_boxes.tensor[0], label.instances.gt_masks.tensor[0]
    outside = mask.clone()
    outside[int(box[1]) : int(box[3]) + 1, int(box[0]) : int(box[2]) + 1] = False
    assert mask.shape == (64, 128) and not outside.any()


def test_reference_proposals_are_the_best_of_the_whole_batch(tiny_cfg):
    from detectron2.structures import Instances

    parts = [Instances((8, 8), objectness_logits=torch.tensor(scores)) for scores in ([3.0, 1, 0.5], [2.0, 0.2], [-1.0])]
    kept = best_of_batch(parts, 3)
    assert [part.objectness_logits.tolist() for part in kept] == [[3.0, 1], [2.0], []]
    assert best_of_batch(parts, 6) == parts


@pytest.mark.parametrize("switch", [False, True])
def test_reference_box_around_the_target_image(tiny_cfg, switch):
    """Off by default, and no ground truth ever enters the target's proposals."""
    torch.manual_seed(0)
    model = build_model(tiny_cfg("MODEL.MIC.REFERENCE.TARGET_IMAGE_BOX", switch, name="toycity")).train()
    target = model.student.preprocess_image([sample(labelled=False, seed=4)])
    with EventStorage():
        _, _, features = model.adapter.aligned_losses(model.student, [sample(seed=1)], target)
    whole = torch.tensor([0.0, 0.0, 127.0, 63.0])
    assert bool((features.boxes[0].tensor == whole).all(dim=1).any()) == switch


def test_alignment_uses_the_features_the_box_head_computed(tiny_cfg):
    torch.manual_seed(0)
    model = build_model(tiny_cfg(name="toycity")).train()
    target = model.student.preprocess_image([sample(labelled=False, seed=4)])
    with EventStorage():
        losses, source, _ = model.adapter.aligned_losses(model.student, [sample(seed=1)], target)
    heads = model.student.roi_heads
    again = heads.box_head(heads.box_pooler(source.maps[:4], source.boxes))
    torch.testing.assert_close(source.instances, again)
    assert len(again) == sum(len(boxes) for boxes in source.boxes)
    torch.manual_seed(3)
    with EventStorage():
        own = model.student([sample(seed=1)])
        torch.manual_seed(3)
        losses, _, _ = model.adapter.aligned_losses(model.student, [sample(seed=1)], target)
    assert set(own) == set(losses)
    for name, value in own.items():
        torch.testing.assert_close(losses[name], value)


def test_alignment_scales_both_domains_alike_below_a_cascades_head(datasets):
    torch.manual_seed(0)
    model = build_model(student_cfg("cascade_rcnn")).train()
    student, shown = model.student, sample(seed=1)
    pooled = []
    student.roi_heads.box_pooler.register_forward_hook(
        lambda module, inputs, output: output.retain_grad() or pooled.append(output)
    )
    with EventStorage():
        _, source, target = model.adapter.aligned_losses(student, [shown], student.preprocess_image([shown]))
    first = student.roi_heads.box_head[0]
    for domain, region in ((source, pooled[0]), (target, pooled[-1])):
        domain.instances.sum().backward(retain_graph=True)
        reached = region.grad.clone()
        own = region.detach().requires_grad_()
        first(own).sum().backward()
        torch.testing.assert_close(reached, own.grad / 3)


def test_retinanets_running_normalizer_survives_a_resume(datasets, tmp_path):
    cfg = student_cfg("retinanet", "OUTPUT_DIR", str(tmp_path))
    trainer = AdaptationTrainer(cfg)
    with EventStorage() as trainer.storage:
        trainer.iter = 0
        trainer.run_step()
    trainer.save("model_0000001")
    resumed = AdaptationTrainer(cfg)
    resumed.resume()
    assert resumed.core.student.loss_normalizer == trainer.core.student.loss_normalizer != 100


def test_students_that_cannot_be_weighted_are_named(tiny_cfg):
    @META_ARCH_REGISTRY.register()
    class NobodysDetector(torch.nn.Module):
        def __init__(self, cfg):
            super().__init__()

    with pytest.raises(UserError, match=r"NobodysDetector cannot be weighted.*no StudentAdapter.*GeneralizedRCNN, RetinaNet"):
        build_model(tiny_cfg("MODEL.MIC.STUDENT", "NobodysDetector"))
    with pytest.raises(UserError, match="Res5ROIHeads cannot be weighted"):
        build_model(
            tiny_cfg("MODEL.ROI_HEADS.NAME", "Res5ROIHeads", "MODEL.ROI_HEADS.IN_FEATURES", ["p4"], "MODEL.RESNETS.DEPTH", 50)
        )
    with pytest.raises(UserError, match="set MODEL.MASK_ON True"):
        build_model(tiny_cfg("MODEL.MIC.PSEUDO_LABELS.MASKS", True))


def test_losses_of_a_whole_step_are_finite_on_mixed_sizes(datasets):
    torch.manual_seed(0)
    core = build_model(student_cfg("cascade_rcnn")).train()
    batch = AdaptationBatch(
        [sample(64, 128, boxes=2, seed=1), sample(96, 64, boxes=1, seed=2)], [sample(50, 70, labelled=False, seed=3)]
    )
    with EventStorage():
        losses = core(batch)
    assert all(torch.isfinite(loss) for loss in losses.values())


@pytest.mark.parametrize(("name", "kind"), [("toycity", "GeneralizedRCNN"), ("retinanet", "RetinaNet")])
def test_reference_padding_gives_source_and_target_one_size(tiny_cfg, name, kind):
    """Zeros below and to the right up to the larger height and width, as if both were one batch; off by default."""
    for switch in (False, True):
        options = ("MODEL.MIC.REFERENCE.ALIGN_PADDING", switch)
        torch.manual_seed(0)
        cfg = tiny_cfg(*options, name=name) if name == "toycity" else student_cfg(name, *options)
        model = build_model(cfg).train()
        assert type(model.student).__name__ == kind
        wide, high = sample(32, 128, seed=1), sample(96, 64, labelled=False, seed=2)
        wide["instances"].gt_boxes.clip((32, 128))
        target = model.student.preprocess_image([high])
        with EventStorage():
            _, source, aligned = model.adapter.aligned_losses(model.student, [wide], target)
        sizes = [tuple(domain.images.tensor.shape[-2:]) for domain in (source, aligned)]
        assert sizes == ([(96, 128)] * 2 if switch else [(32, 128), (96, 64)])
        assert [domain.images.image_sizes for domain in (source, aligned)] == [[(32, 128)], [(96, 64)]]
        if switch:
            both = model.student.preprocess_image([wide, high])
            assert torch.equal(torch.cat([source.images.tensor, aligned.images.tensor]), both.tensor)
            maps = zip(source.maps, aligned.maps, strict=True)
            assert all(own.shape[-2:] == other.shape[-2:] for own, other in maps)


def test_no_weight_is_no_weight_whatever_the_reference_switch(tiny_cfg):
    """RPN_WEIGHT_GRADIENT keeps the gradient of student_max's weight; with other weights there is none to keep."""
    torch.manual_seed(0)
    model = build_model(tiny_cfg("MODEL.MIC.REFERENCE.RPN_WEIGHT_GRADIENT", True)).train()
    images = ImageList(torch.randn(2, 3, 64, 128, generator=torch.Generator().manual_seed(1)), [(64, 128)] * 2)
    for weighting in ("none", "teacher_score"):
        model.adapter.weights, found = SampleWeights(weighting), []
        for switch in (True, False):
            model.adapter.rpn_weight_gradient = switch
            torch.manual_seed(2)
            with EventStorage():
                found.append(model.pseudo_box_losses(images, make_labels())["loss_rpn_cls"])
        assert torch.equal(*found)
