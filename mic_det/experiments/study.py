"""Several methods under equal conditions: what the demo and the studies run."""

import json
import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mic_det.config import load_config
from mic_det.engine import burn_in
from mic_det.engine.changes import differences
from mic_det.errors import UserError
from mic_det.outputs import refuse_unwritable, write_text
from mic_det.reporting.markdown import ordered, study_report
from mic_det.reporting.report import read_lines
from mic_det.reporting.run_report import read_results
from mic_det.tasks import task_of

logger = logging.getLogger(__name__)
REPOSITORY = Path(__file__).resolve().parents[2]
SUFFIXES = {
    "source_only": "_source_only",
    "mean_teacher": "_mean_teacher",
    "sada": "_sada",
    "sdat": "_sdat",
    "mic": "_mic",
    "mic_sada": "",
    "daformer": "_daformer",
    "hrda": "_hrda",
    "mt_daformer": "_mt_daformer",
    "mic_daformer": "_mic_daformer",
    "mic_hrda": "_mic_hrda",
    "lcmsm_no_text": "_lcmsm_no_text",
    "lcmsm_random": "_lcmsm_random",
    "lcmsm": "_lcmsm",
    "oracle": "_oracle",
}
NOT_ADAPTING = ("source_only", "oracle")
# The benchmarks that can be run offline, by the stem of their configs, and their reports in benchmarks/.
REPORTS = {
    "toycity": "toycity_detection.md",
    "toycity_seg": "toycity_segmentation.md",
    "toycity_cls": "toycity_classification.md",
    "camvid_day2dusk": "camvid_detection.md",
    "camvid_seg": "camvid_segmentation.md",
}


def results_of(report):
    """The file with the results of every run behind a Markdown report."""
    return Path(report).with_suffix(".jsonl")


def config_file(stem, method):
    return REPOSITORY / "configs" / f"{stem}{SUFFIXES[method]}.yaml"


def methods_of(stem):
    """All methods that a benchmark has a config for, in the order of SUFFIXES."""
    return [method for method in SUFFIXES if config_file(stem, method).is_file()]


def adapting(methods):
    return [method for method in methods if method not in NOT_ADAPTING]


def train(stem, method, folder, overrides=(), threads=None, quiet=False):
    """Run tools/train_net.py for one method in a process of its own; a finished run is not repeated.

    The log goes to `<folder>/log.txt` and, unless `quiet`, to the terminal.
    """
    folder = Path(folder)
    if (folder / "model_final.pth").exists() and read_lines(folder / "evaluation.json"):
        return
    environment = {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {}), "PYTHONWARNINGS": "ignore"}
    command = [
        sys.executable,
        str(REPOSITORY / "tools/train_net.py"),
        "--config-file",
        str(config_file(stem, method)),
        "--resume",
    ]
    command += ["OUTPUT_DIR", str(folder), *map(str, overrides)]
    run = subprocess.run(
        command, env=environment, text=True, stdout=subprocess.DEVNULL if quiet else None, stderr=subprocess.PIPE
    )
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or [f"it ended with status {run.returncode}"])[-1]
        log = f"; its log is {folder}/log.txt" if (folder / "log.txt").is_file() else ""
        raise UserError(f"{method} failed{log}: {reason.removeprefix('error: ')}")


def train_methods(stem, methods, output, overrides=(), threads=None, quiet=False):
    """Train the methods one after another in `<output>/<method>`; adapting ones share source-only's burn-in where they can."""
    first = (adapting(methods) or methods)[0]
    iterations = load_config(config_file(stem, first), overrides).MODEL.MIC.BURN_IN
    keep_burn_in = ("SOLVER.CHECKPOINT_PERIOD", iterations or 1000, "CHECKPOINT.KEEP", 0)
    for method in methods:
        folder, cfg = Path(output) / method, load_config(config_file(stem, method), overrides)
        if method not in NOT_ADAPTING and "source_only" in methods and burn_in.is_common(cfg):
            burn_in.share(Path(output) / "source_only", folder, iterations)
        train(stem, method, folder, (*overrides, *keep_burn_in), threads, quiet)


def train_seeds(stem, missing, output, overrides=(), jobs=1):
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
    def __init__(self):
        self.start = time.perf_counter()

    @property
    def seconds(self):
        return round(time.perf_counter() - self.start, 1)


def described(differences):
    """`KEY value` of every key in which a config differs from another."""
    return ", ".join(f"{key} {value}" for key, (_, value) in differences.items())


def machines(results):
    """On what the runs of a study ended: a sentence, or one for each machine and day."""
    runs = {}
    for run in results:
        runs.setdefault(run["machine"], {}).setdefault(run["method"], set()).add(run["seed"])
    if len(runs) == 1:
        return [f"{name}." for name in runs]
    return [
        f"{name}: {', '.join(f'`{method}` (seeds {listed(sorted(seeds))})' for method, seeds in methods.items())}."
        for name, methods in runs.items()
    ]


def listed(seeds):
    return ", ".join(map(str, seeds))


def conditions(stem, methods, seeds, overrides=()):
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


def is_prepared(stem):
    """Whether a benchmark's datasets are on this machine; the log says what is missing."""
    cfg = load_config(config_file(stem, methods_of(stem)[-1]))
    try:
        task_of(cfg).check_datasets(cfg)
    except UserError as error:
        logger.warning("%s is left out: %s", stem, error)
        return False
    return True


def check_known(known, stem, overrides=()):
    """Raise UserError if a known run trained longer or shorter than its config now says."""
    for method, iterations in sorted({(run["method"], run["iterations"]) for run in known}):
        wanted = load_config(config_file(stem, method), overrides).SOLVER.MAX_ITER
        if iterations != wanted:
            raise UserError(
                f"The known runs of {method} took {iterations} iterations, its config now has SOLVER.MAX_ITER {wanted}: they "
                "cannot stand in one table. Leave --add out to train everything."
            )


def check_report(report):
    """Raise UserError, before anything is trained, unless a report and its results can be written."""
    if Path(report) == results_of(report):
        raise UserError(f"--report {report} is where the results of the runs go: name a Markdown file.")
    refuse_unwritable(Path(report).parent, "--report")


def run_study(stem, methods, output, seeds, report, overrides=(), jobs=1, known=()):
    """Train all methods on all seeds; write the Markdown report and, beside it, every run's results as JSON lines.

    Args:
        stem: of the configs, as "toycity_seg".
        output: folder of the runs; what has finished there is not repeated.
        report: Markdown file to write.
        known: results of an earlier study, from the `.jsonl` beside its report. These runs are not repeated either, and are
            reported with the new ones.

    Returns the report's text.
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
    results.sort(key=lambda run: (run["seed"], list(SUFFIXES).index(run["method"])))
    methods, seeds = [name for name in SUFFIXES if any(run["method"] == name for run in results)], ordered(results, "seed")
    command = f"Command: `{' '.join(['python', 'tools/study.py', *sys.argv[1:]])}`."
    text = study_report(
        f"{stem}: {len(seeds)} seed{'s' if len(seeds) > 1 else ''}",
        results,
        [*conditions(stem, methods, seeds, overrides), *machines(results), command],
    )
    write_text(results_of(report), "".join(f"{json.dumps(run)}\n" for run in results))
    write_text(report, text)
    return text
