"""Initial weights: a mic-det checkpoint into student and teacher, or a plain detectron2 one into both."""

import logging
from pathlib import Path

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.checkpoint.catalog import ModelCatalog
from iopath.common.file_io import PathManager as IoPathManager

from mic_det.checkpoint import files
from mic_det.errors import UserError

logger = logging.getLogger(__name__)
DETECTRON2_SOURCE = "https://dl.fbaipublicfiles.com/detectron2/"


def public_source(path):
    """Where a `detectron2://` path or URL comes from."""
    if path.startswith("detectron2://"):
        return DETECTRON2_SOURCE + path.removeprefix("detectron2://")
    if path.startswith("catalog://"):
        return ModelCatalog.get(path.removeprefix("catalog://"))
    return path


def find(path, download=False):
    """Local file of MODEL.WEIGHTS; remote ones come from iopath's cache and are fetched only when `download` is set."""
    if "://" not in path:
        if not Path(path).is_file():
            raise UserError(f"MODEL.WEIGHTS: {path} does not exist; set it to a checkpoint, or to '' for random weights.")
        return path
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
        from iopath.common.file_io import HTTPURLHandler

        manager = IoPathManager()
        manager.register_handler(HTTPURLHandler())
        return manager.get_local_path(url)
    except Exception as error:  # whatever the network raises
        raise UserError(f"MODEL.WEIGHTS: {url} could not be fetched ({error}); download it and set the local path.") from error


def cache_file(url):
    """Where iopath keeps a downloaded URL."""
    from iopath.common.file_io import get_cache_dir

    return Path(get_cache_dir()) / url.split("://", 1)[1]


def is_mic_checkpoint(state):
    return any(key.startswith("student.") for key in state)


def load_weights(model, path, download=False):
    """Load initial weights into a MaskedConsistencyDetector.

    A mic-det checkpoint fills student and teacher; anything that detectron2 can read (its own, Caffe2 or torchvision
    naming) fills the student, which the teacher then copies. '' leaves the random weights.

    Raises:
        UserError: when the file is missing or none of the backbone's weights was in it.
    """
    if not path:
        return
    file = find(path, download)
    checkpointer = DetectionCheckpointer(model.student)
    if file.endswith((".pth", ".pt")):
        content = files.load(file)
        state = content.get("model", content)
        if is_mic_checkpoint(state):
            load_exactly(model, state, file)
            return
        plain = any(key.startswith("backbone.") for key in state)
        content = {"model": dict(state), "matching_heuristics": not plain}
    else:
        content = checkpointer._load_file(file)
    unmatched = checkpointer._load_model(content)
    missing = set(unmatched.missing_keys) if unmatched else set()
    if all(f"backbone.{name}" in missing for name in model.student.backbone.state_dict()):
        raise UserError(f"MODEL.WEIGHTS: {file} holds no weight of the backbone {type(model.student.backbone).__name__}.")
    model.teacher.copy_from(model.student)
    logger.info("Loaded %s into student and teacher.", file)


def load_exactly(model, state, file):
    """Load a mic-det state dict; names that do not fit are an error that lists the first of them."""
    own = model.state_dict()
    wrong = sorted(set(own) ^ set(state)) + sorted(key for key in set(own) & set(state) if own[key].shape != state[key].shape)
    if wrong:
        raise UserError(
            f"{file} does not fit the configured model: {len(wrong)} entries differ, e.g. {wrong[0]}. Use the config it was "
            "trained with."
        )
    model.load_state_dict(state)
    logger.info("Loaded student and teacher from %s.", file)
