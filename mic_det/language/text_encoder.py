"""Text encoders from local files, and the text banks they make. Needs the packages of `mic-det[text]`."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F

from mic_det.errors import UserError, did_you_mean
from mic_det.language.bank import TextBank

Encoder = Callable[[list[str]], torch.Tensor]  # N sentences -> NxD embeddings

TEMPLATE = "a photo of a {name}."
# Names that the published code says in other words.
ALIASES = {"person": "pedestrian", "rider": "driver", "bicycle": "bike", "motorcycle": "motorbike"}


def open_encoder(weights: str | Path, model: str = "ViT-H-14") -> Encoder:
    """A callable from N sentences to NxD embeddings: CLIP's projected ones, or what a sentence encoder's own modules make.

    Args:
        weights: checkpoint file of an open_clip `model`, a CLIP text encoder's folder that transformers' `save_pretrained`
            wrote, or a sentence encoder's that sentence-transformers' wrote.
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
        if Path(weights).is_dir():
            return sentence_encoder(weights) if is_sentence_encoder(weights) else transformers_encoder(weights)
        return open_clip_encoder(weights, model)
    except ImportError as error:
        raise UserError(f"Reading a text encoder needs {error.name}: pip install 'mic-det[text]'.") from None


def open_clip_encoder(file: str | Path, model: str) -> Encoder:
    """The text tower of an open_clip checkpoint. Raises UserError when it does not fit `model`."""
    import open_clip

    if model not in open_clip.list_models():
        raise UserError(f"--model: open_clip has no '{model}'.{did_you_mean(model, open_clip.list_models())}")
    try:
        network = open_clip.create_model(model, pretrained=str(file)).eval()
    except (RuntimeError, ValueError) as error:
        raise UserError(f"--weights {file} holds no {model}: {str(error).splitlines()[0]}") from None
    tokenise = open_clip.get_tokenizer(model)
    return lambda sentences: network.encode_text(tokenise(sentences))


def is_sentence_encoder(folder: str | Path) -> bool:
    """Whether sentence-transformers wrote a folder."""
    return (Path(folder) / "modules.json").is_file()


def sentence_encoder(folder: str | Path) -> Encoder:
    """A folder that sentence-transformers wrote. Raises UserError when it is broken."""
    from sentence_transformers import SentenceTransformer

    try:
        network = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(f"--weights {folder} holds no sentence encoder: {str(error).splitlines()[0]}") from None
    return lambda sentences: network.encode(sentences, convert_to_tensor=True, show_progress_bar=False)


def transformers_encoder(folder: str | Path) -> Encoder:
    """A CLIP text encoder's folder that transformers wrote. Raises UserError when it is none."""
    from transformers import AutoTokenizer, CLIPTextModelWithProjection

    try:
        network = CLIPTextModelWithProjection.from_pretrained(folder, local_files_only=True).eval()
        tokeniser = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"--weights {folder} holds neither a CLIP text encoder with its tokenizer nor, in modules.json, a sentence encoder: "
            f"{str(error).splitlines()[0]}"
        ) from None
    return lambda sentences: network(**tokeniser(sentences, padding=True, return_tensors="pt")).text_embeds


def prompts_of(
    classes: Sequence[str], templates: Sequence[str] = (TEMPLATE,), aliases: Mapping[str, str] | None = None
) -> list[list[str]]:
    """Per class, its sentences in every template; `aliases` are {class: what to say instead}, ALIASES by default."""
    aliases = ALIASES if aliases is None else aliases
    return [[template.format(name=aliases.get(name, name)) for template in templates] for name in classes]


@torch.inference_mode()
def embed_classes(encode: Encoder, prompts: Sequence[list[str]]) -> torch.Tensor:
    """KxD float32 of K lists of prompts.

    One prompt gives the encoder's own output (LC-MSM); several are normalised, averaged and normalised again (FC-CLIP, Yu et
    al., NeurIPS 2023).
    """
    found = [encode(sentences).float() for sentences in prompts]
    return torch.stack([part[0] if len(part) == 1 else F.normalize(F.normalize(part).mean(dim=0), dim=0) for part in found])


def make_bank(
    classes: Sequence[str],
    weights: str | Path,
    model: str = "ViT-H-14",
    tag: str = "",
    templates: Sequence[str] = (TEMPLATE,),
    aliases: Mapping[str, str] | None = None,
) -> TextBank:
    """TextBank of class names; arguments as in `open_encoder` and `prompts_of`, `tag` names the weights."""
    prompts = prompts_of(classes, templates, aliases)
    embeddings = embed_classes(open_encoder(weights, model), prompts).clone()
    if Path(weights).is_dir():
        library = "sentence-transformers" if is_sentence_encoder(weights) else "transformers"
        model = f"{Path(weights).resolve().name} ({library})"
    else:
        tag = tag or Path(weights).stem
    return TextBank(embeddings, list(classes), prompts, model, tag, sha256(weights))


def sha256(path: str | Path) -> str:
    """Hash of a file, or of all weight files of a folder in the order of their names."""
    path, found = Path(path), hashlib.sha256()
    files = [path] if path.is_file() else sorted([*path.glob("*.safetensors"), *path.glob("*.bin")])
    for file in files:
        with file.open("rb") as content:
            while block := content.read(1 << 20):
                found.update(block)
    return found.hexdigest()
