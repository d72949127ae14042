"""Whether a config makes sense, before anything is done with it: ranges of its values, and what must hold between keys."""

from collections.abc import Iterator

from detectron2.config import CfgNode
from detectron2.modeling import (
    BACKBONE_REGISTRY,
    META_ARCH_REGISTRY,
    PROPOSAL_GENERATOR_REGISTRY,
    ROI_BOX_HEAD_REGISTRY,
    ROI_HEADS_REGISTRY,
    ROI_MASK_HEAD_REGISTRY,
    SEM_SEG_HEADS_REGISTRY,
    PanopticFPN,
)
from detectron2.modeling.anchor_generator import ANCHOR_GENERATOR_REGISTRY
from detectron2.modeling.proposal_generator.rpn import RPN_HEAD_REGISTRY

from mic_det.config import num_classes, value_of
from mic_det.config.schema import range_faults
from mic_det.errors import hinted
from mic_det.modeling import EncoderDecoder, ImageClassifier
from mic_det.modeling.students.base import ADAPTERS
from mic_det.tasks import TASKS, ClassificationTask, DetectionTask, SegmentationTask, Task
from mic_det.validation import refuse

REGISTRIES = {
    "MODEL.MIC.STUDENT": META_ARCH_REGISTRY,
    "MODEL.BACKBONE.NAME": BACKBONE_REGISTRY,
    "MODEL.PROPOSAL_GENERATOR.NAME": PROPOSAL_GENERATOR_REGISTRY,
    "MODEL.ANCHOR_GENERATOR.NAME": ANCHOR_GENERATOR_REGISTRY,
    "MODEL.RPN.HEAD_NAME": RPN_HEAD_REGISTRY,
    "MODEL.ROI_HEADS.NAME": ROI_HEADS_REGISTRY,
    "MODEL.ROI_BOX_HEAD.NAME": ROI_BOX_HEAD_REGISTRY,
    "MODEL.ROI_MASK_HEAD.NAME": ROI_MASK_HEAD_REGISTRY,
    "MODEL.SEM_SEG_HEAD.NAME": SEM_SEG_HEADS_REGISTRY,
}


def check_config(cfg: CfgNode) -> None:
    """Look at every value of a config of a run, which every run and tool does before it begins.

    Raises:
        UserError: naming, for all faults at once, the key, what was found and what is allowed. What must hold between keys is
            looked at when each value alone is in its range.
    """
    refuse("Wrong config", range_faults(cfg))
    rules = [names_are_registered, student_is_supported, schedule_fits, inputs_fit, losses_fit, evaluation_fits]
    refuse("Wrong config", [fault for rule in rules for fault in rule(cfg)])


def names_are_registered(cfg: CfgNode) -> Iterator[str]:
    """A phrase for each name that no registry knows."""
    for key, registry in REGISTRIES.items():
        name = value_of(cfg, key)
        if name and name not in registry:
            yield hinted(f"{key} names '{name}', which is not registered", name, [known for known, _ in registry])


def student_is_supported(cfg: CfgNode) -> Iterator[str]:
    """A phrase for a network that the meta-architecture cannot adapt."""
    name, task = cfg.MODEL.MIC.STUDENT, TASKS.get(cfg.MODEL.META_ARCHITECTURE)
    student = META_ARCH_REGISTRY.get(name) if name in META_ARCH_REGISTRY else None
    if task is None or not isinstance(student, type):
        return
    if isinstance(task, DetectionTask):
        supported, known = tuple(ADAPTERS), f"a detector with a StudentAdapter: {', '.join(kind.__name__ for kind in ADAPTERS)}"
    else:
        supported = EncoderDecoder if isinstance(task, SegmentationTask) else ImageClassifier
        known = f"{supported.__name__} or a subclass of it"
    # The losses of a PanopticFPN need labels that no dataset of detection has.
    if not issubclass(student, supported) or issubclass(student, PanopticFPN):
        yield (
            f"MODEL.MIC.STUDENT (a plain config's MODEL.META_ARCHITECTURE) is '{name}', which {cfg.MODEL.META_ARCHITECTURE} "
            f"cannot adapt: must be {known}"
        )


def schedule_fits(cfg: CfgNode) -> Iterator[str]:
    """Phrases for iteration counts and rates that contradict each other."""
    solver = cfg.SOLVER
    if solver.LR_SCHEDULER_NAME == "WarmupMultiStepLR" and solver.STEPS:
        steps = tuple(solver.STEPS)
        if list(steps) != sorted(set(steps)):
            yield f"SOLVER.STEPS is {steps}: must increase"
        if max(steps) >= solver.MAX_ITER:
            yield f"SOLVER.STEPS is {steps}: must be below SOLVER.MAX_ITER {solver.MAX_ITER}, or () for none"
    if solver.LR_SCHEDULER_NAME == "WarmupCosineLR" and solver.BASE_LR_END > solver.BASE_LR:
        yield f"SOLVER.BASE_LR_END is {solver.BASE_LR_END:g}: must be at most SOLVER.BASE_LR {solver.BASE_LR:g}"
    if solver.OPTIMIZER == "SGD" and solver.NESTEROV and not solver.MOMENTUM:
        yield "SOLVER.NESTEROV is True: needs SOLVER.MOMENTUM above 0"
    burn_in = cfg.MODEL.MIC.BURN_IN
    if cfg.DATASETS.TARGET and burn_in >= solver.MAX_ITER:
        yield (
            f"MODEL.MIC.BURN_IN is {burn_in}: must be below SOLVER.MAX_ITER {solver.MAX_ITER}, or DATASETS.TARGET is never used"
        )


def inputs_fit(cfg: CfgNode) -> Iterator[str]:
    """Phrases for sizes and augmentations that the task does not take."""
    inputs, task = cfg.INPUT, TASKS.get(cfg.MODEL.META_ARCHITECTURE)
    if inputs.MIN_SIZE_TRAIN_SAMPLING == "range" and len(inputs.MIN_SIZE_TRAIN) != 2:
        yield f"INPUT.MIN_SIZE_TRAIN is {tuple(inputs.MIN_SIZE_TRAIN)}: must be (low, high) with MIN_SIZE_TRAIN_SAMPLING range"
    if isinstance(task, SegmentationTask) and any(side != int(side) for side in inputs.CROP.SIZE):
        yield f"INPUT.CROP.SIZE is {tuple(inputs.CROP.SIZE)}: must be (height, width) in whole pixels"
    if isinstance(task, DetectionTask) and inputs.CROP.ENABLED:
        yield "INPUT.CROP.ENABLED is True: must stay False, because detectors are not trained on crops"
    sizes = inputs.CLASSIFICATION
    if isinstance(task, ClassificationTask) and sizes.CROP > sizes.RESIZE:
        yield f"INPUT.CLASSIFICATION.CROP is {sizes.CROP}: must be at most RESIZE {sizes.RESIZE}"
    jitter = cfg.MODEL.MIC.AUGMENT.JITTER
    if cfg.MODEL.MIC.REFERENCE.KORNIA_JITTER and jitter > 0.5:
        yield f"MODEL.MIC.AUGMENT.JITTER is {jitter:g}: must be at most 0.5 with REFERENCE.KORNIA_JITTER"


def losses_fit(cfg: CfgNode) -> Iterator[str]:
    """Phrases for weights, thresholds and classes of losses that contradict each other."""
    mic, hrda, task = cfg.MODEL.MIC, cfg.MODEL.HRDA, TASKS.get(cfg.MODEL.META_ARCHITECTURE)
    labels = mic.PSEUDO_LABELS
    highest = max(labels.CLASS_THRESHOLDS or [labels.THRESHOLD])
    ignored = labels.IGNORE_THRESHOLD
    if ignored > 0 and highest <= ignored:
        yield f"MODEL.MIC.PSEUDO_LABELS.IGNORE_THRESHOLD is {ignored:g}: must be below the threshold {highest:g}"
    if hrda.DETAIL_WEIGHT + hrda.CONTEXT_WEIGHT > 1:
        yield (
            f"MODEL.HRDA.DETAIL_WEIGHT is {hrda.DETAIL_WEIGHT:g} and CONTEXT_WEIGHT {hrda.CONTEXT_WEIGHT:g}: "
            "both together must be at most 1"
        )
    distance = mic.FEATURE_DISTANCE
    if isinstance(task, SegmentationTask) and distance.WEIGHT > 0 and max(distance.CLASSES, default=0) >= num_classes(cfg):
        yield (
            f"MODEL.MIC.FEATURE_DISTANCE.CLASSES is {tuple(distance.CLASSES)}: must be below the number of classes, "
            f"{num_classes(cfg)}"
        )


def evaluation_fits(cfg: CfgNode) -> Iterator[str]:
    """Phrases for settings of the evaluation that contradict each other."""
    test, task = cfg.TEST, TASKS.get(cfg.MODEL.META_ARCHITECTURE)
    window, stride = tuple(test.SEM_SEG.WINDOW), tuple(test.SEM_SEG.WINDOW_STRIDE)
    if bool(window) != bool(stride):
        yield f"TEST.SEM_SEG.WINDOW is {window} and WINDOW_STRIDE {stride}: one needs the other"
    elif any(step > side for side, step in zip(window, stride, strict=True)):
        yield f"TEST.SEM_SEG.WINDOW_STRIDE is {stride}: must be at most the WINDOW {window}, or pixels are left out"
    if cfg.DATASETS.TEST and not test.MODELS:
        yield "TEST.MODELS is empty: must name teacher, student or both"
    if cfg.CHECKPOINT.BEST_ON and task is not None:
        yield from best_metric_exists(cfg, task)


def best_metric_exists(cfg: CfgNode, task: Task) -> Iterator[str]:
    """Phrases for a CHECKPOINT.BEST_ON that no evaluation gives."""
    best = cfg.CHECKPOINT.BEST_ON
    model, rest = best.split("/", 1)
    # A dataset's name may hold a slash.
    metric = next((rest.removeprefix(f"{name}/") for name in cfg.DATASETS.TEST if rest.startswith(f"{name}/")), None)
    names = task.metric_names(cfg)
    if model not in cfg.TEST.MODELS:
        yield f"CHECKPOINT.BEST_ON is '{best}': must begin with one of TEST.MODELS {tuple(cfg.TEST.MODELS)}"
    if metric is None:
        yield f"CHECKPOINT.BEST_ON is '{best}': its dataset must be one of DATASETS.TEST {tuple(cfg.DATASETS.TEST)}"
    elif metric not in names and f"{metric.split('/')[0]}/<class>" not in (names if "/" in metric else ()):
        yield f"CHECKPOINT.BEST_ON is '{best}': its metric must be one of {', '.join(names)}"
