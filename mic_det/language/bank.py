"""Text banks: one embedding per class, with all that says where it came from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from mic_det.checkpoint import files
from mic_det.errors import UserError
from mic_det.library import asset

RANDOM, NONE = "random", "none"
RANDOM_WIDTH = 1024  # of ViT-H-14, which the published code uses


@dataclass(frozen=True)
class TextBank:
    """Class embeddings of a text encoder.

    Attributes:
        embeddings: KxD float32, as the encoder gives them (CLIP's are not normalised).
        classes: K class names in the order of the labels; () when nobody knows (random rows).
        prompts: per class, the sentences that were embedded.
        model: name of the encoder.
        tag: of its weights, when one is known.
        weights_sha256: hash of the weight file.
    """

    embeddings: torch.Tensor
    classes: Sequence[str] = ()
    prompts: Sequence[Sequence[str]] = ()
    model: str = ""
    tag: str = ""
    weights_sha256: str = ""

    def __str__(self) -> str:
        if not self.model:
            return f"{len(self.embeddings)} random class embeddings, which know nothing of the classes' names"
        encoder = ", ".join(filter(None, (self.model, self.tag, f"weights {self.weights_sha256[:12]}")))
        return f"{len(self.embeddings)} class embeddings of {encoder}, e.g. '{self.prompts[0][0]}'"

    @classmethod
    def random(cls, count: int, width: int = RANDOM_WIDTH) -> "TextBank":
        """Normally distributed rows, always the same ones."""
        return cls(torch.randn(count, width, generator=torch.Generator().manual_seed(0)))

    @classmethod
    def load(cls, path: str | Path) -> "TextBank":
        """Read a file of `save`. Raises UserError when the file is missing or is no text bank."""
        content = files.load(path)
        try:
            bank = cls(**content)
        except TypeError:
            raise UserError(f"{path} is no text bank: make one with `mic-det text-bank`.") from None
        if bank.embeddings.ndim != 2 or len(bank.embeddings) != len(bank.classes):
            raise UserError(f"{path} is broken: {len(bank.classes)} classes, embeddings {tuple(bank.embeddings.shape)}.")
        return bank

    def save(self, path: str | Path) -> None:
        """Write the bank to a file. Raises UserError when that fails."""
        files.save_tensors(path, asdict(self))

    def check_classes(self, classes: Sequence[str], where: str) -> None:
        """Raise UserError unless the bank's classes are `classes`, in this order."""
        if self.classes and list(self.classes) != list(classes):
            wrong = next(
                (index for index, pair in enumerate(zip(self.classes, classes, strict=False)) if pair[0] != pair[1]),
                min(len(self.classes), len(classes)),
            )
            own, other = (names[wrong] if wrong < len(names) else "nothing" for names in (self.classes, classes))
            raise UserError(
                f"MODEL.LANGUAGE_HEAD.TEXT_BANK: class {wrong} of the text bank is '{own}', but {where} has '{other}' there: "
                f"make the bank with --classes {' '.join(repr(name) for name in classes)}."
            )


def open_bank(name: str, count: int) -> TextBank | None:
    """The text bank that MODEL.LANGUAGE_HEAD.TEXT_BANK names, for `count` classes.

    Args:
        name: file of `mic-det text-bank` (one below `configs/` may be the library's), "random", or "none".

    Returns:
        TextBank; None for "none".

    Raises:
        UserError: when nothing is named, the file cannot be read or it holds another number of classes.
    """
    if not name:
        raise UserError(
            "MODEL.LANGUAGE_HEAD.TEXT_BANK is empty: make one with `mic-det text-bank` and name its file; 'random' trains "
            "with random class embeddings instead, 'none' without any."
        )
    if name == NONE:
        return None
    file = asset(name)
    if name != RANDOM and not file.is_file():
        raise UserError(
            f"MODEL.LANGUAGE_HEAD.TEXT_BANK: {name} does not exist (seen from {Path.cwd()}): give the full path, or make one "
            "with `mic-det text-bank`."
        )
    bank = TextBank.random(count) if name == RANDOM else TextBank.load(file)
    if len(bank.embeddings) != count:
        raise UserError(
            f"MODEL.LANGUAGE_HEAD.TEXT_BANK: {name} holds {len(bank.embeddings)} classes, but MODEL.SEM_SEG_HEAD.NUM_CLASSES is "
            f"{count}."
        )
    return bank
