"""The whole way in one call: a trained detector, its config, and unlabelled images of where it fails."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from mic_det.api import recipe
from mic_det.api.isolation import isolated
from mic_det.api.loading import names_of
from mic_det.api.model import Model
from mic_det.data.stream import seeded
from mic_det.engine.log import RunLog
from mic_det.engine.run import check_folder, load_model, train_or_evaluate
from mic_det.engine.setup import prepare_run
from mic_det.errors import UserError
from mic_det.outputs import write_text

logger = logging.getLogger(__name__)
USED = "adapt.yaml"
HEADER = """\
# Written by `mic-det adapt`; `mic-det train --config {path}` repeats the run.
# The detector is as in the config that was given. Changed: the data; {length} iterations at one learning rate, the config's after
# its first decay (BASE_LR * GAMMA); no burn-in, because the weights are a trained detector's; as many target as source images.
"""
NO_SOURCE = (
    "--source is missing: adaptation without source data is not there yet. Give the labelled data that the detector was trained "
    "with, or a part of it: --source labels.json --source-images FOLDER."
)


def adapt(
    *,
    weights: str | Path,
    config: str | Path | CfgNode,
    target: str | Path,
    output: str | Path,
    source: str | Path | None = None,
    source_images: str | Path | None = None,
    classes: Sequence[str] | None = None,
    test: str | Path | None = None,
    iterations: int | None = None,
    overrides: Iterable[Any] = (),
    resume: bool = False,
    device: str | None = None,
) -> Model:
    """Adapt a trained detector to unlabelled images. `mic_det.api.recipe` says what becomes of the config.

    Args:
        weights: checkpoint of the detector, detectron2's or mic-det's.
        config: the config that it was trained with: a plain detectron2 config or one of mic-det's, as file, name or object.
        target: folder of unlabelled images, COCO JSON or registered data set, whose labels are never read.
        output: folder of the run; `adapt.yaml` in it is the config that was used.
        source: COCO JSON or registered data set with labels, which the detector was trained with.
        source_images: folder that the JSON's file names are relative to; None takes the JSON's own, or its parent.
        classes: names of the detector's classes, in its order; None takes those of the source.
        test: COCO JSON or registered data set with labels of the target, which only the evaluation at the end reads. The JSON's
            file names are relative to its own folder, that folder's parent or `target`.
        iterations: length of the adaptation; None takes 3000.
        overrides: config keys and values, one after the other; they come last.
        resume: go on from the last checkpoint in `output`.
        device: "cpu", "cuda", "cuda:1" or "mps"; None takes the config's, and the CPU where there is no GPU.

    Returns:
        The adapted model; its teacher predicts.

    Raises:
        UserError: when something is missing, the weights are no trained detector of the config, or the classes do not agree.
    """
    if source is None:
        raise UserError(NO_SOURCE)
    with isolated():
        keys = recipe.recipe(weights, config, target, source, source_images, classes, test, iterations)
        keys += [*(("MODEL.DEVICE", device) if device else ()), *overrides, "OUTPUT_DIR", str(output)]
        with RunLog(quiet=True):  # the run itself says it all again
            cfg = prepare_run(config, keys, resume)
            check_folder(cfg, resume)
            with seeded(0):
                load_model(cfg, cfg.MODEL.WEIGHTS)  # nothing of it may stay random
            path = Path(output) / USED
            write_text(path, HEADER.format(path=path, length=cfg.SOLVER.MAX_ITER) + cfg.dump())
        with RunLog():
            logger.info(
                "Adapting for %d iterations with a learning rate of %g and no burn-in; all settings are in %s.",
                *(cfg.SOLVER.MAX_ITER, cfg.SOLVER.BASE_LR, path),
            )
        core = train_or_evaluate(config, [*keys, "SEED", cfg.SEED], resume)
        return Model(cfg, core, names_of(cfg))
