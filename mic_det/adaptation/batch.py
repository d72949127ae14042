"""What one training step sees."""

from dataclasses import dataclass, field


@dataclass
class AdaptationBatch:
    """Detectron2 dataset dicts of both domains.

    Attributes:
        source: labelled samples: "image" (CxHxW uint8), "instances", "height", "width".
        target: unlabelled samples: "image", "height", "width" and nothing else that training reads. Empty while the
            run does not adapt (source-only, oracle, burn-in).
    """

    source: list[dict]
    target: list[dict] = field(default_factory=list)
