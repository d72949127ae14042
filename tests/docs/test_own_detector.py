"""The adapter that docs/guides/detectors.md shows, with the smallest detector there is."""

import sys
import types

import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY, build_model
from detectron2.structures import Boxes, ImageList, Instances, pairwise_iou
from detectron2.utils.events import EventStorage

from mic_det.adaptation import AdaptationBatch
from mic_det.modeling.students.base import ADAPTERS
from tests.conftest import REPOSITORY
from tests.docs.blocks import blocks_of
from tests.modeling.test_detector import sample


class GridDetector(torch.nn.Module):
    """The smallest detector there is: every 16x16 cell says which class it holds."""

    def __init__(self, cfg):
        super().__init__()
        self.backbone = torch.nn.Conv2d(3, 8, 16, 16)
        self.classifier = torch.nn.Conv2d(8, 2, 1)

    device = property(lambda self: self.backbone.weight.device)

    def preprocess_image(self, samples):
        return ImageList.from_tensors([sample["image"].float() / 255 for sample in samples], 16)

    def head(self, features):
        self.shape = features.shape[-2:]
        return self.classifier(features).flatten(2).transpose(1, 2)

    def cells(self):
        rows, columns = torch.meshgrid(*(torch.arange(size) * 16.0 for size in self.shape), indexing="ij")
        corners = torch.stack([columns, rows], dim=-1).reshape(-1, 2)
        return Boxes(torch.cat([corners, corners + 16], dim=1))

    def detect(self, scores, sizes):
        found = []
        for own, size in zip(scores.sigmoid(), sizes, strict=True):
            best, classes = own.max(dim=1)
            found.append(Instances(size, pred_boxes=self.cells(), scores=best, pred_classes=classes))
        return found

    def loss_per_cell(self, scores, instances):
        cells, targets = self.cells(), torch.zeros_like(scores)
        for own, target in zip(instances, targets, strict=True):
            overlap, index = pairwise_iou(own.gt_boxes, cells).max(dim=0)
            target[overlap > 0, own.gt_classes[index][overlap > 0]] = 1
        loss = torch.nn.functional.binary_cross_entropy_with_logits(scores, targets, reduction="none").sum(dim=2)
        return loss, [cells] * len(instances), targets.sum(dim=2) > 0

    def forward(self, samples):
        images = self.preprocess_image(samples)
        scores = self.head(self.backbone(images.tensor))
        if not self.training:
            return [{"instances": found} for found in self.detect(scores, images.image_sizes)]
        return {"loss_cls": self.loss_per_cell(scores, [sample["instances"] for sample in samples])[0].mean()}


@pytest.fixture
def my_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "my_package", types.SimpleNamespace(MyDetector=GridDetector))
    if "GridDetector" not in META_ARCH_REGISTRY:
        META_ARCH_REGISTRY.register(GridDetector)
    yield
    ADAPTERS.pop(GridDetector, None)


def test_bring_your_own_detector(my_package, tiny_cfg):
    (block,) = [block for block in blocks_of(REPOSITORY / "docs/guides/detectors.md") if block.language == "python"]
    exec(block.text, {})
    torch.manual_seed(0)
    model = build_model(tiny_cfg("MODEL.MIC.STUDENT", "GridDetector", "MODEL.MIC.PSEUDO_LABELS.THRESHOLD", 0.5)).train()
    source = sample(seed=1)
    source["instances"].gt_classes = torch.zeros(1, dtype=torch.int64)
    optimizer = torch.optim.SGD(model.student.parameters(), lr=0.1)
    with EventStorage():
        losses = model(AdaptationBatch([source], [sample(labelled=False, seed=2)]))
        assert set(losses) == {"loss_cls", "loss_cls_mask"} and losses["loss_cls_mask"] > 0
        sum(losses.values()).backward()
        optimizer.step()
    before = model.teacher.model.classifier.weight.clone()
    model.update_teacher(0)
    assert not torch.equal(before, model.teacher.model.classifier.weight)
    assert len(model.eval()([sample(labelled=False)])[0]["instances"]) == 32
