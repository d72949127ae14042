"""MODEL.MIC.STUDENT, whatever the task."""

from detectron2.modeling import META_ARCH_REGISTRY

from mic_det.errors import UserError, did_you_mean


def build_student(cfg, kind=object):
    """The registered meta-architecture that adapts.

    Raises:
        UserError: when it is not registered, is not a `kind`, or cannot be built with the config's values.
    """
    name = cfg.MODEL.MIC.STUDENT
    if name not in META_ARCH_REGISTRY:
        hint = did_you_mean(name, [known for known, _ in META_ARCH_REGISTRY])
        raise UserError(f"MODEL.MIC.STUDENT names '{name}', which is not a registered meta-architecture.{hint}")
    architecture = META_ARCH_REGISTRY.get(name)
    if not issubclass(architecture, kind):
        raise UserError(
            f"MODEL.MIC.STUDENT: {name} is no {kind.__name__}, which {cfg.MODEL.META_ARCHITECTURE} needs: choose EncoderDecoder, "
            "HRDA or a subclass."
        )
    try:
        return architecture(cfg)
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"MODEL.{name}: {error}") from None
