"""`mic-det benchmark`."""

from typing import Any

import click

from mic_det.cli.common import TRAILING, answer, config_option, json_option, overrides_argument, stdout_for_answer

EXAMPLES = """\b
Examples:
  mic-det benchmark --config toycity_mic MODEL.MIC.PSEUDO_LABELS.THRESHOLD 0
  mic-det benchmark --config cs2foggy_mic --image-size 600x1200 --json > step.json
"""


class ImageSize(click.ParamType):
    """HEIGHTxWIDTH in pixels."""

    name = "HxW"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        """(height, width) of e.g. 800x1600."""
        try:
            height, width = (int(side) for side in value.lower().split("x"))
        except ValueError:
            self.fail(f"'{value}' is not HEIGHTxWIDTH, e.g. 800x1600", param, ctx)
        return height, width


@click.command("benchmark", epilog=EXAMPLES, context_settings=TRAILING)
@config_option()
@click.option("--image-size", type=ImageSize(), help="Shortest and longest side of the network's input.")
@click.option("--steps", type=int, default=20, show_default=True, help="Steps to time.")
@json_option()
@overrides_argument()
def command(
    config: str, image_size: tuple[int, int] | None, steps: int, as_json: bool, overrides: tuple[str, ...]
) -> None:
    """Time one training step and its parts.

    `floor` is the sum of the network passes timed alone in the same process, `ratio` the whole step divided by it. An untrained
    detector has no pseudo boxes, and so no masked pass: give MODEL.WEIGHTS, or MODEL.MIC.PSEUDO_LABELS.THRESHOLD 0.
    """
    from mic_det.engine.setup import open_config

    with stdout_for_answer(as_json):
        result = measured(open_config(config, overrides), config, image_size, steps, overrides)
    answer(result) if as_json else show(result)


def measured(
    cfg: Any, config: str, image_size: tuple[int, int] | None, steps: int, overrides: tuple[str, ...] | list[str]
) -> dict[str, Any]:
    """What `run_benchmark` finds, in seconds, with the machine and the config it holds for.

    Args:
        cfg: the opened config.
        config: its name.
        image_size: (height, width) of the network's input; None for the config's.
        overrides: what `cfg` was opened with.
    """
    from mic_det.experiments.benchmark import run_benchmark
    from mic_det.machine import machine

    if image_size:
        cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN = (min(image_size),), max(image_size)
    return {**run_benchmark(cfg, steps), "machine": machine(), "config": config, "overrides": list(overrides)}


def show(result: dict[str, Any]) -> None:
    """Print the table of what `measured` gave."""
    from tabulate import tabulate

    rows = [["step", result["step"]], ["floor", result["floor"]], *result["parts"].items()]
    table = [[name, 1000 * value, 100 * value / result["step"]] for name, value in rows]
    click.echo(tabulate(table, headers=["", "ms", "% of step"], floatfmt=".1f"))
    click.echo(f"ratio {result['ratio']:.3f}; {result['images_per_second']:.2f} images/s; {result['machine']}")
    click.echo("last step: " + ", ".join(f"{name} {value:.3g}" for name, value in result["diagnostics"].items()))
