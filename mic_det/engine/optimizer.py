"""Optimizer, gradient norm and batch-size scaling."""

import logging
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.modeling.backbone.vit import get_vit_lr_decay_rate
from detectron2.projects.deeplab.lr_scheduler import WarmupPolyLR
from detectron2.solver import build_lr_scheduler, get_default_optimizer_params
from detectron2.solver.build import maybe_add_gradient_clipping
from torch import nn

from mic_det.adaptation import ConditionalAlignment
from mic_det.errors import UserError
from mic_det.modeling import EncoderDecoder, ImageClassifier
from mic_det.modeling.decode_head.language import TextEmbeddings
from mic_det.modeling.meta_arch.adapting import AdaptingModel

logger = logging.getLogger(__name__)


class PolyLR(WarmupPolyLR):
    """The product of linear warm-up and polynomial decay to 0.

    Its checkpoint holds the position only, as those of detectron2's other schedules do: a run that is resumed with another
    SOLVER.MAX_ITER follows the new schedule.
    """

    def state_dict(self) -> dict[str, Any]:
        """Base rates and the position."""
        return {"base_lrs": self.base_lrs, "last_epoch": self.last_epoch}


class InverseDecayLR(torch.optim.lr_scheduler.LRScheduler):
    """base * (1 + gamma * iteration) ** -power (Ganin & Lempitsky, ICML 2015, with a fixed pace)."""

    def __init__(self, optimizer: torch.optim.Optimizer, gamma: float = 0.001, power: float = 0.75) -> None:
        """
        Args:
            gamma: per iteration.
            power: of the decay; 0 keeps the rate.
        """
        self.gamma, self.power = gamma, power
        super().__init__(optimizer)

    def get_lr(self) -> list[float | torch.Tensor]:
        """Rates of the parameter groups at `last_epoch`, which counts iterations."""
        return [rate * (1 + self.gamma * self.last_epoch) ** -self.power for rate in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """Base rates and the position."""
        return {"base_lrs": self.base_lrs, "last_epoch": self.last_epoch}


def build_optimizers(
    cfg: CfgNode, core: AdaptingModel
) -> tuple[dict[str, torch.optim.Optimizer], dict[str, torch.optim.lr_scheduler.LRScheduler]]:
    """({name: optimizer}, {name: learning-rate scheduler}) of a meta-architecture, in the same order.

    The first steps its `trained_modules`; a segmentor's discriminator has an Adam of its own, whose rate falls to 0 with
    power 0.9 (Tsai et al., CVPR 2018, section 5.1).
    """
    discriminator = getattr(core, "discriminator", None)
    modules = core.trained_modules()
    if discriminator is not None and cfg.MODEL.MIC.REFERENCE.DISCRIMINATOR_STEPPED_TWICE:
        modules = [*modules, discriminator]
    optimizers = {"optimizer": build_optimizer(cfg, *modules)}
    schedulers = {"scheduler": build_scheduler(cfg, optimizers["optimizer"])}
    if discriminator is not None:
        rate = cfg.MODEL.MIC.ADVERSARIAL.BASE_LR
        adam = torch.optim.Adam(discriminator.parameters(), rate, betas=(0.9, 0.99), fused=True)
        optimizers["discriminator_optimizer"] = adam
        schedulers["discriminator_scheduler"] = PolyLR(adam, cfg.SOLVER.MAX_ITER, warmup_iters=0, power=0.9)
    return optimizers, schedulers


def build_scheduler(cfg: CfgNode, optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LRScheduler:
    """PolyLR for SOLVER.LR_SCHEDULER_NAME WarmupPolyLR, InverseDecayLR, otherwise detectron2's schedulers."""
    solver = cfg.SOLVER
    if solver.LR_SCHEDULER_NAME == "InverseDecayLR":
        return InverseDecayLR(optimizer, solver.INVERSE_LR_GAMMA, solver.INVERSE_LR_POWER)
    if solver.LR_SCHEDULER_NAME != "WarmupPolyLR":
        return build_lr_scheduler(cfg, optimizer)
    return PolyLR(
        optimizer,
        solver.MAX_ITER,
        warmup_factor=solver.WARMUP_FACTOR,
        warmup_iters=solver.WARMUP_ITERS,
        warmup_method=solver.WARMUP_METHOD,
        power=solver.POLY_LR_POWER,
    )


def build_optimizer(cfg: CfgNode, *modules: nn.Module) -> torch.optim.Optimizer:
    """SGD or AdamW over the trainable parameters of the modules, with detectron2's parameter groups for each.

    The fused implementations are used because they can skip a step by a flag on the device (`optimizer.found_inf`),
    without the host waiting for it.
    """
    solver = cfg.SOLVER
    groups = [group for module in modules for group in parameter_groups(cfg, module)]
    optimizer: torch.optim.Optimizer
    if solver.OPTIMIZER == "SGD":
        optimizer = torch.optim.SGD(groups, lr=solver.BASE_LR, momentum=solver.MOMENTUM, nesterov=solver.NESTEROV, fused=True)
        start_momentum(optimizer)
    elif solver.OPTIMIZER == "AdamW":
        optimizer = torch.optim.AdamW(groups, lr=solver.BASE_LR, fused=True)
    else:
        raise UserError(f"SOLVER.OPTIMIZER must be SGD or AdamW, got '{solver.OPTIMIZER}'.")
    return maybe_add_gradient_clipping(cfg, optimizer)


def parameter_groups(cfg: CfgNode, module: nn.Module) -> list[dict[str, Any]]:
    """Learning rates and weight decays by kind of parameter; with SOLVER.VIT_LAYER_DECAY, also by depth in a ViT.

    What follows the encoder of an EncoderDecoder or ImageClassifier, and CDAN's discriminator, has SOLVER.HEAD_LR_FACTOR, and
    weight decay on all of its parameters; projections of text are no part of it.
    """
    solver = cfg.SOLVER
    if isinstance(module, EncoderDecoder | ImageClassifier | ConditionalAlignment):
        others = [part for name, part in module.named_modules() if name == "backbone" or isinstance(part, TextEmbeddings)]
        groups = [group for part in others for group in parameter_groups(cfg, part)]
        slow = {parameter for part in others for parameter in part.parameters()}
        heads = [parameter for parameter in module.parameters() if parameter.requires_grad and parameter not in slow]
        rate = solver.BASE_LR * solver.HEAD_LR_FACTOR
        return [*groups, {"params": heads, "lr": rate, "weight_decay": solver.WEIGHT_DECAY}]
    decay = None
    if solver.VIT_LAYER_DECAY != 1:
        decay = partial(get_vit_lr_decay_rate, lr_decay_rate=solver.VIT_LAYER_DECAY, num_layers=cfg.MODEL.VIT.DEPTH)
    return get_default_optimizer_params(
        module,
        base_lr=solver.BASE_LR,
        weight_decay=solver.WEIGHT_DECAY,
        weight_decay_norm=solver.WEIGHT_DECAY_NORM,
        bias_lr_factor=solver.BIAS_LR_FACTOR,
        weight_decay_bias=solver.WEIGHT_DECAY_BIAS,
        lr_factor_func=decay,
    )


def start_momentum(optimizer: torch.optim.Optimizer) -> None:
    """Start momentum at zero, as its first step would; a skipped first step leaves fused SGD's buffers undefined."""
    for group in optimizer.param_groups:
        for parameter in group["params"] if group["momentum"] else ():
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def parameter_names(optimizer: torch.optim.Optimizer, core: nn.Module) -> list[str]:
    """Names in `core` of an optimizer's parameters, in its order."""
    names = {parameter: name for name, parameter in core.named_parameters()}
    return [names[parameter] for group in optimizer.param_groups for parameter in group["params"]]


def restore_optimizer(
    optimizer: torch.optim.Optimizer, saved: dict[str, Any], names: Sequence[str], own_names: Sequence[str]
) -> None:
    """Load what an optimizer remembers of each parameter: momentum, squared gradients, steps.

    Learning rates, weight decays and all other settings stay those that it was built with. Parameters that `saved` does not
    know start afresh.

    Args:
        saved: its `state_dict` of a checkpoint.
        names: of the parameters there, in their order; their groups may differ from this optimizer's.
        own_names: of this optimizer's parameters.
    """
    own = optimizer.state_dict()
    place = {name: index for index, name in enumerate(own_names)}
    found = {place[name]: saved["state"][index] for index, name in enumerate(names) if name in place and index in saved["state"]}
    optimizer.load_state_dict({"state": {**own["state"], **found}, "param_groups": own["param_groups"]})


def kind_of(param_groups: Sequence[dict[str, Any]]) -> str:
    """SOLVER.OPTIMIZER that a checkpoint's or an optimizer's groups are of."""
    return "SGD" if "momentum" in param_groups[0] else "AdamW"


def gradient_norm(parameters: Iterable[torch.Tensor]) -> torch.Tensor:
    """L2 norm of all gradients as a 0-dim tensor; non-finite exactly when a gradient is (or overflows)."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    return torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))


def clip_gradients(parameters: Iterable[torch.Tensor], norm: torch.Tensor, limit: float) -> None:
    """Scale all gradients in place so that their norm is at most `limit`."""
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    torch._foreach_mul_(gradients, (limit / (norm + 1e-6)).clamp(max=1.0))


def scale_to_batch(cfg: CfgNode) -> CfgNode:
    """Return a config whose learning rate and iteration counts fit IMS_PER_BATCH (linear scaling, Goyal et al. 2017).

    With SOLVER.REFERENCE_IMS_PER_BATCH > 0 and s = IMS_PER_BATCH / reference, BASE_LR is multiplied and every count of
    iterations divided by s, and the teacher's alpha becomes alpha^s so that it forgets at the same rate per image.
    """
    reference = cfg.SOLVER.REFERENCE_IMS_PER_BATCH
    scale = cfg.SOLVER.IMS_PER_BATCH / reference if reference > 0 else 1.0
    if scale == 1.0:
        return cfg
    cfg = cfg.clone()
    cfg.defrost()

    def shorter(iterations: int) -> int:
        return round(iterations / scale)

    cfg.SOLVER.BASE_LR *= scale
    cfg.SOLVER.INVERSE_LR_GAMMA *= scale  # per iteration
    cfg.SOLVER.STEPS = tuple(shorter(step) for step in cfg.SOLVER.STEPS)
    for node, keys in (
        (cfg.SOLVER, ("MAX_ITER", "WARMUP_ITERS", "CHECKPOINT_PERIOD")),
        (cfg.TEST, ("EVAL_PERIOD",)),
        (cfg.MODEL.MIC, ("BURN_IN",)),
        (cfg.MODEL.MIC.CDAN, ("RAMP_ITERS",)),
    ):
        for key in keys:
            node[key] = max(shorter(node[key]), 1) if node[key] else 0
    cfg.MODEL.MIC.TEACHER.ALPHA **= scale
    cfg.SOLVER.REFERENCE_IMS_PER_BATCH = 0
    cfg.freeze()
    logger.info(
        "Scaled from %d to %d source images per iteration: BASE_LR %g, MAX_ITER %d, STEPS %s, WARMUP_ITERS %d, BURN_IN %d, "
        "teacher ALPHA %.4f.",
        *(reference, cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS),
        *(cfg.SOLVER.WARMUP_ITERS, cfg.MODEL.MIC.BURN_IN, cfg.MODEL.MIC.TEACHER.ALPHA),
    )
    return cfg
