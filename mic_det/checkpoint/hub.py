"""A trained network as safetensors, alone or as a folder in the layout of the Hugging Face Hub; nothing is uploaded."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from safetensors.torch import save_file
from torch import nn

from mic_det.errors import UserError
from mic_det.outputs import write_atomically, write_text

WEIGHTS, CONFIG, LABELS, CARD = "model.safetensors", "config.yaml", "labels.txt", "README.md"
# {meta-architecture: (task, the Hub's name of it)}
PIPELINES = {
    "MaskedConsistencyDetector": ("detection", "object-detection"),
    "MaskedConsistencySegmentor": ("segmentation", "image-segmentation"),
    "MaskedConsistencyClassifier": ("classification", "image-classification"),
}
LANGUAGE = "language_head."


def save_safetensors(network: nn.Module, path: str | Path) -> None:
    """Write a plain network's state dict, without the language decoder that only training needs.

    Raises:
        UserError: when the file cannot be written.
    """
    state = {name: value.cpu().clone().contiguous() for name, value in network.state_dict().items()}
    state = {name: value for name, value in state.items() if not name.startswith(LANGUAGE)}
    write_atomically(path, lambda temporary: save_file(state, temporary, {"format": "pt"}))


def save_hub(
    folder: str | Path,
    cfg: CfgNode,
    network: nn.Module,
    classes: Sequence[str],
    results: Sequence[dict[str, Any]] = (),
) -> None:
    """Write a folder that `mic_det.load` reads and `huggingface_hub` can upload: weights, config, labels and a model card.

    Args:
        network: the plain network to publish.
        results: entries of evaluation.json for the card.

    Raises:
        UserError: when the folder holds something already, or the config predicts with a decoder that is not published.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"--output {folder} exists and is not empty: choose another folder.")
    if cfg.TEST.SEM_SEG.DECODER != "plain":
        raise UserError("TEST.SEM_SEG.DECODER must be plain: the language decoder is not exported.")
    save_safetensors(network, folder / WEIGHTS)
    write_text(folder / CONFIG, self_contained(cfg).dump())
    write_text(folder / LABELS, "".join(f"{name}\n" for name in classes))
    write_text(folder / CARD, model_card(cfg, classes, results))


def self_contained(cfg: CfgNode) -> CfgNode:
    """A copy of a config that names no file, device or folder of this machine."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.WEIGHTS, cfg.MODEL.DEVICE, cfg.OUTPUT_DIR = "", "cuda", "output"
    cfg.MODEL.LANGUAGE_HEAD.ENABLED, cfg.MODEL.LANGUAGE_HEAD.TEXT_BANK = False, ""
    cfg.MODEL.TIMM.PRETRAINED_FILE = ""
    cfg.DATASETS.DECLARE = ()
    cfg.DATASETS.TARGET = tuple(Path(name).name for name in cfg.DATASETS.TARGET)
    return cfg


def model_card(cfg: CfgNode, classes: Sequence[str], results: Sequence[dict[str, Any]]) -> str:
    """The README.md of a published model: what it is, how to use it, and what was measured. The licence is the user's to add."""
    task, pipeline = PIPELINES[cfg.MODEL.META_ARCHITECTURE]
    target = ", ".join(Path(name).name for name in cfg.DATASETS.TARGET) or "none"
    lines = [
        *("---", "library_name: mic-det", f"pipeline_tag: {pipeline}", "tags: [domain-adaptation, detectron2]", "---", ""),
        *(f"# {cfg.MODEL.MIC.STUDENT}, adapted with mic-det", ""),
        *(f"- Task: {task}", f"- Classes: {', '.join(classes)}", f"- Labelled source: {', '.join(cfg.DATASETS.TRAIN)}"),
        *(f"- Unlabelled target: {target}", f"- Iterations: {cfg.SOLVER.MAX_ITER}, seed {cfg.SEED}"),
        *("- Licence: add the one of your weights and data.", "", "```python", "import mic_det", ""),
        *('model = mic_det.load("path/of/this/folder")', 'print(model.predict("image.jpg").to_coco())', "```", ""),
    ]
    return "\n".join(lines + metric_table(results))


def metric_table(results: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown lines of the metrics over all classes; [] without results."""
    if not results:
        return []
    rest = ("iteration", "model", "dataset", "machine")
    names = list(dict.fromkeys(name for entry in results for name in entry if "/" not in name and name not in rest))
    rows = [
        [entry["model"], entry["dataset"], *("" if entry.get(name) is None else f"{entry[name]:.1f}" for name in names)]
        for entry in results
    ]
    table = [["model", "dataset", *names], ["---"] * (len(names) + 2), *rows]
    return ["## Metrics in percent", "", *(f"| {' | '.join(row)} |" for row in table), ""]


def results_beside(weights: str | Path) -> list[dict[str, Any]]:
    """The last evaluation in the `evaluation.json` beside a checkpoint; [] without one."""
    path = Path(weights).with_name("evaluation.json")
    entries = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    return [entry for entry in entries if entry["iteration"] == entries[-1]["iteration"]]
