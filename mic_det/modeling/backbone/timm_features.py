"""Any timm network with a feature pyramid as a detectron2 backbone under an FPN."""

from pathlib import Path

from detectron2.layers import FrozenBatchNorm2d, ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone

from mic_det.errors import UserError, did_you_mean
from mic_det.modeling.backbone.pyramid import build_fpn

STRIDES = (4, 8, 16, 32)


def create_timm(name, pretrained_file="", **options):
    """A timm model, with the weights of a local file unless that is empty.

    Raises:
        UserError: when timm or the file is missing, or timm does not know the model.
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
    overlay = {"file": pretrained_file} if pretrained_file else None
    try:
        return timm.create_model(name, pretrained=bool(pretrained_file), pretrained_cfg_overlay=overlay, **options)
    except RuntimeError as error:
        raise UserError(f"MODEL.TIMM: {name} cannot be built: {str(error).splitlines()[0]}") from error


class TimmFeatures(Backbone):
    """Feature maps "stride4" to "stride32" of a timm model."""

    def __init__(self, name, pretrained_file="", freeze_bn=True):
        """
        Args:
            name: timm's model name.
            pretrained_file: local weight file of that model; empty for random weights.
            freeze_bn: replace batch normalisation by its frozen form.

        Raises:
            UserError: when timm is missing, does not know the model, or the model has no such pyramid.
        """
        super().__init__()
        network = create_timm(name, pretrained_file, features_only=True)
        shapes = zip(network.feature_info.reduction(), network.feature_info.channels(), strict=True)
        info = {stride: (index, channels) for index, (stride, channels) in enumerate(shapes)}
        if any(stride not in info for stride in STRIDES):
            raise UserError(f"MODEL.TIMM.NAME: {name} gives strides {sorted(info)}, an FPN needs {list(STRIDES)}.")
        self.network = FrozenBatchNorm2d.convert_frozen_batchnorm(network) if freeze_bn else network
        self.channels_last = str(getattr(network, "output_fmt", "")).endswith("NHWC")  # Swin and its relatives
        self.outputs = {f"stride{stride}": (*info[stride], stride) for stride in STRIDES}
        self._out_features = list(self.outputs)

    def forward(self, images):
        """Nx3xHxW -> {"stride4": NxCxH/4xW/4, ...}."""
        maps = self.network(images)
        if self.channels_last:
            maps = [values.permute(0, 3, 1, 2).contiguous() for values in maps]
        return {name: maps[index] for name, (index, _, _) in self.outputs.items()}

    def output_shape(self):
        return {name: ShapeSpec(channels=channels, stride=stride) for name, (_, channels, stride) in self.outputs.items()}


@BACKBONE_REGISTRY.register()
def build_timm_fpn_backbone(cfg, input_shape):
    """`MODEL.TIMM.NAME` under an FPN; MODEL.FPN.IN_FEATURES is stride4, stride8, stride16, stride32."""
    timm = cfg.MODEL.TIMM
    return build_fpn(cfg, TimmFeatures(timm.NAME, timm.PRETRAINED_FILE, timm.FREEZE_BN))
