import pytest
import torch
import torch.nn.functional as F
from detectron2.modeling import build_model
from detectron2.structures import Boxes, ImageList, Instances, pairwise_iou
from detectron2.utils.events import EventStorage
from hypothesis import given, settings
from hypothesis import strategies as st

from mic_det.adaptation import PseudoBoxes
from mic_det.modeling.sample_weights import SampleWeights, teacher_weights

BOXES = [[[10.0, 8, 40, 30], [60, 20, 90, 60]], [[30.0, 5, 120, 50]]]


def make_labels(boxes=BOXES, scores=((0.9, 0.6), (0.8,)), uncertain=()):
    labels = []
    for own, score in zip(boxes, scores, strict=True):
        instances = Instances((64, 128))
        instances.gt_boxes = Boxes(torch.tensor(own).reshape(-1, 4))
        instances.gt_classes = torch.arange(len(own)) % 8
        instances.gt_scores = torch.tensor(score)
        labels.append(PseudoBoxes(instances, Boxes(torch.tensor(uncertain, dtype=torch.float32).reshape(-1, 4))))
    return labels


@pytest.fixture
def model(tiny_cfg):
    torch.manual_seed(0)
    return build_model(tiny_cfg()).train()


@pytest.fixture
def student(model):
    student = model.student
    # Scores of an untrained head are all equal; make them differ, so that weights matter.
    torch.nn.init.normal_(student.roi_heads.box_predictor.cls_score.weight, std=0.5)
    torch.nn.init.normal_(student.proposal_generator.rpn_head.objectness_logits.weight, std=0.5)
    return student


@pytest.fixture
def images():
    torch.manual_seed(1)
    return ImageList(torch.randn(2, 3, 64, 128), [(64, 128)] * 2)


@pytest.fixture
def run(model, student):
    def run(student, images, labels, seed=2, weighting="teacher_score", box_regression=False, rpn_weight_gradient=False):
        model.adapter.weights = SampleWeights(weighting)
        model.adapter.box_regression = box_regression
        model.adapter.rpn_weight_gradient = rpn_weight_gradient
        torch.manual_seed(seed)
        with EventStorage():
            return model.pseudo_box_losses(images, labels)

    return run


def detectron2_losses(student, images, labels, seed=2):
    torch.manual_seed(seed)
    instances = [label.instances for label in labels]
    with EventStorage():
        features = student.backbone(images.tensor)
        proposals, losses = student.proposal_generator(images, features, instances)
        losses.update(student.roi_heads(images, features, proposals, instances)[1])
    return losses


def test_weights_of_one_give_detectron2s_own_losses(run, student, images):
    found = run(student, images, make_labels(), weighting="none", box_regression=True)
    expected = detectron2_losses(student, images, make_labels())
    assert set(found) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)


def test_full_teacher_scores_give_the_unweighted_losses(run, student, images):
    sure = make_labels(scores=((1.0, 1.0), (1.0,)))
    for name, value in run(student, images, sure, weighting="teacher_score").items():
        torch.testing.assert_close(value, run(student, images, sure, weighting="none")[name])


def test_losses_are_linear_in_teacher_scores(run, student, images):
    full, half = make_labels(), make_labels(scores=((0.45, 0.3), (0.4,)))
    expected = run(student, images, full)
    for name, value in run(student, images, half).items():
        torch.testing.assert_close(value, expected[name] / 2)


def capture_samples(student, monkeypatch):
    """Record what the box head samples and predicts and what the RPN samples."""
    seen = {}
    heads, rpn = student.roi_heads, student.proposal_generator
    sample, predict, assign = heads.label_and_sample_proposals, heads.box_predictor.forward, rpn.label_and_sample_anchors
    head = rpn.rpn_head.forward

    def keep(name, function):
        def call(*args):
            seen[name] = function(*args)
            return seen[name]

        return call

    monkeypatch.setattr(heads, "label_and_sample_proposals", keep("samples", sample))
    monkeypatch.setattr(heads.box_predictor, "forward", keep("predictions", predict))
    monkeypatch.setattr(rpn, "label_and_sample_anchors", keep("anchor_labels", assign))
    monkeypatch.setattr(rpn.rpn_head, "forward", keep("rpn_outputs", head))
    return seen


def test_teacher_score_equals_a_loop_over_samples(run, student, images, monkeypatch):
    seen = capture_samples(student, monkeypatch)
    labels = make_labels()
    found = run(student, images, labels, weighting="teacher_score")

    scores = seen["predictions"][0].split([len(sample) for sample in seen["samples"]])
    terms = []
    for label, sample, own in zip(labels, seen["samples"], scores, strict=True):
        for index in range(len(sample)):
            kind = sample.gt_classes[index]
            overlaps = pairwise_iou(label.instances.gt_boxes, sample.proposal_boxes[index])[:, 0]
            best = label.instances.gt_scores[overlaps.argmax()]
            weight = best if kind < 8 else label.instances.gt_scores.mean()
            terms.append(weight * F.cross_entropy(own[index : index + 1], kind[None]))
    torch.testing.assert_close(found["loss_cls"], torch.stack(terms).mean())
    assert any(kind < 8 for sample in seen["samples"] for kind in sample.gt_classes)

    anchors = student.proposal_generator.anchor_generator(
        [torch.zeros(1, 1, *level.shape[2:]) for level in seen["rpn_outputs"][0]]
    )
    anchors = torch.cat([level.tensor for level in anchors])
    logits = torch.cat([level.permute(0, 2, 3, 1).flatten(1) for level in seen["rpn_outputs"][0]], dim=1)
    total = 0
    for label, targets, own in zip(labels, seen["anchor_labels"][0], logits, strict=True):
        for index in torch.nonzero(targets >= 0)[:, 0]:
            overlaps = pairwise_iou(label.instances.gt_boxes, Boxes(anchors[index][None]))[:, 0]
            weight = label.instances.gt_scores[overlaps.argmax()] if targets[index] == 1 else label.instances.gt_scores.mean()
            total += weight * F.binary_cross_entropy_with_logits(own[index], targets[index].float())
    torch.testing.assert_close(found["loss_rpn_cls"], total / (128 * 2))


corner = st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(1, 60), st.integers(1, 60))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(corner, st.floats(0, 1, width=32)), min_size=1, max_size=5),
    st.lists(st.tuples(corner, st.booleans()), min_size=1, max_size=8),
)
def test_teacher_weights_equal_a_loop(pseudo, samples):
    def boxes(corners):
        return Boxes(torch.tensor([[x, y, x + w, y + h] for x, y, w, h in corners], dtype=torch.float32))

    instances = Instances(
        (200, 200), gt_boxes=boxes([box for box, _ in pseudo]), gt_scores=torch.tensor([score for _, score in pseudo])
    )
    is_object = torch.tensor([flag for _, flag in samples])
    weights = teacher_weights(is_object, boxes([box for box, _ in samples]), instances)
    mean = sum(score for _, score in pseudo) / len(pseudo)
    for index, (box, flag) in enumerate(samples):
        overlaps = pairwise_iou(instances.gt_boxes, boxes([box]))[:, 0]
        best = {round(pseudo[i][1], 6) for i in range(len(pseudo)) if overlaps[i] == overlaps.max()}
        assert round(weights[index].item(), 6) in best if flag else weights[index].item() == pytest.approx(mean, abs=1e-5)


def test_student_max_is_detached_and_matches_the_published_formula(run, student, images, monkeypatch):
    seen = capture_samples(student, monkeypatch)
    found = run(student, images, make_labels(), weighting="student_max")
    scores = seen["predictions"][0]
    kinds = torch.cat([sample.gt_classes for sample in seen["samples"]])
    quality = scores.softmax(1).max(1).values.detach()
    expected = (quality * F.cross_entropy(scores, kinds, reduction="none")).mean()
    torch.testing.assert_close(found["loss_cls"], expected)
    weight = student.roi_heads.box_predictor.cls_score.weight
    own, reference = (torch.autograd.grad(loss, weight, retain_graph=True)[0] for loss in (found["loss_cls"], expected))
    torch.testing.assert_close(own, reference)


def test_no_box_regression_means_no_gradient_to_box_coordinates(run, student, images):
    losses = run(student, images, make_labels())
    assert set(losses) == {"loss_rpn_cls", "loss_cls"}
    sum(losses.values()).backward()
    assert student.roi_heads.box_predictor.bbox_pred.weight.grad is None
    assert student.proposal_generator.rpn_head.anchor_deltas.weight.grad is None
    assert student.backbone.bottom_up.stem.conv1.weight.grad.abs().sum() > 0


def test_images_without_pseudo_boxes_only_count_in_the_mean(run, student, images):
    labels = make_labels(boxes=[BOXES[0], []], scores=((0.9, 0.6), ()))
    alone = run(student, ImageList(images.tensor[:1], images.image_sizes[:1]), labels[:1])
    for name, value in run(student, images, labels).items():
        torch.testing.assert_close(value, alone[name] / 2)
    assert run(student, images, make_labels(boxes=[[], []], scores=((), ()))) == {}


def test_uncertain_regions_are_ignored_as_background(run, student, images):
    covers_all = make_labels(uncertain=[[0, 0, 128, 64]])
    # Only foreground is left; weights of one make it detectron2's loss over foreground samples.
    with_band = run(student, images, covers_all, weighting="none")
    without = run(student, images, make_labels(), weighting="none")
    assert 0 < with_band["loss_cls"] < without["loss_cls"]
    assert 0 < with_band["loss_rpn_cls"] < without["loss_rpn_cls"]
    far_away = run(student, images, make_labels(uncertain=[[0, 0, 0.5, 0.5]]), weighting="none")
    torch.testing.assert_close(far_away["loss_cls"], without["loss_cls"])


def test_unknown_weighting_is_refused():
    with pytest.raises(ValueError, match="teacher_score, student_max, none"):
        SampleWeights("prob")


def test_reference_switch_lets_the_gradient_through_the_objectness_weight(run, student, images, monkeypatch):
    """w = sigmoid(o) not detached: the loss of a positive is -p ln p, of a negative -p ln(1 - p)."""
    seen = capture_samples(student, monkeypatch)
    loss = run(student, images, make_labels(), weighting="student_max", rpn_weight_gradient=True)["loss_rpn_cls"]
    logits = torch.cat([level.permute(0, 2, 3, 1).flatten(1) for level in seen["rpn_outputs"][0]], dim=1)
    targets = torch.stack(seen["anchor_labels"][0])
    p = logits[targets >= 0].sigmoid()
    expected = torch.where(targets[targets >= 0] == 1, -p * p.log(), -p * (1 - p).log()).sum() / (128 * 2)
    torch.testing.assert_close(loss, expected)
    weight = student.proposal_generator.rpn_head.objectness_logits.weight
    own, reference = (torch.autograd.grad(value, weight, retain_graph=True)[0] for value in (loss, expected))
    torch.testing.assert_close(own, reference)
    detached = run(student, images, make_labels(), weighting="student_max")["loss_rpn_cls"]
    torch.testing.assert_close(detached, expected)
    assert not torch.allclose(torch.autograd.grad(detached, weight)[0], reference)
