"""Where MODEL.WEIGHTS come from: a local file, a Hugging Face folder, or a public file in iopath's cache."""

from pathlib import Path

from detectron2.checkpoint.catalog import ModelCatalog
from iopath.common.file_io import HTTPURLHandler, get_cache_dir
from iopath.common.file_io import PathManager as IoPathManager

from mic_det.errors import UserError

# Where weights come from that detectron2 does not know: (part of the file's name, source).
SOURCES = (
    ("mit_b", "the folder `pretrained_models` that NVlabs/SegFormer's README links (not `trained_models`)"),
    ("resnet101-63fe2227", "https://download.pytorch.org/models/resnet101-63fe2227.pth"),
    ("resnet101_v1c", "https://download.openmmlab.com/pretrain/third_party/resnet101_v1c-e67eebb6.pth"),
)
DETECTRON2_SOURCE = "https://dl.fbaipublicfiles.com/detectron2/"


def public_source(path: str) -> str:
    """Where a `detectron2://` path or URL comes from."""
    if path.startswith("detectron2://"):
        return DETECTRON2_SOURCE + path.removeprefix("detectron2://")
    if path.startswith("catalog://"):
        return ModelCatalog.get(path.removeprefix("catalog://"))
    return path


def find(path: str, download: bool = False) -> str:
    """Local file of MODEL.WEIGHTS; remote ones come from iopath's cache and are fetched only when `download` is set.

    Raises:
        UserError: when there is no such file, it is a folder without weights, or it could not be fetched.
    """
    if "://" not in path:
        return local_file(path)
    url = public_source(path)
    cached = cache_file(url)
    if cached.is_file():
        return str(cached)
    if not download:
        raise UserError(
            f"MODEL.WEIGHTS: {path} is not on this machine. Add --download to fetch it from {url}, or set MODEL.WEIGHTS "
            "to a local file, or to '' for random weights."
        )
    try:
        manager = IoPathManager()
        manager.register_handler(HTTPURLHandler())
        return manager.get_local_path(url)
    except Exception as error:  # whatever the network raises
        raise UserError(f"MODEL.WEIGHTS: {url} could not be fetched ({error}); download it and set the local path.") from error


def local_file(path: str) -> str:
    """`path` itself, or the weights of a Hugging Face folder. Raises UserError when there is neither."""
    if Path(path).is_file():
        return path
    if Path(path).is_dir():
        weights = hugging_face_file(path)
        if weights is None:
            raise UserError(f"MODEL.WEIGHTS: {path} is a folder without model.safetensors: name the weight file itself.")
        return str(weights)
    source = next((f" It comes from {place}." for part, place in SOURCES if part in Path(path).name), "")
    raise UserError(f"MODEL.WEIGHTS: {path} does not exist; set it to a checkpoint, or to '' for random weights.{source}")


def hugging_face_file(folder: str) -> Path | None:
    """The weights in a Hugging Face model folder, or None."""
    files = (Path(folder) / name for name in ("model.safetensors", "pytorch_model.bin"))
    return next((path for path in files if path.is_file()), None)


def cache_file(url: str) -> Path:
    """Where iopath keeps a downloaded URL."""
    return Path(get_cache_dir()) / url.split("://", 1)[1]
