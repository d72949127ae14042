"""Running a trained detector on images, folders and videos."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.structures import Instances
from torch import nn
from tqdm import tqdm

from mic_det.config import num_classes
from mic_det.data.catalog import class_names
from mic_det.data.detection_mapper import TestMapper
from mic_det.data.images import named, read_image, scale_frame
from mic_det.data.stream import READ_ERRORS
from mic_det.errors import UserError
from mic_det.inference.inputs import find_pictures, is_video, redraw_video
from mic_det.outputs import write_image, write_json
from mic_det.reporting.drawing import draw_instances


class Predictor:
    """Detects objects in BGR uint8 images with the teacher or student that MODEL.MIC.INFERENCE names."""

    def __init__(self, cfg: CfgNode, model: nn.Module) -> None:
        self.model = model.eval()
        self.cfg = cfg
        self.mapper = TestMapper(cfg)

    def read(self, file: str | Path) -> np.ndarray:
        """HxWx3 BGR. Raises one of READ_ERRORS for a file that cannot be used."""
        return read_image(file, "BGR", self.cfg.INPUT.RANGE)

    def sample(self, image: np.ndarray) -> dict[str, Any]:
        """The network's input for an HxWx3 BGR image. Raises ValueError when nothing is left of it at test size."""
        height, width = image.shape[:2]
        image = image[..., ::-1] if self.cfg.INPUT.FORMAT == "RGB" else image
        return {"image": self.mapper.prepare(image), "height": height, "width": width}

    @torch.inference_mode()
    def find(self, sample: dict[str, Any]) -> Instances:
        """Instances in the image's own pixels."""
        return self.model([sample])[0]["instances"].to("cpu")

    def __call__(self, image: np.ndarray) -> Instances:
        """HxWx3 BGR -> Instances in the image's own pixels."""
        return self.find(self.sample(image))


def predict_boxes(
    cfg: CfgNode, model: nn.Module, source: str | Path, output: str | Path, min_score: float = 0.5
) -> tuple[int, list[str]]:
    """Draw detections and write them as COCO results to `<output>/detections.json`.

    Args:
        source: an image, a folder of images or a video. A video gives one drawn video; its frames are numbered from 0.
        output: folder for drawn images and the JSON, which holds every detection whatever `min_score`.
        min_score: least score that is drawn.

    Returns:
        (number of images or frames, names of unreadable files).

    Raises:
        UserError: when the input does not exist, is of no known kind, or nothing in it can be read; when it would be
            overwritten, or something cannot be written.
    """
    output = Path(output)
    predictor, names = Predictor(cfg, model), class_names(cfg.DATASETS.TRAIN[0], num_classes(cfg))
    run = predict_video if is_video(source) else predict_images
    detections, images, unreadable = run(predictor, source, output, names, min_score)
    if not images:
        raise UserError(f"Nothing in {source} could be read.")
    categories = [{"id": index, "name": name} for index, name in enumerate(names)]
    write_json(output / "detections.json", detections)
    write_json(output / "images.json", {"images": images, "categories": categories})
    return len(images), unreadable


def drawn(image: np.ndarray, instances: Instances, names: Sequence[str], min_score: float) -> np.ndarray:
    """The image with its detections; BGR in, BGR out."""
    return draw_instances(np.ascontiguousarray(image[..., ::-1]), instances, names, min_score)[..., ::-1]


def predict_images(
    predictor: Predictor, source: str | Path, output: Path, names: Sequence[str], min_score: float
) -> tuple[list[dict], list[dict], list[str]]:
    """Draw what is found on images; returns (COCO results, COCO images, names of unreadable files)."""
    detections: list[dict] = []
    images: list[dict] = []
    unreadable: list[str] = []
    for file, picture in tqdm(find_pictures(source, output, ".jpg"), unit="image", disable=None):
        try:
            image = predictor.read(file)
            sample = predictor.sample(image)
        except READ_ERRORS as error:
            unreadable.append(named(file, error))
            continue
        instances = predictor.find(sample)
        images.append({"id": len(images), "file_name": str(file), "height": image.shape[0], "width": image.shape[1]})
        detections += instances_to_coco_json(instances, images[-1]["id"])
        write_image(output / picture, drawn(image, instances, names, min_score))
    return detections, images, unreadable


def predict_video(
    predictor: Predictor, source: str | Path, output: Path, names: Sequence[str], min_score: float
) -> tuple[list[dict], list[dict], list[str]]:
    """The same on a video's frames, of which none is unreadable."""
    detections: list[dict] = []
    frames: list[dict] = []

    def draw(frame: np.ndarray) -> np.ndarray:
        frame = scale_frame(frame, predictor.cfg.INPUT.RANGE)
        instances = predictor(frame)
        frames.append({"id": len(frames), "file_name": str(source), "height": frame.shape[0], "width": frame.shape[1]})
        detections.extend(instances_to_coco_json(instances, frames[-1]["id"]))
        return drawn(frame, instances, names, min_score)

    redraw_video(source, output / f"{Path(source).stem}.mp4", draw)
    return detections, frames, []
