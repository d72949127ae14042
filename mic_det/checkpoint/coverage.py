"""What a file's weights filled of a network, what stayed random and what was not used."""

import re
from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import nn

BACKBONE = "backbone"
# (start of the entry's name, part of the network); the first that fits counts.
PARTS = (
    *((f"backbone.{inner}.", BACKBONE) for inner in ("bottom_up", "net")),
    ("roi_heads.res5.", BACKBONE),
    ("proposal_generator.", "RPN"),
    ("roi_heads.box_head.", "box head"),
    ("roi_heads.box_predictor", "box classifier"),
    ("roi_heads.mask_head.", "mask head"),
    ("roi_heads.", "RoI heads"),
    ("head.", "dense head"),
    ("sem_seg_head.classifier.", "classifier"),
    ("sem_seg_head.", "decoder"),
    ("language_head.", "language decoder"),
    ("scale_attention.", "scale attention"),
)
# Not learnt: counters, statistics of the input, tables that follow from the config.
CONSTANT = re.compile(r"(num_batches_tracked|pixel_mean|pixel_std|cell_anchors\.\d+|relative_position_index|text\.bank)$")
# Begin at zero and are in no ImageNet file: ViTDet's relative positions.
ZERO_AT_FIRST = re.compile(r"\.rel_pos_[hw]$")
RUNNING = re.compile(r"\.running_(mean|var)$")
SHOWN = 5  # names in a line


def part_of(name: str, has_pyramid: bool) -> str:
    """The part of a network that an entry of its state dict belongs to."""
    found = next((part for start, part in PARTS if name.startswith(start)), None)
    if found is None and name.startswith("backbone."):
        found = "FPN" if has_pyramid else BACKBONE
    return found or name.split(".")[0]


def listing(names: list[str]) -> str:
    """The first SHOWN names and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


@dataclass
class Coverage:
    """What became of the entries of a network and of a file.

    Attributes:
        own: names of the network's entries that weights must come for.
        filled: those of them that the file filled.
        unused: names of the file's entries that nothing was done with.
        mismatched: {name: (shape in the file, shape in the network)} of those that have a namesake of another shape.
    """

    own: list[str]
    filled: set[str]
    unused: list[str] = field(default_factory=list)
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)

    @property
    def random(self) -> list[str]:
        """Names of the entries that the file did not fill."""
        return [name for name in self.own if name not in self.filled]

    def part(self, name: str) -> str:
        """`part_of` an entry of this network."""
        return part_of(name, any(own.startswith(("backbone.bottom_up.", "backbone.net.")) for own in self.own))

    @property
    def counts(self) -> dict[str, tuple[int, int]]:
        """{part: (filled, all)} in the network's order."""
        filled = Counter(self.part(name) for name in self.own if name in self.filled)
        return {part: (filled[part], count) for part, count in Counter(map(self.part, self.own)).items()}

    @property
    def random_parts(self) -> str:
        """The parts that are not wholly filled, each with how much is missing."""
        return ", ".join(
            f"{part} ({count - filled} of {count})" for part, (filled, count) in self.counts.items() if filled < count
        )

    @property
    def backbone_gaps(self) -> list[str]:
        """Random entries of a backbone of which others are filled."""
        inside = [name for name in self.own if self.part(name) == BACKBONE and not ZERO_AT_FIRST.search(name)]
        gaps = [name for name in inside if name not in self.filled]
        return gaps if len(gaps) < len(inside) else []

    @property
    def backbone_surplus(self) -> list[str]:
        """Unused entries that are like filled ones of the backbone but for their numbers: blocks of a deeper network."""
        used = {pattern(name) for name in self.filled if self.part(name) == BACKBONE}
        return [name for name in self.unused if name not in self.mismatched and re.search(r"\d", name) and pattern(name) in used]

    def table(self) -> str:
        """One line for each part, then what was not used."""
        lines = []
        for part, (filled, count) in self.counts.items():
            left = f", {count - filled} random" if filled < count else ""
            lines.append(f"  {part:<18}{filled:>5} of {count} filled{left}")
        if self.mismatched:
            shapes = [f"{name} {tuple(a)} in the file, {tuple(b)} here" for name, (a, b) in self.mismatched.items()]
            lines.append(f"  other shape: {listing(shapes)}")
        unused = [name for name in self.unused if name not in self.mismatched]
        lines.append(f"  not used: {listing(unused) or 'nothing'}")
        return "\n".join(lines)


def pattern(name: str) -> str:
    """A backbone's entry without the backbone's own name and with every number as `*`."""
    return re.sub(r"\d+", "*", re.sub(r"^backbone\.((bottom_up|net)\.)?(network\.)?", "", name))


def fill(network: nn.Module, state: dict[str, torch.Tensor]) -> Coverage:
    """Copy the entries of `state` whose name and shape fit into a network, in place, and say what was filled.

    Files without any running statistics have them folded into the normalisation's weights (Caffe2): they count as filled.
    """
    own = network.state_dict()
    mismatched = {n: (tuple(v.shape), tuple(own[n].shape)) for n, v in state.items() if n in own and v.shape != own[n].shape}
    usable = {name: value for name, value in state.items() if name in own and name not in mismatched}
    network.load_state_dict(usable, strict=False)
    folded = not any(RUNNING.search(name) for name in state)
    counted = [name for name in own if not CONSTANT.search(name) and not (folded and RUNNING.search(name))]
    unused = [name for name in state if name not in usable and not CONSTANT.search(name)]
    return Coverage(counted, usable.keys() & set(counted), unused, mismatched)
