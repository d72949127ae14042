"""The Markdown report of a study: mean and standard deviation over seeds, with all conditions."""

import statistics
from itertools import pairwise

from tabulate import tabulate

PAIRS = (
    ("mic", "source_only"),
    ("mic", "mean_teacher"),
    ("mean_teacher", "source_only"),
    ("sada", "source_only"),
    ("mic_sada", "sada"),
    ("mic_sada", "mic"),
    ("oracle", "mic"),
)


def spread(values):
    """`mean ± standard deviation` of percentages over seeds; a dash where there is nothing."""
    values = [value for value in values if value is not None]
    if not values:
        return "-"
    if len(values) == 1:
        return f"{values[0]:.1f}"
    return f"{statistics.mean(values):.1f} ± {statistics.stdev(values):.1f}"


def select(results, **wanted):
    return [run for run in results if all(run[key] == value for key, value in wanted.items())]


def ordered(results, key):
    return list(dict.fromkeys(run[key] for run in results))


def main_table(results):
    tests = ordered(results, "test")
    rows = []
    for method in ordered(results, "method"):
        for model in ordered(results, "model"):
            row = [method, model]
            for test in tests:
                runs = select(results, method=method, model=model, test=test)
                row += [spread([run[metric] for run in runs]) for metric in ("AP50", "AP")]
            rows.append(row)
    headers = ["method", "model", *(f"{test} {metric}" for test in tests for metric in ("AP50", "AP"))]
    return tabulate(rows, headers=headers, tablefmt="github", disable_numparse=True)


def class_table(results, test, model="teacher"):
    runs = select(results, test=test, model=model)
    classes = list(runs[0]["per_class_AP50"])
    rows = [
        [method, *(spread([run["per_class_AP50"][name] for run in select(runs, method=method)]) for name in classes)]
        for method in ordered(runs, "method")
    ]
    return tabulate(rows, headers=["AP50", *classes], tablefmt="github", disable_numparse=True)


def difference(results, better, worse, test, model="teacher"):
    """A sentence on the paired difference of two methods' AP50 over the seeds both have, or None."""
    by_seed = [
        {run["seed"]: run["AP50"] for run in select(results, method=method, test=test, model=model)} for method in (better, worse)
    ]
    seeds = sorted(set(by_seed[0]) & set(by_seed[1]))
    if not seeds:
        return None
    gains = [by_seed[0][seed] - by_seed[1][seed] for seed in seeds]
    each = ", ".join(f"{gain:+.1f}" for gain in gains)
    return f"{better} minus {worse}, {test} AP50 ({model}), seed by seed: {each}; mean {statistics.mean(gains):+.1f}."


def join_blocks(parts):
    """Blank lines between blocks, none between the items of a list."""
    text = parts[0]
    for previous, part in pairwise(parts):
        text += ("\n" if previous.startswith("* ") and part.startswith("* ") else "\n\n") + part
    return text + "\n"


def study_report(title, results, conditions):
    """Markdown text.

    Args:
        results: as in summary.json, each with its "seed".
        conditions: sentences on data, schedule, machine and command.
    """
    target = results[0]["test"]
    differences = [line for line in (difference(results, *pair, target) for pair in PAIRS) if line]
    parts = [
        f"# {title}",
        "Mean ± sample standard deviation over the seeds; in percent; last checkpoint; teacher is the moving average.",
        main_table(results),
        *(f"* {line}" for line in differences),
        f"## Classes, {target}, teacher",
        class_table(results, target),
        "## Conditions",
        *(f"* {condition}" for condition in conditions),
    ]
    return join_blocks(parts)
