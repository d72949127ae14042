"""Running a trained classifier on images and folders."""

import csv
import io
from pathlib import Path

import torch
from detectron2.config import CfgNode
from torch import nn
from tqdm import tqdm

from mic_det.config import num_classes
from mic_det.data.catalog import class_names
from mic_det.data.classification_mapper import ClassificationMapper
from mic_det.data.images import named, read_image
from mic_det.data.stream import READ_ERRORS
from mic_det.errors import UserError
from mic_det.inference.inputs import find_images, is_video
from mic_det.outputs import write_text


@torch.inference_mode()
def predict_classes(cfg: CfgNode, model: nn.Module, source: str | Path, output: str | Path) -> tuple[int, list[str]]:
    """Write `<output>/predictions.csv`: file, class and score of every image, best class first, as many as there are up to 5.

    Args:
        source: an image or a folder of images.

    Returns:
        (number of images, names of unreadable files).

    Raises:
        UserError: when the input does not exist, is of no known kind, or nothing in it can be read.
    """
    if is_video(source):
        raise UserError(f"--input {source} is a video: a classifier takes an image or a folder of images.")
    names = class_names(cfg.DATASETS.TRAIN[0], num_classes(cfg))
    mapper, rows, unreadable = ClassificationMapper(cfg, random=False), [], []
    model.eval()
    for file in tqdm(find_images(source), unit="image", disable=None):
        try:
            image = mapper.prepare(read_image(file, cfg.INPUT.FORMAT, cfg.INPUT.RANGE))
        except READ_ERRORS as error:
            unreadable.append(named(file, error))
            continue
        scores, classes = model([{"image": image}])[0]["scores"].topk(min(5, len(names)))
        best = zip(classes.tolist(), scores.tolist(), strict=True)
        rows.append([str(file), *(value for index, score in best for value in (names[index], f"{score:.4f}"))])
    if not rows:
        raise UserError(f"Nothing in {source} could be read.")
    count = (len(rows[0]) - 1) // 2
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(["file", *(f"{kind} {rank}" for rank in range(1, count + 1) for kind in ("class", "score"))])
    writer.writerows(rows)
    write_text(Path(output) / "predictions.csv", table.getvalue())
    return len(rows), unreadable
