"""Averages that live on the device until someone asks."""

from collections.abc import Mapping
from typing import Any

import torch


class Meters:
    """Running means of losses and diagnostics, and the count of skipped steps.

    `add` and `count_bad_step` only enqueue device work; `read` is the one place that waits for the device.
    """

    def __init__(self, device: torch.device | str) -> None:
        self.device = device
        self.sums: dict[str, float | torch.Tensor] = {}
        self.counts: dict[str, int] = {}
        self.bad_in_a_row = torch.zeros((), device=device)
        self.bad_total = torch.zeros((), device=device)

    def add(self, values: Mapping[str, float | torch.Tensor]) -> None:
        """Add numbers or 0-dim tensors by name."""
        for name, value in values.items():
            value = value.detach() if isinstance(value, torch.Tensor) else value
            self.sums[name] = self.sums.get(name, 0.0) + value
            self.counts[name] = self.counts.get(name, 0) + 1

    def count_bad_step(self, bad: float | torch.Tensor) -> None:
        """Count a step that was skipped (`bad` is 1.0) or taken (0.0)."""
        self.bad_total += bad
        self.bad_in_a_row = (self.bad_in_a_row + 1) * bad

    def read(self) -> dict[str, float]:
        """Return {name: mean since the last reading} as floats and start afresh."""
        means = {name: float(total) / self.counts[name] for name, total in self.sums.items()}
        self.sums, self.counts = {}, {}
        return means

    def bad_steps(self) -> tuple[int, int]:
        """Return (skipped in a row until now, skipped in all)."""
        return int(self.bad_in_a_row), int(self.bad_total)

    def state_dict(self) -> dict[str, Any]:
        """Sums, counts and skipped steps so far, as plain numbers."""
        return {
            "sums": {name: float(total) for name, total in self.sums.items()},
            "counts": dict(self.counts),
            "bad_in_a_row": int(self.bad_in_a_row),
            "bad_total": int(self.bad_total),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`."""
        self.sums, self.counts = dict(state["sums"]), dict(state["counts"])
        self.bad_in_a_row.fill_(state["bad_in_a_row"])
        self.bad_total.fill_(state["bad_total"])
