"""Any timm network with a feature pyramid as a detectron2 backbone, alone or under an FPN."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from detectron2.modeling.backbone import FPN
from torch import nn

from mic_det.checkpoint.reading import read_weights
from mic_det.errors import UserError, did_you_mean
from mic_det.modeling.backbone.pyramid import build_fpn

logger = logging.getLogger(__name__)
STRIDES = (4, 8, 16, 32)


def create_timm(name: str, pretrained_file: str = "", **options: Any) -> nn.Module:
    """A timm model, with the weights of a local file unless that is empty.

    Raises:
        UserError: when timm or the file is missing, timm does not know the model, or the file does not fill it.
    """
    try:
        import timm
    except ImportError:
        raise UserError("MODEL.BACKBONE.NAME build_timm_* needs timm: pip install 'mic-det[timm]'.") from None
    if not timm.is_model(name):
        raise UserError(f"MODEL.TIMM.NAME: timm has no model '{name}'.{did_you_mean(name, timm.list_models())}")
    if pretrained_file and not Path(pretrained_file).is_file():
        raise UserError(
            f"MODEL.TIMM.PRETRAINED_FILE: {pretrained_file} does not exist; '' gives random weights. Timm's own are "
            f"model.safetensors of timm/{name} on the Hugging Face hub."
        )
    # By our own reader: timm's takes whatever a pickle asks for in older versions.
    source = {"state_dict": read_weights(pretrained_file)["model"]} if pretrained_file else None
    try:
        if source is None:
            return timm.create_model(name, **options)
        network = same_start(lambda: timm.create_model(name, pretrained=True, pretrained_cfg_overlay=source, **options))
    except Exception as error:  # timm raises many kinds for a foreign file
        # torch's first line names the network, its second what does not fit.
        reason = " ".join(line.strip() for line in str(error).splitlines()[:2]) or type(error).__name__
        reason = f"the file lacks {reason}" if isinstance(error, KeyError) else reason
        raise UserError(f"MODEL.TIMM: {name} cannot be built{' from ' + pretrained_file if source else ''}: {reason}") from error
    fresh = same_start(lambda: timm.create_model(name, **options))
    check_filled(network, fresh, name, pretrained_file)
    return network


def same_start(build: Callable[[], nn.Module]) -> nn.Module:
    """Build a network whose random weights are always the same, and leave torch's generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return build()


def check_filled(network: nn.Module, fresh: nn.Module, name: str, file: str) -> None:
    """Raise UserError unless a file changed every weight that `fresh`, built alike without it, has at random.

    timm loads pyramids without looking at names: what the file lacks would stay random without a word.
    """
    random = {key: value for key, value in fresh.named_parameters() if value.ndim > 1 and value.unique().numel() > 1}
    own = dict(network.named_parameters())
    kept = [key for key, value in random.items() if torch.equal(own[key], value)]
    if kept:
        raise UserError(
            f"MODEL.TIMM.PRETRAINED_FILE: {file} fills {len(random) - len(kept)} of the {len(random)} weights of {name}, not "
            f"{kept[0]}: take the file of that network, or set MODEL.TIMM.NAME to the file's."
        )


def freeze_batch_norm(network: nn.Module) -> nn.Module:
    """Replace batch normalisation by its frozen form, with the activation that timm's layers hold beside it.

    Raises:
        UserError: when the network has batch normalisation that cannot be frozen.
    """
    from timm.layers import FrozenBatchNormAct2d, freeze_batch_norm_2d
    from torchvision.ops import FrozenBatchNorm2d

    network = freeze_batch_norm_2d(network)
    frozen = FrozenBatchNormAct2d, FrozenBatchNorm2d
    left = [name for name, part in network.named_modules() if hasattr(part, "running_var") and not isinstance(part, frozen)]
    if left:
        raise UserError(f"MODEL.TIMM.FREEZE_BN: {len(left)} layers cannot be frozen, e.g. {left[0]}: set it to False.")
    return network


def check_normalisation(cfg: CfgNode) -> None:
    """Warn when images are not normalised as they were for the weights of MODEL.TIMM.PRETRAINED_FILE."""
    if not cfg.MODEL.TIMM.PRETRAINED_FILE:
        return
    import timm

    pretrained = timm.get_pretrained_cfg(cfg.MODEL.TIMM.NAME)
    if pretrained is None:  # `create_timm` says what is wrong with the name
        return
    wanted: dict[str, tuple[Any, Any]] = {
        "INPUT.FORMAT": (cfg.INPUT.FORMAT, "RGB"),
        "MODEL.PIXEL_MEAN": (cfg.MODEL.PIXEL_MEAN, [round(255 * value, 3) for value in pretrained.mean]),
        "MODEL.PIXEL_STD": (cfg.MODEL.PIXEL_STD, [round(255 * value, 3) for value in pretrained.std]),
    }
    wrong = [f"{key} {right} (it is {own})" for key, (own, right) in wanted.items() if not agree(own, right)]
    if wrong:
        logger.warning("Images are not normalised as for the weights of %s: set %s.", cfg.MODEL.TIMM.NAME, " and ".join(wrong))


def agree(own: str | Sequence[float], right: str | Sequence[float]) -> bool:
    """Whether two settings are the same, numbers to a tenth of a grey level."""
    if isinstance(own, str) or isinstance(right, str):
        return own == right
    return len(own) == len(right) and all(abs(a - b) < 0.1 for a, b in zip(own, right, strict=True))


class TimmFeatures(Backbone):
    """Feature maps "stride4" to "stride32" of a timm model."""

    def __init__(self, name: str, pretrained_file: str = "", freeze_bn: bool = True) -> None:
        """
        Args:
            name: timm's model name.
            pretrained_file: local weight file of that model; empty for random weights.
            freeze_bn: replace batch normalisation by its frozen form.

        Raises:
            UserError: when timm is missing, does not know the model, or the model has no such pyramid.
        """
        super().__init__()
        network: Any = create_timm(name, pretrained_file, features_only=True)
        shapes = zip(network.feature_info.reduction(), network.feature_info.channels(), strict=True)
        info = {stride: (index, channels) for index, (stride, channels) in enumerate(shapes)}
        if any(stride not in info for stride in STRIDES):
            raise UserError(f"MODEL.TIMM.NAME: {name} gives strides {sorted(info)}, a pyramid needs {list(STRIDES)}.")
        self.network = freeze_batch_norm(network) if freeze_bn else network
        self.channels_last = str(getattr(network, "output_fmt", "")).endswith("NHWC")  # Swin and its relatives
        self.outputs = {f"stride{stride}": (*info[stride], stride) for stride in STRIDES}
        self._out_features = list(self.outputs)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Nx3xHxW -> {"stride4": NxCxH/4xW/4, ...}."""
        maps = self.network(images)
        if self.channels_last:
            maps = [values.permute(0, 3, 1, 2).contiguous() for values in maps]
        return {name: maps[index] for name, (index, _, _) in self.outputs.items()}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of every map."""
        return {name: ShapeSpec(channels=channels, stride=stride) for name, (_, channels, stride) in self.outputs.items()}


@BACKBONE_REGISTRY.register()
def build_timm_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> TimmFeatures:
    """`MODEL.TIMM.NAME` alone, for segmentation; MODEL.SEM_SEG_HEAD.IN_FEATURES is stride4, stride8, stride16, stride32."""
    check_normalisation(cfg)
    timm = cfg.MODEL.TIMM
    return TimmFeatures(timm.NAME, timm.PRETRAINED_FILE, timm.FREEZE_BN)


@BACKBONE_REGISTRY.register()
def build_timm_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """`MODEL.TIMM.NAME` under an FPN; MODEL.FPN.IN_FEATURES is stride4, stride8, stride16, stride32."""
    return build_fpn(cfg, build_timm_backbone(cfg, input_shape))
