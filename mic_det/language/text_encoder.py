"""CLIP text encoders from local files, and the text banks they make. Needs open_clip or transformers (`mic-det[text]`)."""

import hashlib
from pathlib import Path

import torch
import torch.nn.functional as F

from mic_det.errors import UserError, did_you_mean
from mic_det.language.bank import TextBank

TEMPLATE = "a photo of a {name}."
# Names that the published code says in other words.
ALIASES = {"person": "pedestrian", "rider": "driver", "bicycle": "bike", "motorcycle": "motorbike"}


def open_encoder(weights, model="ViT-H-14"):
    """A callable from N sentences to NxD embeddings, not normalised.

    Args:
        weights: checkpoint file of an open_clip `model`, or a folder that transformers' `save_pretrained` wrote.
        model: open_clip's name of the architecture; a folder tells its own.

    Raises:
        UserError: when the file, the package or the architecture is missing, or the file does not fit.
    """
    if not Path(weights).exists():
        raise UserError(
            f"--weights {weights} does not exist. LC-MSM uses OpenCLIP's ViT-H-14, laion2b_s32b_b79k: the file "
            "open_clip_pytorch_model.bin of laion/CLIP-ViT-H-14-laion2B-s32B-b79K on the Hugging Face hub."
        )
    try:
        return transformers_encoder(weights) if Path(weights).is_dir() else open_clip_encoder(weights, model)
    except ImportError as error:
        raise UserError(f"Reading a text encoder needs {error.name}: pip install 'mic-det[text]'.") from None


def open_clip_encoder(file, model):
    import open_clip

    if model not in open_clip.list_models():
        raise UserError(f"--model: open_clip has no '{model}'.{did_you_mean(model, open_clip.list_models())}")
    try:
        network = open_clip.create_model(model, pretrained=str(file)).eval()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"--weights {file} holds no {model}: {str(error).splitlines()[0]}") from None
    tokenise = open_clip.get_tokenizer(model)
    return lambda sentences: network.encode_text(tokenise(sentences))


def transformers_encoder(folder):
    from transformers import AutoTokenizer, CLIPTextModelWithProjection

    try:
        network = CLIPTextModelWithProjection.from_pretrained(folder, local_files_only=True).eval()
        tokeniser = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"--weights {folder} holds no CLIP text encoder with its tokenizer: {str(error).splitlines()[0]}"
        ) from None
    return lambda sentences: network(**tokeniser(sentences, padding=True, return_tensors="pt")).text_embeds


def prompts_of(classes, templates=(TEMPLATE,), aliases=None):
    """Per class, its sentences in every template; `aliases` are {class: what to say instead}, ALIASES by default."""
    aliases = ALIASES if aliases is None else aliases
    return [[template.format(name=aliases.get(name, name)) for template in templates] for name in classes]


@torch.inference_mode()
def embed_classes(encode, prompts):
    """KxD float32 of K lists of prompts.

    One prompt gives the encoder's own output (LC-MSM); several are normalised, averaged and normalised again (FC-CLIP, Yu et
    al., NeurIPS 2023).
    """
    found = [encode(sentences).float() for sentences in prompts]
    return torch.stack([part[0] if len(part) == 1 else F.normalize(F.normalize(part).mean(dim=0), dim=0) for part in found])


def make_bank(classes, weights, model="ViT-H-14", tag="", templates=(TEMPLATE,), aliases=None):
    """TextBank of class names; arguments as in `open_encoder` and `prompts_of`, `tag` names the weights."""
    prompts = prompts_of(classes, templates, aliases)
    embeddings = embed_classes(open_encoder(weights, model), prompts).clone()
    kind = f"{Path(weights).name} (transformers)" if Path(weights).is_dir() else model
    return TextBank(embeddings, list(classes), prompts, kind, tag or Path(weights).stem, sha256(weights))


def sha256(path):
    """Hash of a file, or of all weight files of a folder in the order of their names."""
    path, found = Path(path), hashlib.sha256()
    files = [path] if path.is_file() else sorted([*path.glob("*.safetensors"), *path.glob("*.bin")])
    for file in files:
        with file.open("rb") as content:
            while block := content.read(1 << 20):
                found.update(block)
    return found.hexdigest()
