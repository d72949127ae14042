"""A detector as a file that runs without mic-det and detectron2: ONNX or TorchScript."""

import json
import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from detectron2.export import TracingAdapter

from mic_det.errors import UserError

logger = logging.getLogger(__name__)
TOLERANCE = 1e-3
OPSET = 16  # the first whose RoiAlign can do without the half-pixel shift
OUTPUTS = ("boxes", "scores", "classes")
SUFFIXES = {"onnx": ".onnx", "torchscript": ".ts"}


def detections(detector, inputs):
    """(boxes Nx4 XYXY in network-input pixels, scores N, classes N) of one image."""
    if hasattr(detector, "roi_heads"):
        found = detector.inference(inputs, do_postprocess=False)[0]
    else:
        found = detector(inputs)[0]["instances"]
    return found.pred_boxes.tensor, found.scores, found.pred_classes


def export(detector, path, kind, image, metadata):
    """Write a detector, verify the file on `image` and on another size of it, and describe it in `<path>.json`.

    The file maps a 3xHxW uint8 image, already resized and in the network's channel order, to OUTPUTS; boxes are in its pixels.

    Args:
        detector: plain detectron2 detector in evaluation mode on the CPU.
        path: file to write.
        kind: "onnx" or "torchscript".
        image: 3xHxW uint8 example.
        metadata: plain values for the description: class names, sizes, channel order.

    Returns:
        The largest difference found, of boxes in pixels and of scores.

    Raises:
        UserError: when an export package is missing or the file does not repeat the detector's boxes and scores.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    smaller = torch.nn.functional.interpolate(image[None].float(), scale_factor=0.75)[0].byte()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns about every shape that it reads
        adapter = TracingAdapter(detector, [{"image": image}], detections).eval()
        adapter(image)
        run = {"onnx": write_onnx, "torchscript": write_torchscript}[kind](adapter, path, image)
        difference = max(largest_difference(adapter(example), run(example)) for example in (image, smaller))
    if not difference <= TOLERANCE:
        raise UserError(
            f"{path} was written, but its boxes or scores differ by {difference:.3g} from the detector's: do not use it."
        )
    (path.parent / f"{path.name}.json").write_text(json.dumps({"outputs": OUTPUTS, **metadata}, indent=1))
    return difference


def write_torchscript(adapter, path, image):
    torch.jit.save(torch.jit.trace(adapter, (image,), check_trace=False), str(path))
    return torch.jit.load(str(path))


def write_onnx(adapter, path, image):
    try:
        import onnx  # noqa: F401 - torch needs it and would name it less clearly
        import onnxruntime
    except ImportError as error:
        raise UserError(f"Exporting to ONNX needs {error.name}: pip install 'mic-det[export]'.") from None
    torch.onnx.export(
        adapter,
        (image,),
        str(path),
        opset_version=OPSET,
        dynamo=False,  # detectron2's tracing support is written for the TorchScript exporter
        input_names=["image"],
        output_names=list(OUTPUTS),
        dynamic_axes={"image": {1: "height", 2: "width"}, **{name: {0: "count"} for name in OUTPUTS}},
    )
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return lambda example: [torch.from_numpy(np.asarray(part)) for part in session.run(None, {"image": example.numpy()})]


def largest_difference(expected, found):
    """Over boxes and scores; infinite when numbers or classes of detections differ."""
    expected, found = list(expected)[:3], list(found)[:3]
    if any(a.shape != b.shape for a, b in zip(expected, found, strict=True)) or not torch.equal(expected[2], found[2]):
        return float("inf")
    return max([float((a - b).abs().max()) for a, b in zip(expected[:2], found[:2], strict=True) if a.numel()], default=0.0)
