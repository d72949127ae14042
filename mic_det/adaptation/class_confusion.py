"""Minimum class confusion (Jin et al., MCC, ECCV 2020): target predictions that hesitate between classes are penalised."""

import torch


def class_confusion(logits: torch.Tensor, temperature: float = 2.0) -> torch.Tensor:
    """How much probability pairs of different classes share in a batch, per class: 0 when every prediction is certain.

    Certain samples count more: weights are 1 + exp(-entropy), of mean 1 and without gradient (equations 4 to 7).

    Args:
        logits: NxK.
        temperature: divides them, at least 1 in practice.

    Returns:
        Scalar in [0, 1).
    """
    probabilities = (logits.float() / temperature).softmax(dim=1)
    with torch.no_grad():
        weights = certainty(probabilities)
    confusion = probabilities.T @ (weights[:, None] * probabilities)
    confusion = confusion / confusion.sum(dim=1, keepdim=True)
    return 1 - confusion.diagonal().mean()


def certainty(probabilities: torch.Tensor) -> torch.Tensor:
    """Weights 1 + exp(-entropy) of N predictions NxK, scaled to mean 1."""
    entropy = -(probabilities * (probabilities + 1e-5).log()).sum(dim=1)
    weights = 1 + torch.exp(-entropy)
    return weights / weights.mean()
