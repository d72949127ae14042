"""Files are data: none of them runs code, whichever way it reaches the program, and names with markup stay text in reports."""

import contextlib
import json
import os
import pickle
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
import yaml
from detectron2.modeling import build_model
from PIL import Image

from mic_det.checkpoint import conversion, files
from mic_det.checkpoint.weights import load_weights
from mic_det.config import load_config
from mic_det.data.coco import load_detections, load_json
from mic_det.data.declare import declare
from mic_det.data.statistics import COUNTS, read_statistics
from mic_det.data.voc import convert_voc, find_classes
from mic_det.engine.changes import former_config
from mic_det.errors import UserError
from mic_det.language import open_bank
from mic_det.modeling.backbone.timm_features import create_timm
from mic_det.reporting import report
from mic_det.reporting.detection_gallery import write_gallery
from mic_det.reporting.markdown import study_report
from tests.data.test_catalog import registered  # noqa: F401 - a fixture


@pytest.fixture
def marker(tmp_path):
    """The file that every payload would make."""
    return tmp_path / "executed"


# YAML -----------------------------------------------------------------------------------------------------------------

YAML_PAYLOADS = (
    "!!python/object/apply:os.system ['touch {}']",
    "!!python/object/apply:subprocess.check_call [[touch, '{}']]",
    '!!python/object/apply:builtins.eval [\'open("{}", "w")\']',
    '!!python/object/new:builtins.exec [\'open("{}", "w")\']',
    "!!python/object/apply:builtins.open ['{}', w]",
    "!!python/object/new:type {{args: [x, !!python/tuple [], {{}}], state: !!python/object/apply:os.system ['touch {}']}}",
    "!!python/object:builtins.map {{}}",
    "!!python/module:os ''",
    "!!python/name:os.system ''",
)


def config_file(path):
    load_config(path)


def base_file(path):
    child = path.with_name("child.yaml")
    child.write_text(f"_BASE_: {path.name}\n")
    load_config(child)


def declared_file(path):
    declare([str(path)])


def runs_own_config(path):
    path.replace(path.with_name("config.yaml"))
    former_config(path.parent)


@pytest.mark.parametrize("read", [config_file, base_file, declared_file, runs_own_config])
def test_no_yaml_file_runs_code(tmp_path, marker, read):
    for payload in YAML_PAYLOADS:
        for text in ("OUTPUT_DIR: {}", "SOLVER: {{STEPS: [1, {}]}}", "- {{name: a, format: images, images: {}}}", "? {}\n: 1"):
            (tmp_path / "evil.yaml").write_text(text.format(payload.format(marker)))
            with pytest.raises(UserError, match=r"not valid YAML: line \d+, column \d+: the tag !!python/"):
                read(tmp_path / "evil.yaml")
    assert not marker.exists()
    with contextlib.suppress(Exception):
        yaml.unsafe_load(YAML_PAYLOADS[0].format(marker))
    assert marker.exists()  # the files would have done harm


def test_no_override_runs_code(marker):
    for key in (
        "SEED",
        "SOLVER.BASE_LR",
        "DATASETS.TRAIN",
        "MODEL.MASK_ON",
        "OUTPUT_DIR",
        "SOLVER.WEIGHT_DECAY_BIAS",
        "MODEL.MIC",
    ):
        for code in (f"__import__('os').system('touch {marker}')", f"open('{marker}', 'w')", f"[open('{marker}', 'w')]"):
            with contextlib.suppress(UserError):  # OUTPUT_DIR may be any text
                load_config(None, [key, code])
    assert not marker.exists()


# Pickles --------------------------------------------------------------------------------------------------------------


class Call:
    """Unpickling it calls a function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


def payloads(marker):
    opens = f"open({str(marker)!r}, 'w').close()"
    calls = [
        Call(os.system, f"touch {marker}"),
        Call(subprocess.check_call, ["touch", str(marker)]),
        Call(eval, opens),
        Call(exec, opens),
        Call(open, str(marker), "w"),
        Call(getattr, Call(__import__, "os"), "system"),
    ]
    hidden = np.empty(1, dtype=object)
    hidden[0] = calls[0]
    return [
        *calls,
        {"model": {"backbone.x": calls[0]}, "__author__": "x"},
        {"model": {"student.x": hidden}},
        [calls[2]],
        (hidden,),
    ]


def pickled(path, content):
    path.write_bytes(pickle.dumps(content))


def zipped(path, content):
    torch.save(content, path)


def legacy(path, content):
    torch.save(content, path, _use_new_zipfile_serialization=False)


def initial_weights(path):
    load_weights(None, str(path))


def last_checkpoint(path):
    (path.parent / files.LAST).write_text(path.name)
    files.load(files.last_checkpoint(path.parent))


def to_mic(path):
    conversion.mic_checkpoint(str(path))


def teacher_file(path):
    torch.save({"model": {"backbone.x": torch.zeros(1)}}, path.with_name("good.pth"))
    conversion.mic_checkpoint(str(path.with_name("good.pth")), str(path))


def to_plain(path):
    conversion.plain_checkpoint(str(path), "student")


def to_published(path):
    conversion.published_checkpoint(str(path), "student")


def text_bank(path):
    open_bank(str(path), 3)


def annotations(path):
    load_json(path)


def detections(path):
    load_detections(path)


def statistics(path):
    path.replace(path.with_name(COUNTS))
    read_statistics(path.parent)


def timm_weights(path):
    create_timm("resnet18", str(path))


CHECKPOINTS = [initial_weights, to_mic, to_plain, to_published]


@pytest.mark.parametrize("write", [pickled, zipped, legacy])
@pytest.mark.parametrize(
    ("read", "suffixes"),
    [
        *((read, (".pth", ".pkl", ".bin", ".safetensors")) for read in CHECKPOINTS),
        *((read, (".pth", ".pkl")) for read in (last_checkpoint, teacher_file, text_bank, annotations, detections, statistics)),
    ],
)
def test_no_pickle_runs_code(tmp_path, marker, read, suffixes, write):
    for content in payloads(marker):
        for suffix in suffixes:
            write(tmp_path / f"evil{suffix}", content)
            with pytest.raises(UserError):
                read(tmp_path / f"evil{suffix}")
            assert not marker.exists()


def test_no_timm_file_runs_code(tmp_path, marker):
    pytest.importorskip("timm")
    for content in payloads(marker)[:2]:
        for suffix in (".pth", ".bin", ".safetensors"):
            pickled(tmp_path / f"evil{suffix}", content)
            with pytest.raises(Exception):  # noqa: B017 - timm raises many kinds
                timm_weights(tmp_path / f"evil{suffix}")
            assert not marker.exists()


def test_the_pickles_would_do_harm(marker):
    for content in payloads(marker)[:5]:
        pickle.loads(pickle.dumps(content))
        assert marker.exists()
        marker.unlink()


def test_an_xml_file_reads_no_other_file(tmp_path):
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "xml").mkdir()
    entity = f'<!DOCTYPE a [<!ENTITY e SYSTEM "file://{tmp_path}/secret">]>'
    (tmp_path / "xml/a.xml").write_text(f"{entity}<annotation><object><name>&e;</name></object></annotation>")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.jpg")
    with contextlib.suppress(UserError):
        assert "secret" not in find_classes(tmp_path / "xml")
    result = convert_voc(tmp_path / "xml", tmp_path, ("car",))
    assert "secret" not in json.dumps(result.coco)


# Markup ---------------------------------------------------------------------------------------------------------------

MARKUP = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '" onload="alert(1)',
    "' onmouseover='alert(1)",
    "</title></style><svg onload=alert(1)>",
    "{{ 7 * 191 }}",
)


class Page(HTMLParser):
    """Collects elements, attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.attributes += attributes

    def handle_data(self, data):
        self.texts.append(data)

    def check(self):
        assert not self.tags & {"script", "svg", "iframe", "object"}
        assert not [name for name, _ in self.attributes if name.startswith("on")]
        assert all(value.startswith("data:") for name, value in self.attributes if name == "src")


def result(name):
    run = {"method": name, "model": "teacher", "test": name, "iterations": 1, "seed": 0, "best": {"value": 1.0, "iterations": 1}}
    return {**run, "AP": 1.0, "AP50": 2.0, "AP75": 0.0, "per_class_AP50": {name: 3.0, "car": 4.0}}


def test_markup_in_names_stays_text_in_reports(tmp_path):
    page = tmp_path / "report.html"
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    for name in MARKUP:
        sections = [
            report.picture_section(name, [[(name, picture)]], name),
            {"title": name, "note": name, "tables": [[[name], [name]]]},
        ]
        report.write_report(page, name, name, [result(name)], sections, [name])
        found = Page(page.read_text())
        found.check()
        assert found.texts.count(name) >= 5 and ("alt", name) in found.attributes


def test_markup_in_names_stays_text_in_studies():
    for name in MARKUP:
        text = study_report(name, [result(name)], [name])
        assert "<" not in text
        table = text.split("## Classes")[1]
        assert "car" in table


def test_markup_in_class_and_file_names_stays_text_in_galleries(tmp_path, tiny_cfg, registered):  # noqa: F811
    names = [MARKUP[0], MARKUP[2]]
    file = "<img src=x onerror=alert(1)>.png"
    Image.fromarray(np.full((64, 96, 3), 90, dtype=np.uint8)).save(tmp_path / file)
    content = {
        "images": [{"id": 1, "file_name": file, "width": 96, "height": 64}],
        "categories": [{"id": index, "name": name} for index, name in enumerate(names, start=1)],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [8, 8, 32, 32], "area": 1024, "iscrowd": 0}],
    }
    (tmp_path / "labels.json").write_text(json.dumps(content))
    declare([{"name": MARKUP[1], "format": "coco", "images": str(tmp_path), "annotations": str(tmp_path / "labels.json")}])
    cfg = tiny_cfg("MODEL.ROI_HEADS.NUM_CLASSES", 2, "DATASETS.TRAIN", (MARKUP[1],))
    write_gallery(cfg, build_model(cfg).eval(), tmp_path / "gallery.html", truth=MARKUP[1], count=1)
    found = Page((tmp_path / "gallery.html").read_text())
    found.check()
    assert any(MARKUP[0] in text for text in found.texts) and any(MARKUP[1] in text for text in found.texts)
