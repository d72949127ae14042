"""Running a trained segmentation network on images, folders and videos."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from torch import nn
from tqdm import tqdm

from mic_det.data.catalog import class_names
from mic_det.data.images import named, read_image, scale_frame
from mic_det.data.label_ids import CITYSCAPES_IDS, CLASSES
from mic_det.data.segmentation_mapper import SegmentationTestMapper
from mic_det.data.stream import READ_ERRORS
from mic_det.errors import UserError
from mic_det.inference.inputs import find_pictures, is_video, redraw_video
from mic_det.outputs import write_image
from mic_det.reporting.segmentation_pictures import colour_labels, colours_of, overlay

KINDS = ("overlay", "colour", "train_ids", "label_ids", "attention")
LABEL_IDS = np.full(256, 0, dtype=np.uint8)
LABEL_IDS[: len(CITYSCAPES_IDS)] = CITYSCAPES_IDS


class LabelPredictor:
    """Labels every pixel of BGR uint8 images with the teacher or student that MODEL.MIC.INFERENCE names."""

    def __init__(self, cfg: CfgNode, model: nn.Module) -> None:
        self.model = model.eval()
        self.mapper = SegmentationTestMapper(cfg)
        self.is_rgb = cfg.INPUT.FORMAT == "RGB"

    def sample(self, image: np.ndarray) -> dict[str, Any]:
        """The network's input for an HxWx3 BGR image. Raises one of READ_ERRORS when nothing is left of it at test size."""
        return self.mapper.prepare(np.ascontiguousarray(image[..., ::-1] if self.is_rgb else image))

    @torch.inference_mode()
    def label(self, sample: dict[str, Any]) -> torch.Tensor:
        """KxHxW probabilities, or 1xHxW attention with MODEL.HRDA.OUTPUT att."""
        return self.model([sample])[0]["sem_seg"]

    def __call__(self, image: np.ndarray) -> torch.Tensor:
        """HxWx3 BGR -> as `label`."""
        return self.label(self.sample(image))


def label_pictures(
    image: np.ndarray, scores: torch.Tensor, colours: Sequence[Sequence[int]], label_ids: bool
) -> dict[str, np.ndarray]:
    """{kind: picture} of one BGR image: labels in colours, over the image, as training classes and as dataset ids.

    Args:
        scores: KxHxW, or one channel of attention in [0, 1].
        label_ids: also give Cityscapes label ids.
    """
    if len(scores) == 1:
        return {"attention": (255 * scores[0].clamp(0, 1)).byte().cpu().numpy()}
    labels = scores.argmax(dim=0).byte().cpu().numpy()
    pictures = {
        "overlay": np.ascontiguousarray(overlay(image[..., ::-1], labels, colours)[..., ::-1]),
        "colour": np.ascontiguousarray(colour_labels(labels, colours)[..., ::-1]),
        "train_ids": labels,
    }
    return {**pictures, **({"label_ids": LABEL_IDS[labels]} if label_ids else {})}


def predict_labels(
    cfg: CfgNode, model: nn.Module, source: str | Path, output: str | Path, flat: bool = False
) -> tuple[int, list[str]]:
    """Write `<output>/{overlay,colour,train_ids,label_ids}/<image name>.png`; a video gives one drawn video.

    Training classes and label ids are one-channel images at the image's own size, as the servers of ACDC and Dark Zurich
    (training classes) and Cityscapes (label ids, for the 19 classes only) take them.

    Args:
        source: an image, a folder of images or a video.
        flat: leave out the folders between `source` and the images.

    Returns:
        (number of images or frames, names of unreadable files).

    Raises:
        UserError: when the input does not exist, is of no known kind, or nothing in it can be read; when it would be
            overwritten, or something cannot be written.
    """
    output, predictor, colours = Path(output), LabelPredictor(cfg, model), colours_of(cfg)
    names = class_names(cfg.DATASETS.TRAIN[0], cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES)
    if is_video(source):

        def draw(frame: np.ndarray) -> np.ndarray:
            frame = scale_frame(frame, cfg.INPUT.RANGE)
            pictures = label_pictures(frame, predictor(frame), colours, label_ids=False)
            return pictures["overlay"] if "overlay" in pictures else cv2.cvtColor(pictures["attention"], cv2.COLOR_GRAY2BGR)

        return redraw_video(source, output / f"{Path(source).stem}.mp4", draw), []
    count = 0
    unreadable: list[str] = []
    for file, name in tqdm(find_pictures(source, output, ".png", flat, KINDS), unit="image", disable=None):
        try:
            image = read_image(file, "BGR", cfg.INPUT.RANGE)
            sample = predictor.sample(image)
        except READ_ERRORS as error:
            unreadable.append(named(file, error))
            continue
        pictures = label_pictures(image, predictor.label(sample), colours, tuple(names) == CLASSES)
        for kind, picture in pictures.items():
            write_image(output / kind / name, picture)
        count += 1
    if not count:
        raise UserError(f"Nothing in {source} could be read.")
    return count, unreadable
