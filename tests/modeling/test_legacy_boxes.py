"""The published box arithmetic, written out here with inclusive corners as the published code has it: x2 - x1 + 1 is a width."""

import math

import pytest
import torch
from detectron2.layers import ShapeSpec
from detectron2.modeling import build_model
from detectron2.structures import Boxes, Instances
from torchvision.ops import roi_align

import mic_det
from mic_det.errors import UserError
from mic_det.modeling.legacy_boxes import LegacyROIAlign, RoundedAnchorGenerator
from tests.conftest import REPOSITORY, TINY
from tests.modeling.test_detector import sample

STRIDES, SIZES = (4, 8, 16, 32, 64), (32, 64, 128, 256, 512)
SIZE = (90, 150)  # neither side a multiple of 32: there is padding, whose anchors lie outside the image
# The table in the comments of the first Faster R-CNN code, which counts pixels from 1: stride 16, ratios 0.5, 1 and 2, sizes
# 128, 256 and 512.
FIRST_TABLE = [
    *([-83, -39, 100, 56], [-175, -87, 192, 104], [-359, -183, 376, 200]),
    *([-55, -55, 72, 72], [-119, -119, 136, 136], [-247, -247, 264, 264]),
    *([-35, -79, 52, 96], [-79, -167, 96, 184], [-167, -343, 184, 360]),
]
FEW = [*TINY, "MODEL.WEIGHTS", "", "MODEL.RPN.PRE_NMS_TOPK_TEST", 300, "MODEL.RPN.POST_NMS_TOPK_TEST", 100]


@pytest.fixture(scope="module")
def student():
    """A random detector whose boxes go far, many of them out of the image."""
    torch.manual_seed(0)
    cfg = mic_det.load_config(REPOSITORY / "configs/cs2foggy_reference.yaml", FEW)
    student = build_model(cfg).student.eval()
    rpn_head, predictor = student.proposal_generator.rpn_head, student.roi_heads.box_predictor
    for layer, deviation in ((rpn_head.anchor_deltas, 0.7), (predictor.bbox_pred, 3.0), (predictor.cls_score, 1.0)):
        spread(student, layer, deviation)
    return student


@torch.no_grad()
def spread(student, layer, deviation):
    """Scale a linear layer so that its outputs on a random image have the given standard deviation."""
    seen = []
    handle = layer.register_forward_hook(lambda module, inputs, output: seen.append(output.flatten()))
    student([sample(*SIZE, labelled=False)])
    handle.remove()
    layer.weight *= deviation / torch.cat(seen).std()


def anchors_of(stride, size, grid):
    """Rows x columns x 3 anchors of a level, with inclusive corners."""
    centre, boxes = (stride - 1) / 2, []
    for ratio in (0.5, 1.0, 2.0):
        width = round(math.sqrt(stride * stride / ratio))
        height = round(width * ratio)
        width, height = width * size / stride, height * size / stride
        boxes.append([centre - (width - 1) / 2, centre - (height - 1) / 2, centre + (width - 1) / 2, centre + (height - 1) / 2])
    rows, columns = grid
    shifts = [[x * stride, y * stride, x * stride, y * stride] for y in range(rows) for x in range(columns)]
    return (torch.tensor(shifts).float()[:, None] + torch.tensor(boxes)[None]).reshape(-1, 4)


def decode(deltas, boxes, weights):
    width, height = boxes[:, 2] - boxes[:, 0] + 1, boxes[:, 3] - boxes[:, 1] + 1
    x, y = boxes[:, 0] + 0.5 * width, boxes[:, 1] + 0.5 * height
    dx, dy, dw, dh = (deltas / torch.tensor(weights)).unbind(1)
    x, y = dx * width + x, dy * height + y
    limit = math.log(1000 / 16)
    width, height = dw.clamp(max=limit).exp() * width, dh.clamp(max=limit).exp() * height
    return torch.stack([x - 0.5 * width, y - 0.5 * height, x + 0.5 * width - 1, y + 0.5 * height - 1], 1)


def clip(boxes, size):
    height, width = size
    x1, y1, x2, y2 = boxes.unbind(1)
    return torch.stack([x1.clamp(0, width - 1), y1.clamp(0, height - 1), x2.clamp(0, width - 1), y2.clamp(0, height - 1)], 1)


def suppress(boxes, scores, threshold):
    """Indices of the boxes that non-maximum suppression keeps, best first."""
    areas = (boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)
    kept = []
    for index in scores.argsort(descending=True).tolist():
        box = boxes[index]
        width = (torch.minimum(boxes[kept, 2], box[2]) - torch.maximum(boxes[kept, 0], box[0]) + 1).clamp(min=0)
        height = (torch.minimum(boxes[kept, 3], box[3]) - torch.maximum(boxes[kept, 1], box[1]) + 1).clamp(min=0)
        overlap = width * height
        if not (overlap / (areas[kept] + areas[index] - overlap) > threshold).any():
            kept.append(index)
    return kept


def proposals_of(rpn, features, size, before=300, after=100):
    """RoIs of one image."""
    boxes, scores = [], []
    logits, deltas = rpn.rpn_head(features)
    for level, (stride, anchor_size) in enumerate(zip(STRIDES, SIZES, strict=True)):
        score = logits[level][0].permute(1, 2, 0).reshape(-1)
        delta = deltas[level][0].unflatten(0, (3, 4)).permute(2, 3, 0, 1).reshape(-1, 4)
        anchors = anchors_of(stride, anchor_size, features[level].shape[-2:])
        score, best = score.topk(min(before, len(score)))
        own = clip(decode(delta[best], anchors[best], (1.0, 1.0, 1.0, 1.0)), size)
        kept = suppress(own, score, 0.7)
        boxes.append(own[kept])
        scores.append(score[kept])
    return torch.cat(boxes)[torch.cat(scores).topk(after).indices]


def pool(features, boxes):
    """Rx C x7x7."""
    sides = ((boxes[:, 2] - boxes[:, 0] + 1) * (boxes[:, 3] - boxes[:, 1] + 1)).sqrt()
    levels = (4 + (sides / 224 + 1e-6).log2()).floor().clamp(2, 5).long() - 2
    regions = zip(boxes, levels.tolist(), strict=True)
    return torch.cat([roi_align(features[level], [box[None]], 7, 1 / STRIDES[level], 2, False) for box, level in regions])


def detections_of(student, images):
    """(boxes with inclusive corners, scores, classes) of one image, best first."""
    size, features = images.image_sizes[0], list(student.backbone(images.tensor).values())
    rois = proposals_of(student.proposal_generator, features, size)
    predictor = student.roi_heads.box_predictor
    logits, deltas = predictor(student.roi_heads.box_head(pool(features, rois)))
    probabilities, found = logits.softmax(1), []
    for index in range(8):
        above = torch.nonzero(probabilities[:, index] > predictor.test_score_thresh).squeeze(1)
        boxes = clip(decode(deltas[above, 4 * index : 4 * index + 4], rois[above], (10.0, 10.0, 5.0, 5.0)), size)
        scores = probabilities[above, index]
        found += [(boxes[kept], scores[kept], index) for kept in suppress(boxes, scores, 0.5)]
    found = sorted(found, key=lambda item: -item[1])[:100]
    boxes, scores, classes = zip(*found, strict=True)
    return torch.stack(boxes), torch.stack(scores), torch.tensor(classes)


@torch.no_grad()
def test_detections_are_the_published_ones(student):
    images = student.preprocess_image([sample(*SIZE, labelled=False)])
    boxes, scores, classes = detections_of(student, images)
    found = student.inference([sample(*SIZE, labelled=False)], do_postprocess=False)[0]
    assert len(found) == 100 and len(set(classes.tolist())) > 3
    torch.testing.assert_close(found.scores, scores, rtol=1e-5, atol=1e-6)
    assert torch.equal(found.pred_classes, classes)
    last_pixels = torch.tensor([0.0, 0, 1, 1])
    torch.testing.assert_close(found.pred_boxes.tensor, boxes + last_pixels, rtol=1e-6, atol=1e-4)
    at_the_border = (boxes[:, 2] == boxes[:, 0]) | (boxes[:, 3] == boxes[:, 1])
    assert at_the_border.any(), "no box lies outside the image: the test shows less than it should"


@torch.no_grad()
def test_the_last_pixels_are_scaled_to_the_images_own_size(student):
    """Published detections are resized with their inclusive corners, and then written with a width of x2 - x1 + 1."""
    inputs = sample(*SIZE, labelled=False)
    boxes, _, _ = detections_of(student, student.preprocess_image([inputs]))
    found = student([{**inputs, "height": 180, "width": 450}])[0]["instances"]
    expected = boxes * torch.tensor([3.0, 2, 3, 2]) + torch.tensor([0.0, 0, 1, 1])
    torch.testing.assert_close(found.pred_boxes.tensor, expected, rtol=1e-6, atol=1e-3)


def test_anchors_are_the_first_table():
    generator = RoundedAnchorGenerator(sizes=[[128, 256, 512]], aspect_ratios=[[0.5, 1, 2]], strides=[16], offset=0.5)
    (boxes,) = generator([torch.zeros(1, 1, 2, 3)])
    first, last = boxes.tensor[:9], boxes.tensor[-9:]
    assert (first - torch.tensor([0, 0, 1, 1]) + 1).tolist() == FIRST_TABLE
    assert torch.equal(last - first, torch.tensor([32.0, 16, 32, 16]).expand(9, 4))


def test_anchors_of_the_published_pyramid(student):
    tables = list(student.proposal_generator.anchor_generator.cell_anchors)
    shapes = [(table[:, 2:] - table[:, :2]).tolist() for table in tables]
    assert [level[0] for level in shapes] == [[48, 24], [88, 48], [184, 96], [360, 176], [728, 368]]
    assert [level[1] for level in shapes] == [[size, size] for size in SIZES]
    assert [level[2] for level in shapes] == [[24, 48], [48, 96], [88, 176], [184, 368], [360, 720]]


def test_the_offset_of_the_config_is_not_read():
    cfg = mic_det.load_config(REPOSITORY / "configs/cs2foggy_reference.yaml", ["MODEL.ANCHOR_GENERATOR.OFFSET", 0.0])
    assert RoundedAnchorGenerator(cfg, [ShapeSpec(stride=stride) for stride in STRIDES]).offset == 0.5


def test_anchors_that_touch_the_border_are_inside(student):
    """Published: x1 >= 0, y1 >= 0, x2 < width and y2 < height of inclusive corners; nothing is labelled elsewhere."""
    rpn = student.proposal_generator
    features = [torch.zeros(1, 32, 96 // stride or 1, 160 // stride) for stride in STRIDES]
    anchors = rpn.anchor_generator(features)
    truth = Instances((92, 152), gt_boxes=Boxes(torch.zeros(0, 4)))
    rpn.batch_size_per_image, usual = 10**6, rpn.batch_size_per_image
    labels, _ = rpn.label_and_sample_anchors(anchors, [truth])
    rpn.batch_size_per_image = usual
    levels = zip(STRIDES, SIZES, features, strict=True)
    boxes = torch.cat([anchors_of(stride, size, level.shape[-2:]) for stride, size, level in levels])
    inside = (boxes[:, 0] >= 0) & (boxes[:, 1] >= 0) & (boxes[:, 2] < 152) & (boxes[:, 3] < 92)
    assert torch.equal(labels[0] == 0, inside)
    assert (boxes[inside, 2] == 151).any() and (boxes[inside, 3] == 91).any()


def test_a_region_ends_on_its_last_pixel():
    values, rois = torch.randn(1, 2, 20, 30), torch.tensor([[0, 3.0, 4, 21, 17], [0, 8, 8, 9, 9]])
    exact = roi_align(values, rois - torch.tensor([0.0, 0, 0, 1, 1]), 7, 0.5, 2, False)
    assert torch.equal(LegacyROIAlign(7, 0.5, 2, aligned=False)(values, rois), exact)


def test_alignment_pools_its_maps_likewise():
    cfg = mic_det.load_config(REPOSITORY / "configs/cs2foggy_reference.yaml", FEW)
    model = build_model(cfg)
    maps = [torch.randn(1, 1, 96 // stride, 160 // stride) for stride in STRIDES[:4]]
    boxes = torch.tensor([[3.0, 5, 60, 40], [1, 1, 150, 90]])
    expected = pool(maps, boxes - torch.tensor([0.0, 0, 1, 1]))
    torch.testing.assert_close(model.alignment.pooler(maps, [Boxes(boxes)]), expected)


@pytest.mark.parametrize(("key", "value"), [("MODEL.ROI_HEADS.NAME", "CascadeROIHeads"), ("MODEL.MASK_ON", True)])
def test_other_detectors_have_no_legacy_boxes(key, value):
    cfg = mic_det.load_config(REPOSITORY / "configs/cs2foggy_reference.yaml", [*TINY, key, value])
    with pytest.raises(UserError, match=rf"LEGACY_BOXES .* {key} .*{value}"):
        build_model(cfg)
