"""A look at the installation. It runs when torch or detectron2 are missing: saying so is its purpose."""

import importlib.metadata
import importlib.util
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

GOOD, ABSENT, WRONG = "ok", "absent", "wrong"
# Extra of the package -> modules that it brings.
EXTRAS = {
    "fast": ("faster_coco_eval",),
    "timm": ("timm",),
    "segmentation": ("transformers",),
    "text": ("open_clip", "sentence_transformers"),
    "export": ("onnx", "onnxscript", "onnxruntime"),
    "hub": ("safetensors", "huggingface_hub"),
    "supervision": ("supervision",),
    "fiftyone": ("fiftyone",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow",),
}
# Folders of the built-in datasets, below that of all datasets; those of `mic-det prepare`, and two that need no preparation.
DATASETS = (
    *("cityscapes", "bdd100k", "sim10k", "kitti", "voc", "clipart", "watercolor", "comic", "camvid"),
    *("gta", "synthia", "acdc", "dark_zurich", "visda-2017", "office-home"),
    *("toycity", "toycity_synthetic", "toycity_seg", "toycity_cls"),
)


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        name: what.
        state: "ok"; "absent", of what can be done without; "wrong", of what is needed.
        detail: version, place or what is wrong.
        cure: what to do; empty where there is nothing to do.
    """

    name: str
    state: str
    detail: str
    cure: str = ""


def findings() -> Iterator[Finding]:
    """Look at everything, in the order in which one would mend it."""
    yield Finding("Python", GOOD, f"{platform.python_version()} on {platform.platform()}")
    yield mic_det()
    yield torch()
    yield library("torchvision", "pip install torchvision")
    yield detectron2()
    yield opencv()
    yield device()
    yield from extras()
    yield datasets()
    yield output()


def mic_det() -> Finding:
    """This package, and whether it brings its configs."""
    import mic_det
    from mic_det import library

    count = len(library.names())
    place = f"{mic_det.__version__} in {Path(mic_det.__file__).parent}, {count} configs"
    return Finding("mic-det", GOOD, place) if count else Finding("mic-det", WRONG, place, "pip install --force-reinstall mic-det")


def library(name: str, cure: str) -> Finding:
    """A package that is needed, imported to see that it works."""
    try:
        module = importlib.import_module(name)
    except Exception as error:  # a broken binary can raise anything
        return Finding(name, WRONG, f"does not import: {first_line(error)}", cure)
    return Finding(name, GOOD, str(getattr(module, "__version__", "without a version")))


def torch() -> Finding:
    """Torch, with what it was built for."""
    found = library("torch", "pip install torch torchvision")
    if found.state != GOOD:
        return found
    import torch

    return Finding(
        "torch", GOOD, f"{torch.__version__}, built for {f'CUDA {torch.version.cuda}' if torch.version.cuda else 'CPU'}"
    )


def detectron2() -> Finding:
    """Detectron2, with or without compiled operators."""
    found = library("detectron2", "mic-det install-detectron2")
    if found.state != GOOD:
        return found
    compiled = importlib.util.find_spec("detectron2._C") is not None
    note = "with compiled operators" if compiled else "without compiled operators (rotated boxes, deformable convolutions)"
    return Finding("detectron2", GOOD, f"{found.detail} {note}")


def opencv() -> Finding:
    """OpenCV, in whichever flavour."""
    found = library("cv2", "pip install opencv-python-headless (or opencv-python, where there is a display)")
    flavours = [name for name in ("opencv-python", "opencv-python-headless", "opencv-contrib-python") if is_installed(name)]
    return Finding("OpenCV", found.state, f"{found.detail}{f', {flavours[0]}' if flavours else ''}", found.cure)


def is_installed(distribution: str) -> bool:
    """Whether a distribution of this name is installed."""
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def device() -> Finding:
    """What training would run on."""
    try:
        import torch

        if torch.cuda.is_available():
            names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
            return Finding("device", GOOD, f"{len(names)} GPU: {', '.join(names)}")
    except Exception as error:  # as above
        return Finding("device", WRONG, f"torch cannot tell: {first_line(error)}", "pip install torch torchvision")
    return Finding("device", GOOD, f"CPU, {os.cpu_count()} cores; no GPU is visible")


def extras() -> Iterator[Finding]:
    """Packages that some verbs and models need."""
    for extra, modules in EXTRAS.items():
        missing = [name for name in modules if importlib.util.find_spec(name) is None]
        if missing:
            yield Finding(f"extra {extra}", ABSENT, f"no {', '.join(missing)}", f"pip install 'mic-det[{extra}]'")
        else:
            yield Finding(f"extra {extra}", GOOD, ", ".join(modules))


def datasets() -> Finding:
    """The datasets' folder and which built-in ones are in it."""
    root = Path(os.path.expanduser(os.environ.get("DETECTRON2_DATASETS", "datasets")))
    found = [name for name in DATASETS if (root / name).is_dir()]
    if not found:
        cure = "set DETECTRON2_DATASETS, or mic-det prepare toycity --root datasets/toycity"
        return Finding("datasets", ABSENT, f"none of the built-in ones in {root.absolute()}", cure)
    return Finding("datasets", GOOD, f"{', '.join(found)} in {root.absolute()}")


def output() -> Finding:
    """Whether runs can write here."""
    folder = Path("output")
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
        return Finding("output", GOOD, f"{folder.absolute()} can be written")
    return Finding("output", WRONG, f"{folder.absolute()} cannot be written", "work in another folder, or set OUTPUT_DIR")


def first_line(error: BaseException) -> str:
    """What an exception says, on one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
