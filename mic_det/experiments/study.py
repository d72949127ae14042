"""Several methods under equal conditions: what the demo and the studies run."""

import json
import logging
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from mic_det import library
from mic_det.config import load_config
from mic_det.engine import burn_in
from mic_det.engine.changes import differences
from mic_det.errors import UserError
from mic_det.experiments.training import train
from mic_det.outputs import refuse_unwritable, write_text
from mic_det.reporting.markdown import ordered, study_report
from mic_det.reporting.run_report import read_results
from mic_det.tasks import task_of

logger = logging.getLogger(__name__)
# In the order of the tables; a config is named after its transfer and its method, but for MIC(SADA), which has the plain name.
METHODS = (
    *("source_only", "mean_teacher", "sada", "sdat", "mic", "mic_sada", "daformer", "hrda", "mt_daformer"),
    *("mic_daformer", "mic_hrda", "lcmsm_no_text", "lcmsm_random", "lcmsm", "oracle"),
)
NOT_ADAPTING = ("source_only", "oracle")
# The benchmarks that can be run offline, by the stem of their configs, and their reports.
REPORTS = {
    "toycity": "benchmarks/toycity_detection.md",
    "toycity_seg": "benchmarks/toycity_segmentation.md",
    "toycity_cls": "benchmarks/toycity_classification.md",
    "camvid_day2dusk": "benchmarks/camvid_detection.md",
    "camvid_seg": "benchmarks/camvid_segmentation.md",
}


def results_of(report: str | Path) -> Path:
    """The file with the results of every run behind a Markdown report."""
    return Path(report).with_suffix(".jsonl")


def config_name(stem: str, method: str) -> str:
    """The name in the library of a method's config, e.g. "toycity_seg_mic_daformer"; there need not be one."""
    return stem if method == "mic_sada" else f"{stem}_{method}"


def config_file(stem: str, method: str) -> Path:
    """The config of a method on a transfer, e.g. "toycity_seg". Raises UserError when there is none."""
    return library.find(config_name(stem, method))


def methods_of(stem: str) -> list[str]:
    """All methods that a benchmark has a config for, in the order of METHODS."""
    known = set(library.names())
    return [method for method in METHODS if config_name(stem, method) in known]


def adapting(methods: Iterable[str]) -> list[str]:
    """Those of the methods that learn from the target."""
    return [method for method in methods if method not in NOT_ADAPTING]


def train_methods(
    stem: str,
    methods: Sequence[str],
    output: str | Path,
    overrides: Sequence[Any] = (),
    threads: int | None = None,
    quiet: bool = False,
) -> None:
    """Train the methods one after another in `<output>/<method>`; adapting ones share source-only's burn-in where they can.

    Arguments as in `training.train`.
    """
    first = (adapting(methods) or methods)[0]
    iterations = load_config(config_file(stem, first), overrides).MODEL.MIC.BURN_IN
    keep_burn_in = ("SOLVER.CHECKPOINT_PERIOD", iterations or 1000, "CHECKPOINT.KEEP", 0)
    for method in methods:
        file, folder = config_file(stem, method), Path(output) / method
        shared = method not in NOT_ADAPTING and "source_only" in methods and burn_in.is_common(load_config(file, overrides))
        if shared:
            burn_in.share(Path(output) / "source_only", folder, iterations)
        train(file, folder, (*overrides, *keep_burn_in), threads, quiet)


def train_seeds(
    stem: str, missing: Mapping[int, Sequence[str]], output: str | Path, overrides: Sequence[Any] = (), jobs: int = 1
) -> None:
    """`train_methods` for every seed of {seed: methods}, `jobs` seeds at a time, in `<output>/seed<seed>/<method>`."""
    threads = max((os.cpu_count() or 1) // jobs, 1)
    with ThreadPoolExecutor(jobs) as pool:
        runs = [
            pool.submit(train_methods, stem, methods, Path(output) / f"seed{seed}", ("SEED", seed, *overrides), threads, jobs > 1)
            for seed, methods in missing.items()
        ]
        for run in runs:
            run.result()


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self.start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """To a tenth."""
        return round(time.perf_counter() - self.start, 1)


def described(differences: Mapping[str, tuple[Any, Any]]) -> str:
    """`KEY value` of every key in which a config differs from another."""
    return ", ".join(f"{key} {value}" for key, (_, value) in differences.items())


def machines(results: Iterable[Mapping[str, Any]]) -> list[str]:
    """On what the runs of a study ended: a sentence, or one for each machine and day."""
    runs: dict[str, dict[str, set[int]]] = {}
    for run in results:
        runs.setdefault(run["machine"], {}).setdefault(run["method"], set()).add(run["seed"])
    if len(runs) == 1:
        return [f"{name}." for name in runs]
    return [
        f"{name}: {', '.join(f'`{method}` (seeds {listed(sorted(seeds))})' for method, seeds in methods.items())}."
        for name, methods in runs.items()
    ]


def listed(seeds: Iterable[int]) -> str:
    """`1, 2, 3`."""
    return ", ".join(map(str, seeds))


def conditions(stem: str, methods: Sequence[str], seeds: Iterable[int], overrides: Sequence[Any] = ()) -> list[str]:
    """What a reader must know to compare or repeat the numbers: the settings of one method, and where others differ."""
    configs = {method: load_config(config_file(stem, method), overrides) for method in methods}
    notes = [f"`{method}`: {note}" for method, cfg in configs.items() for note in task_of(cfg).notes(cfg)]
    named_mic = [method for method in methods if method.startswith("mic")]
    first = (named_mic or adapting(methods) or methods)[0]
    cfg = configs.pop(first)
    solver, mic = cfg.SOLVER, cfg.MODEL.MIC
    own = task_of(cfg).conditions(cfg)
    return [
        f"Source {', '.join(cfg.DATASETS.TRAIN)}; unlabelled target {', '.join(cfg.DATASETS.TARGET)}; tests "
        f"{', '.join(cfg.DATASETS.TEST)}.",
        f"Initial weights: {cfg.MODEL.WEIGHTS or 'random'}. {solver.OPTIMIZER}, learning rate {solver.BASE_LR:g}, "
        f"{solver.MAX_ITER} iterations for every method, of which the adapting ones use the target in the last "
        f"{solver.MAX_ITER - mic.BURN_IN}; {solver.IMS_PER_BATCH} source and {solver.TARGET_IMS_PER_BATCH} target images each; "
        f"flip and colour jitter {cfg.INPUT.COLOR_JITTER:g} for every method.",
        *own,
        *(f"`{method}` differs from `{first}` in {described(differences(other, cfg))}." for method, other in configs.items()),
        *notes,
        f"Seeds {listed(seeds)}. Every method has an EMA teacher. No target label was read except by the oracle.",
    ]


def is_prepared(stem: str) -> bool:
    """Whether a benchmark's datasets are on this machine; the log says what is missing."""
    cfg = load_config(config_file(stem, methods_of(stem)[-1]))
    try:
        task_of(cfg).check_datasets(cfg)
    except UserError as error:
        logger.warning("%s is left out: %s", stem, error)
        return False
    return True


def check_known(known: Iterable[Mapping[str, Any]], stem: str, overrides: Sequence[Any] = ()) -> None:
    """Raise UserError if a known run trained longer or shorter than its config now says."""
    for method, iterations in sorted({(run["method"], run["iterations"]) for run in known}):
        wanted = load_config(config_file(stem, method), overrides).SOLVER.MAX_ITER
        if iterations != wanted:
            raise UserError(
                f"The known runs of {method} took {iterations} iterations, its config now has SOLVER.MAX_ITER {wanted}: they "
                "cannot stand in one table. Leave --add out to train everything."
            )


def check_report(report: str | Path) -> None:
    """Raise UserError, before anything is trained, unless a report and its results can be written."""
    if Path(report) == results_of(report):
        raise UserError(f"--report {report} is where the results of the runs go: name a Markdown file.")
    refuse_unwritable(Path(report).parent, "--report")


def run_study(
    stem: str,
    methods: Sequence[str],
    output: str | Path,
    seeds: Sequence[int],
    report: str | Path,
    overrides: Sequence[Any] = (),
    jobs: int = 1,
    known: Sequence[dict[str, Any]] = (),
) -> str:
    """Train all methods on all seeds; write the Markdown report and, beside it, every run's results as JSON lines.

    Args:
        stem: of the configs, as "toycity_seg".
        methods: of METHODS.
        output: folder of the runs; what has finished there is not repeated.
        report: Markdown file to write.
        jobs: seeds trained at the same time.
        known: results of an earlier study, from the `.jsonl` beside its report. These runs are not repeated either, and are
            reported with the new ones.

    Returns:
        The report's text.

    Raises:
        UserError: when the known runs had another schedule, the report cannot be written, or a run fails.
    """
    check_known(known, stem, overrides)
    check_report(report)
    of_known = {(run["seed"], run["method"]) for run in known}
    missing = {seed: [method for method in methods if (seed, method) not in of_known] for seed in seeds}
    missing = {seed: of_seed for seed, of_seed in missing.items() if of_seed}
    train_seeds(stem, missing, output, overrides, jobs)
    results = [
        *known,
        *(
            {"seed": seed, **run}
            for seed, of_seed in missing.items()
            for method in of_seed
            for run in read_results(Path(output) / f"seed{seed}" / method, method)
        ),
    ]
    results.sort(key=lambda run: (run["seed"], METHODS.index(run["method"])))
    methods, seeds = [name for name in METHODS if any(run["method"] == name for run in results)], ordered(results, "seed")
    command = f"Command: `{' '.join(['python', 'tools/study.py', *sys.argv[1:]])}`."
    text = study_report(
        f"{stem}: {len(seeds)} seed{'s' if len(seeds) > 1 else ''}",
        results,
        [*conditions(stem, methods, seeds, overrides), *machines(results), command],
    )
    write_text(results_of(report), "".join(f"{json.dumps(run)}\n" for run in results))
    write_text(report, text)
    return text
