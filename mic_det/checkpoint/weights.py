"""Initial weights: a mic-det checkpoint into student and teacher, or a plain detectron2 one into both."""

import logging
from pathlib import Path

from detectron2.checkpoint import DetectionCheckpointer
from detectron2.checkpoint.catalog import ModelCatalog
from iopath.common.file_io import PathManager as IoPathManager

from mic_det.checkpoint import files
from mic_det.checkpoint.anchors import warn_of_other_anchors
from mic_det.checkpoint.encoders import encoder_weights, is_public_encoder, is_torchvision_resnet, torchvision_weights
from mic_det.checkpoint.pickles import load_pickle
from mic_det.checkpoint.published_detection import is_published
from mic_det.checkpoint.published_segmentation import is_published_segmentation
from mic_det.errors import UserError
from mic_det.modeling.backbone.pooled import PooledNetwork

ALIGNMENT = "alignment."
# Parts of a meta-architecture beside student and teacher, which a run may have or not.
EXTRAS = (ALIGNMENT, "feature_distance.", "discriminator.", "mask_teacher.")
# LC-MSM's second decoder, which a trained model can do without.
LANGUAGE = ("student.language_head.", "teacher.model.language_head.")
# Where weights come from that detectron2 does not know: (part of the file's name, source).
SOURCES = (
    ("mit_b", "the folder `pretrained_models` that NVlabs/SegFormer's README links (not `trained_models`)"),
    ("resnet101-63fe2227", "https://download.pytorch.org/models/resnet101-63fe2227.pth"),
    ("resnet101_v1c", "https://download.openmmlab.com/pretrain/third_party/resnet101_v1c-e67eebb6.pth"),
)
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
        if Path(path).is_dir() and hugging_face_file(path):
            return str(hugging_face_file(path))
        if not Path(path).is_file():
            source = next((f" It comes from {place}." for part, place in SOURCES if part in Path(path).name), "")
            raise UserError(f"MODEL.WEIGHTS: {path} does not exist; set it to a checkpoint, or to '' for random weights.{source}")
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


def hugging_face_file(folder):
    """The weights in a Hugging Face model folder, or None."""
    files = (Path(folder) / name for name in ("model.safetensors", "pytorch_model.bin"))
    return next((path for path in files if path.is_file()), None)


def cache_file(url):
    """Where iopath keeps a downloaded URL."""
    from iopath.common.file_io import get_cache_dir

    return Path(get_cache_dir()) / url.split("://", 1)[1]


def read_weights(file):
    """A weight file as detectron2's checkpointer takes it: "model", a state dict, and "matching_heuristics".

    `.pkl` files hold numpy arrays, by name or, in Caffe2's layout, in "blobs". Raises UserError when the file cannot be
    read or asks for more than arrays.
    """
    if not Path(file).is_file():
        raise UserError(f"Checkpoint {file} does not exist.")
    if str(file).endswith(".safetensors"):
        from safetensors.torch import load_file

        return {"model": load_file(file), "matching_heuristics": True}
    if not str(file).endswith(".pkl"):
        content = files.load(file)
        state = dict(content.get("model", content.get("state_dict", content)))
        # Names that are not detectron2's are matched by their ends.
        return {"model": state, "matching_heuristics": not any(key.startswith("backbone.") for key in state)}
    content = load_pickle(file)
    if "model" in content and "__author__" in content:  # detectron2's model zoo
        return content
    blobs = content.get("model", content.get("blobs", content))
    state = {key: value for key, value in blobs.items() if not key.endswith("_momentum")}
    return {"model": state, "matching_heuristics": True, "__author__": "Caffe2"}


def is_mic_checkpoint(state):
    return any(key.startswith("student.") for key in state)


def load_weights(model, path, download=False):
    """Load initial weights into a meta-architecture of mic-det.

    A mic-det checkpoint fills student and teacher; anything that detectron2 can read (its own, Caffe2 or torchvision
    naming) fills the student, which the teacher then copies. '' leaves the random weights.

    Returns:
        Names of the model's EXTRAS that a mic-det checkpoint lacks; they stay as they were initialised.

    Raises:
        UserError: when the file is missing or none of the backbone's weights was in it.
    """
    if not path:
        return []
    file = find(path, download)
    content = read_weights(file)
    if is_mic_checkpoint(content["model"]):
        state, missing = with_extras_of(model, content["model"])
        load_exactly(model, state, file)
        return missing
    if is_published(content["model"]) or is_published_segmentation(content["model"]):
        raise UserError(f"MODEL.WEIGHTS: {file} is in the published code's layout: convert it with tools/convert_checkpoint.py.")
    encoder = None
    if is_public_encoder(content["model"]):
        encoder = encoder_weights(content["model"])
    elif isinstance(model.student.backbone, PooledNetwork) and is_torchvision_resnet(content["model"]):
        encoder = torchvision_weights(content["model"])
    if encoder is not None:
        load_encoder(model.student.backbone, encoder, file)
        model.start_from_student()
        return []
    warn_of_other_anchors(model.student, content["model"], file)
    unmatched = DetectionCheckpointer(model.student)._load_model(content)
    missing = set(unmatched.missing_keys) if unmatched else set()
    if all(f"backbone.{name}" in missing for name in model.student.backbone.state_dict()):
        raise UserError(f"MODEL.WEIGHTS: {file} holds no weight of the backbone {type(model.student.backbone).__name__}.")
    model.start_from_student()
    logger.info("Loaded %s into student and teacher.", file)
    return []


def load_encoder(backbone, state, file):
    """Load an encoder in our names, and nothing else, into a backbone. Raises UserError when it does not fit."""
    own = backbone.state_dict()
    counters = {name: value for name, value in own.items() if name.endswith("num_batches_tracked")}  # old files have none
    state = {**counters, **state}
    wrong = sorted(set(own) ^ set(state)) or sorted(name for name in own if own[name].shape != state[name].shape)
    if wrong:
        raise UserError(
            f"MODEL.WEIGHTS: {file} does not fit the backbone {type(backbone).__name__}: {len(wrong)} entries differ, e.g. "
            f"{wrong[0]}. Set MODEL.MIT.VARIANT or MODEL.RESNETS.DEPTH to the file's."
        )
    backbone.load_state_dict(state)
    logger.info("Loaded the encoder %s.", file)


def with_extras_of(model, state):
    """(a mic-det state dict with exactly the model's EXTRAS, the model's own where it has none; names of those it has not).

    A language decoder that the model has not is left out.
    """
    expected = model.state_dict()
    own = {name: value for name, value in expected.items() if name.startswith(EXTRAS)}
    rest = {name: value for name, value in state.items() if name in expected or not name.startswith((*EXTRAS, *LANGUAGE))}
    missing = sorted({name.split(".")[0] for name in own.keys() - rest.keys()})
    if missing:
        logger.info("The checkpoint has no %s.", " and no ".join(missing))
    return {**own, **rest}, missing


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
