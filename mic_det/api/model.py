"""A trained model in Python."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from PIL import Image

from mic_det.api.inputs import Input, Picture, is_stream, read_picture, stream
from mic_det.api.results import Result
from mic_det.modeling.meta_arch.adapting import AdaptingModel
from mic_det.reporting.segmentation_pictures import colours_of
from mic_det.tasks import ClassificationTask, SegmentationTask, task_of


class Model:
    """A teacher or student that predicts.

    Attributes:
        cfg: its config.
        core: the meta-architecture with both networks, in evaluation mode.
        network: the plain detectron2 network of the two that predicts.
        classes: names of its classes, by index.
        task: Task that it serves.
    """

    def __init__(self, cfg: CfgNode, core: AdaptingModel, classes: Sequence[str], network: str = "teacher") -> None:
        """
        Args:
            network: "teacher" or "student". Raises UserError for another name.
        """
        self.cfg = cfg
        self.core = core.eval()
        self.network = core.network(network)
        self.classes = list(classes)
        self.task = task_of(cfg)

    def predict(self, inputs: Input | Sequence[Input], *, min_score: float = 0.5) -> Result | list[Result] | Iterator[Result]:
        """Predict on one image, several, a folder or a video.

        Args:
            inputs: an image: path, HxWx3 uint8 RGB array, 3xHxW RGB tensor (uint8, or floats from 0 to 1) or PIL image; a list
                of images; or the path of a folder or a video.
            min_score: least score of a detection, 0 to 1; the other tasks do not look at it.

        Returns:
            A Result for an image; a list of them for a list; for a folder, in the order of its file names, and for a video an
            iterator that reads and predicts as it goes on.

        Raises:
            UserError: for an input that does not exist, cannot be read or has another shape or number type.
        """
        if isinstance(inputs, str | Path | np.ndarray | torch.Tensor | Image.Image):
            if isinstance(inputs, str | Path) and is_stream(inputs):
                return (self.answer(picture, min_score) for picture in stream(inputs, self.cfg))
            return self.answer(read_picture(inputs, self.cfg), min_score)
        return [self.answer(read_picture(item, self.cfg), min_score) for item in inputs]

    @torch.inference_mode()
    def answer(self, picture: Picture, min_score: float) -> Result:
        """What the network says about one image."""
        image = picture.pixels if self.cfg.INPUT.FORMAT == "RGB" else picture.pixels[..., ::-1]
        height, width = image.shape[:2]
        sample = {"image": self.task.network_input(self.cfg, np.ascontiguousarray(image)), "height": height, "width": width}
        found: dict[str, Any] = self.network([sample])[0]
        common = (picture.pixels, self.classes, picture.name)
        if isinstance(self.task, ClassificationTask):
            return Result(*common, scores=found["scores"].cpu())
        if isinstance(self.task, SegmentationTask):
            return Result(*common, sem_seg=found["sem_seg"].cpu(), colours=colours_of(self.cfg))
        instances = found["instances"].to("cpu")
        return Result(*common, instances=instances[instances.scores >= min_score])

    def __repr__(self) -> str:
        return f"Model({self.cfg.MODEL.MIC.STUDENT}, {len(self.classes)} classes, {self.core.device})"
