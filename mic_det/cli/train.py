"""`mic-det train`."""

import click

from mic_det.cli.common import TRAILING, config_option, overrides_argument, weights_option, with_weights

EXAMPLES = """\b
Examples:
  mic-det train --config toycity
  mic-det train --config toycity --resume
  mic-det train --config my.yaml --weights my_detector.pth --num-gpus 2 SOLVER.MAX_ITER 2000 OUTPUT_DIR output/mine
  torchrun --nproc-per-node 4 -m mic_det train --config cs2foggy
"""


@click.command("train", epilog=EXAMPLES, context_settings=TRAILING)
@config_option()
@weights_option("Checkpoint to begin with; the same as MODEL.WEIGHTS FILE at the end.")
@click.option("--resume", is_flag=True, help="Continue from OUTPUT_DIR's last checkpoint.")
@click.option("--eval-only", is_flag=True, help="Evaluate MODEL.WEIGHTS, or with --resume the last checkpoint.")
@click.option("--download", is_flag=True, help="Allow MODEL.WEIGHTS to be fetched from its public source.")
@click.option("--num-gpus", type=int, default=1, help="GPUs of this machine, one process each.")
@click.option("--num-machines", type=int, default=1, help="Machines that train together.")
@click.option("--machine-rank", type=int, default=0, help="Which of them this is, from 0.")
@click.option("--dist-url", default="auto", help="tcp://HOST:PORT of the first machine when there are several.")
@overrides_argument()
def command(
    config: str,
    weights: str | None,
    resume: bool,
    eval_only: bool,
    download: bool,
    num_gpus: int,
    num_machines: int,
    machine_rank: int,
    dist_url: str,
    overrides: tuple[str, ...],
) -> None:
    """Train a config; write checkpoints, metrics, evaluation and report to OUTPUT_DIR."""
    from mic_det.engine.launch import launch
    from mic_det.engine.run import train_or_evaluate

    run = (config, with_weights(weights, overrides), resume, eval_only, download)
    launch(train_or_evaluate, num_gpus, num_machines, machine_rank, dist_url, run)
