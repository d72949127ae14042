"""What a text encoder knows of class names, for language-conditioned segmentation: made once, then read from a small file."""

from .bank import TextBank, open_bank

__all__ = ["TextBank", "open_bank"]
