"""What is wrong with the entries of a dataset: counted by kind, with an example, and said once."""

import logging
from collections import Counter
from dataclasses import dataclass, field

from detectron2.utils.logger import log_first_n


@dataclass
class Faults:
    """Kinds of faults.

    Attributes:
        counts: Counter of the kinds.
        examples: {kind: one entry that has it}.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, kind: str, example: str) -> None:
        """Count one more of a kind; the first example of it stays."""
        self.counts[kind] += 1
        self.examples.setdefault(kind, example)

    def merge(self, other: "Faults") -> None:
        """Take over all faults of another list."""
        self.counts += other.counts
        self.examples = {**other.examples, **self.examples}

    def report(self, where: str) -> None:
        """Log one warning for each kind, once per process: a run reads its datasets again for every evaluation and picture."""
        for kind, count in self.counts.items():
            message = f"{where}: {count} x {kind}, e.g. {self.examples[kind]}."
            log_first_n(logging.WARNING, message, key="message")
