"""A network as a file that runs without mic-det and detectron2: ONNX or TorchScript."""

import logging
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.nn.functional as F
from detectron2.export import TracingAdapter
from torch import nn

from mic_det.errors import UserError
from mic_det.outputs import write_atomically, write_json

logger = logging.getLogger(__name__)
TOLERANCE = 1e-3
OPSET = 16  # the first whose RoiAlign can do without the half-pixel shift
# A written file: 3xHxW uint8 -> its answers.
Run: TypeAlias = Callable[[torch.Tensor], Sequence[torch.Tensor]]
SUFFIXES = {"onnx": ".onnx", "torchscript": ".ts"}


@dataclass(frozen=True)
class Answers:
    """What the exported networks of a task answer.

    Attributes:
        names: of the tensors, in order.
        ask: (plain network, [{"image": 3xHxW}]) -> these tensors.
        any_size: whether a file takes images of any size; otherwise only of the one it was made with.
    """

    names: tuple[str, ...]
    ask: Callable
    any_size: bool = False


def detections(detector: Any, inputs: list[dict[str, torch.Tensor]]) -> tuple[torch.Tensor, ...]:
    """(boxes Nx4 XYXY in network-input pixels, scores N, classes N) of one image."""
    if hasattr(detector, "roi_heads"):
        found = detector.inference(inputs, do_postprocess=False)[0]
    else:
        found = detector(inputs)[0]["instances"]
    return found.pred_boxes.tensor, found.scores, found.pred_classes


DETECTIONS = Answers(("boxes", "scores", "classes"), detections, any_size=True)
PIXEL_PROBABILITIES = Answers(("probabilities",), lambda network, inputs: network(inputs)[0]["sem_seg"])  # KxHxW
SCALE_ATTENTION = Answers(("attention",), PIXEL_PROBABILITIES.ask)  # 1xHxW, of HRDA with HRDA.OUTPUT att
CLASS_PROBABILITIES = Answers(("probabilities",), lambda network, inputs: network(inputs)[0]["scores"])  # K


def export(
    network: nn.Module, answers: Answers, path: str | Path, kind: str, image: torch.Tensor, metadata: dict[str, Any]
) -> float:
    """Write a network, verify the file on `image` and on another size or the mirror image, and describe it in `<path>.json`.

    The file maps a 3xHxW uint8 image, already resized and in the network's channel order, to `answers`; boxes are in its pixels.

    Args:
        network: plain network in evaluation mode on the CPU.
        answers: Answers.
        path: file to write.
        kind: "onnx" or "torchscript".
        image: 3xHxW uint8 example.
        metadata: plain values for the description: class names, sizes, channel order.

    Returns:
        The largest difference found between the file's and the network's numbers, boxes in pixels.

    Raises:
        UserError: when an export package is missing, `path` is another file, or the file does not repeat what the network
            says; nothing is written then.
    """
    path = Path(path)
    refuse_foreign(path)
    other = F.interpolate(image[None].float(), scale_factor=0.75)[0].byte() if answers.any_size else image.flip(2)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about every shape that it reads
        adapter = TracingAdapter(network, [{"image": image}], answers.ask).eval()
        adapter(image)
        write = {"onnx": write_onnx, "torchscript": write_torchscript}[kind]
        differences: list[float] = []

        def write_and_verify(temporary: Path) -> None:
            run = write(adapter, temporary, image, answers)
            differences.extend(largest_difference(adapter(example), run(example)) for example in (image, other))
            if not max(differences) <= TOLERANCE:
                raise UserError(f"{path} is not written: it would differ by {max(differences):.3g} from what the network says.")

        write_atomically(path, write_and_verify)
    write_json(description_of(path), {"outputs": answers.names, **metadata}, indent=1)
    return max(differences)


def description_of(path: Path) -> Path:
    """Where the description of an exported file is."""
    return path.with_name(f"{path.name}.json")


def refuse_foreign(path: Path) -> None:
    """Raise UserError when `path` or its description exists but is no earlier export: those have both."""
    for own, other in ((path, description_of(path)), (description_of(path), path)):
        if own.exists() and not other.exists():
            raise UserError(f"--output: {own} exists and is no earlier export: choose another name, or move it away.")


def write_torchscript(adapter: TracingAdapter, path: Path, image: torch.Tensor, answers: Answers) -> Run:
    """Write a TorchScript file; returns it opened."""
    torch.jit.save(torch.jit.trace(adapter, (image,), check_trace=False), str(path))
    return torch.jit.load(str(path))


def write_onnx(adapter: TracingAdapter, path: Path, image: torch.Tensor, answers: Answers) -> Run:
    """Write an ONNX file; returns it opened. Raises UserError when a package for it is missing."""
    try:
        import onnx  # noqa: F401 - torch needs it and would name it less clearly
        import onnxruntime
    except ImportError as error:
        raise UserError(f"Exporting to ONNX needs {error.name}: pip install 'mic-det[export]'.") from None
    varying = {"image": {1: "height", 2: "width"}, **{name: {0: "count"} for name in answers.names}}
    torch.onnx.export(
        adapter,
        (image,),
        str(path),
        opset_version=OPSET,
        dynamo=False,  # detectron2's tracing support is written for the TorchScript exporter
        input_names=["image"],
        output_names=list(answers.names),
        dynamic_axes=varying if answers.any_size else None,
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda example: [torch.from_numpy(np.asarray(part)) for part in session.run(None, {"image": example.numpy()})]


def largest_difference(expected: Sequence[torch.Tensor], found: Sequence[torch.Tensor]) -> float:
    """Over all numbers; infinite when shapes or classes (integers) differ."""
    largest = 0.0
    for a, b in zip(expected, found, strict=True):
        if a.shape != b.shape or not (a.is_floating_point() or torch.equal(a, b)):
            return float("inf")
        largest = max(largest, float((a - b).abs().max())) if a.is_floating_point() and a.numel() else largest
    return largest
