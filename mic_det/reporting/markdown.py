"""The Markdown report of a study: mean and standard deviation over seeds, with all conditions."""

import statistics
from collections.abc import Iterable, Sequence
from itertools import pairwise

from tabulate import tabulate

from mic_det.evaluation.metrics import names_in

PAIRS = (
    ("mic", "source_only"),
    ("mic", "mean_teacher"),
    ("mean_teacher", "source_only"),
    ("sada", "source_only"),
    ("mic_sada", "sada"),
    ("mic_sada", "mic"),
    ("oracle", "mic"),
    ("sdat", "source_only"),
    ("mic", "sdat"),
    ("daformer", "source_only"),
    ("mic_daformer", "source_only"),
    ("mic_daformer", "daformer"),
    ("mt_daformer", "daformer"),
    ("mic_daformer", "mt_daformer"),
    ("oracle", "mic_daformer"),
    ("lcmsm_no_text", "daformer"),
    ("lcmsm_random", "daformer"),
    ("lcmsm_random", "lcmsm_no_text"),
    ("lcmsm", "daformer"),
    ("lcmsm", "lcmsm_no_text"),
    ("lcmsm", "lcmsm_random"),
)
# 97.5 % points of Student's t for 1, 2, ... degrees of freedom
STUDENT_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)


def spread(values: Iterable[float | None]) -> str:
    """`mean ± standard deviation` of percentages over seeds; a dash where there is nothing."""
    known = [value for value in values if value is not None]
    if not known:
        return "-"
    if len(known) == 1:
        return f"{known[0]:.1f}"
    return f"{statistics.mean(known):.1f} ± {statistics.stdev(known):.1f}"


def select(results: Sequence[dict], **wanted: object) -> list[dict]:
    """Those of the results that have all wanted values."""
    return [run for run in results if all(run[key] == value for key, value in wanted.items())]


def ordered(results: Sequence[dict], key: str) -> list:
    """The values of a key, each once, in the order of the results."""
    return list(dict.fromkeys(run[key] for run in results))


def main_table(results: Sequence[dict]) -> str:
    """Mean and deviation of the shown metrics, by method, model and test set."""
    tests, shown = ordered(results, "test"), names_in(results[0]).shown
    rows = []
    for method in ordered(results, "method"):
        for model in ordered(results, "model"):
            row = [method, model]
            for test in tests:
                runs = select(results, method=method, model=model, test=test)
                row += [spread([run[metric] for run in runs]) for metric in shown]
            rows.append(row)
    headers = ["method", "model", *(f"{test} {metric}" for test in tests for metric in shown)]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def best_table(results: Sequence[dict]) -> str:
    """What choosing every run's checkpoint by the test labels would report."""
    metric = names_in(results[0]).headline
    rows = []
    for method in ordered(results, "method"):
        for model in ordered(results, "model"):
            row = [method, model]
            for test in ordered(results, "test"):
                runs = select(results, method=method, model=model, test=test)
                row.append(spread([run["best"]["value"] for run in runs if run.get("best")]))
            rows.append(row)
    headers = ["method", "model", *(f"{test} {metric}" for test in ordered(results, "test"))]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def class_table(results: Sequence[dict], test: str, model: str) -> str:
    """Mean and deviation per class, by method."""
    runs = select(results, test=test, model=model)
    names = names_in(runs[0])
    classes = list(runs[0][names.class_key])
    headers = [name.replace("|", "\\|") for name in classes]
    rows = [
        [method, *(spread([run[names.class_key][name] for run in select(runs, method=method)]) for name in classes)]
        for method in ordered(runs, "method")
    ]
    return tabulate(rows, headers=[names.per_class, *headers], tablefmt="github", disable_numparse=True)


def difference(results: Sequence[dict], better: str, worse: str, test: str, model: str) -> str | None:
    """A sentence on the paired difference of two methods' headline metric over the seeds both have, or None."""
    metric = names_in(results[0]).headline
    by_seed = [
        {run["seed"]: run[metric] for run in select(results, method=method, test=test, model=model)} for method in (better, worse)
    ]
    seeds = sorted(set(by_seed[0]) & set(by_seed[1]))
    if not seeds:
        return None
    gains = [by_seed[0][seed] - by_seed[1][seed] for seed in seeds]
    each = ", ".join(f"{gain:+.1f}" for gain in gains)
    text = f"{better} minus {worse}, {test} {metric} ({model}), seed by seed: {each}; mean {statistics.mean(gains):+.1f}"
    if 2 <= len(gains) <= len(STUDENT_T) + 1:
        half = STUDENT_T[len(gains) - 2] * statistics.stdev(gains) / len(gains) ** 0.5
        text += f" (95 % interval by Student's t: {statistics.mean(gains) - half:+.1f} to {statistics.mean(gains) + half:+.1f})"
    return f"{text}."


def join_blocks(parts: Sequence[str]) -> str:
    """Blank lines between blocks, none between the items of a list."""
    text = parts[0]
    for previous, part in pairwise(parts):
        text += ("\n" if previous.startswith("* ") and part.startswith("* ") else "\n\n") + part
    return text + "\n"


def best_section(results: Sequence[dict]) -> list[str]:
    """Blocks on the best checkpoints, with a warning."""
    return [
        "## Best checkpoint, selected by target labels",
        "The best of each run's evaluations. Unsupervised adaptation has no labels to select by: these figures are only for "
        "comparison with papers that report them.",
        best_table(results),
    ]


def study_report(title: str, results: Sequence[dict], conditions: Sequence[str]) -> str:
    """Markdown text.

    Args:
        results: of `read_results`, each with its "seed", ordered by seed and method.
        conditions: sentences on data, schedule, machine and command.
    """
    target, model = results[0]["test"], results[0]["model"]
    differences = [line for line in (difference(results, *pair, target, model) for pair in PAIRS) if line]
    parts = [
        f"# {title}",
        "Mean ± sample standard deviation over the seeds; in percent; last checkpoint; teacher is the moving average.",
        main_table(results),
        *(f"* {line}" for line in differences),
        f"## Classes, {target}, {model}",
        class_table(results, target, model),
        *(best_section(results) if any(run.get("best") for run in results) else []),
        "## Conditions",
        *(f"* {condition}" for condition in conditions),
    ]
    # Names of classes, datasets and files are text, also where the Markdown becomes a page.
    return join_blocks(parts).replace("<", "&lt;")
