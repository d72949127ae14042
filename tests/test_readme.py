"""What the README shows is run as it stands there; only paths and sizes change."""

import re
import shlex
import shutil
import sys
import types

import pytest
import torch
import yaml
from detectron2.modeling import META_ARCH_REGISTRY, build_model
from detectron2.structures import Boxes, ImageList, Instances, pairwise_iou
from detectron2.utils.events import EventStorage

import mic_det
from mic_det.adaptation import AdaptationBatch
from mic_det.modeling.students.base import ADAPTERS
from tests.conftest import REPOSITORY, TINY, run_script
from tests.modeling.test_detector import sample

README = (REPOSITORY / "README.md").read_text()
SMALL = [
    *TINY,
    *("SOLVER.MAX_ITER", 2, "SOLVER.STEPS", (), "MODEL.RESNETS.NORM", "GN", "MODEL.ROI_BOX_HEAD.NUM_FC", 1),
    *("MODEL.RESNETS.DEPTH", 50, "MODEL.ROI_HEADS.NUM_CLASSES", 8),
]


def blocks(title, language):
    """Code blocks below a heading, up to the next one of the same level."""
    level = README[README.index(f" {title}\n") - 3 : README.index(f" {title}\n")].split("\n")[-1]
    section = README.split(f"{level} {title}\n", 1)[1]
    section = re.split(rf"\n{level} ", section)[0]
    return re.findall(rf"```{language}\n(.*?)```", section, re.S)


def test_adapt_my_detector_to_my_own_folder(toycity, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(toycity / "toycity/leftImg8bit", data / "source/images/leftImg8bit")
    shutil.copy(toycity / "toycity/annotations/instances_train.json", data / "source/labels.json")
    shutil.copytree(toycity / "toycity/leftImg8bit_foggy/val", data / "foggy")
    torch.manual_seed(0)
    detector = build_model(mic_det.load_config(REPOSITORY / "configs/cs2foggy.yaml", ["MODEL.WEIGHTS", "", *SMALL])).student
    torch.save({"model": detector.state_dict()}, tmp_path / "my_detector.pth")

    places = {
        "/data/": f"{data}/",
        "configs/": f"{REPOSITORY}/configs/",
        "output/": f"{tmp_path}/output/",
        "my_detector.pth": f"{tmp_path}/my_detector.pth",
        "my_adaptation.yaml": f"{tmp_path}/my_adaptation.yaml",
    }

    def at_home(text):
        return re.sub("|".join(map(re.escape, places)), lambda match: places[match[0]], text)

    title = "Adapt my detector to my own folder of images"
    (config,) = blocks(title, "yaml")
    (tmp_path / "my_adaptation.yaml").write_text(at_home(config))
    assert yaml.safe_load(config)["DATASETS"]["DECLARE"][1]["format"] == "images"
    commands = at_home(blocks(title, "bash")[0]).replace("\\\n", " ").strip().splitlines()
    assert [command.split()[1] for command in commands] == [
        f"tools/{name}.py" for name in ("check_dataset", "train_net", "view_pseudo_labels", "predict", "convert_checkpoint")
    ]
    for command in commands:
        words = shlex.split(command)[1:]
        small = ["--output", tmp_path / "check", "--options", *SMALL] if "check_dataset" in command else SMALL
        run = run_script(*words, *small)
        if "check_dataset" in command:
            assert "my_source: 8 images" in run.stdout and "my_target: 12 images" in run.stdout
    assert (tmp_path / "output/mine/report.html").exists() and (tmp_path / "output/mine/gallery.html").exists()
    assert len(list((tmp_path / "output/mine/predictions").rglob("*.jpg"))) == 12
    plain = torch.load(tmp_path / "output/mine/detector.pth", weights_only=True)["model"]
    assert plain.keys() == detector.state_dict().keys()


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
    (code,) = blocks("Bring your own meta-architecture", "python")
    exec(code, {})
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


def table(header):
    """Rows of the table that begins with `header`."""
    return README[README.index(header) :].split("\n\n")[0].splitlines()[2:]


def test_every_file_and_config_that_the_readme_names_exists():
    for path in re.findall(r"\]\((?!http|#)([^)#]+)", README):
        assert (REPOSITORY / path).exists(), path
    for row in table("| transfer | config"):
        cells = re.findall(r"`([^`]+)`", row)
        stems = [cell for cell in cells if not cell.startswith("_")]
        for stem in stems:
            for suffix in ["", *cells[-1].split()]:
                assert (REPOSITORY / f"configs/{stem}{suffix}.yaml").exists(), f"{stem}{suffix}"
    for row in [*table("| transfer | `configs/` | methods | mIoU"), *table("| transfer | `configs/` | methods |\n")]:
        stem, methods = row.split("|")[2].split("`")[1], re.findall(r"`([a-z_ ]+)`", row.split("|")[3].split(" but ")[0])
        for method in " ".join(methods).split():
            assert (REPOSITORY / f"configs/{stem.replace('*', method)}.yaml").exists(), f"{stem} {method}"
    for suffix in " ".join(re.findall(r"`((?:_\w+ ?)+)`", "".join(table("| method | task |")))).split():
        assert list((REPOSITORY / "configs").glob(f"*{suffix}.yaml")), suffix
    for name in re.findall(r"`(cs2foggy_\w+)`", README):
        assert (REPOSITORY / f"configs/{name}.yaml").exists(), name
