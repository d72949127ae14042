"""Starting one or several processes: detectron2's launcher, torchrun, or neither."""

import os
import sys
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from typing import Any

import torch
import torch.distributed as dist
from detectron2.engine import launch as detectron2_launch
from detectron2.utils import comm
from torch.multiprocessing import ProcessExitedException, ProcessRaisedException

from mic_det.errors import UserError


def launch(
    main: Callable[..., object],
    num_gpus: int = 1,
    num_machines: int = 1,
    machine_rank: int = 0,
    dist_url: str = "auto",
    args: tuple[Any, ...] = (),
) -> None:
    """Run `main(*args)` once per process. A UserError in any of them is raised here, or in each process of torchrun's.

    Under torchrun (it sets WORLD_SIZE, RANK, LOCAL_RANK, LOCAL_WORLD_SIZE) this process joins the group that it
    describes: NCCL with GPUs, gloo without. Otherwise `num_gpus` processes are started on this machine, one per GPU.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        join_torchrun()
        try:
            main(*args)
        finally:
            dist.destroy_process_group()
        return
    check_processes(num_gpus, num_machines, machine_rank, dist_url)
    if num_gpus * num_machines == 1:
        main(*args)
        return
    sentences = torch.multiprocessing.get_context("spawn").SimpleQueue()
    try:
        detectron2_launch(report_error, num_gpus, num_machines, machine_rank, dist_url, (main, sentences, args))
    except (ProcessExitedException, ProcessRaisedException):
        if sentences.empty():
            raise
        raise UserError(sentences.get()) from None


def report_error(main: Callable[..., object], sentences: "SimpleQueue[str]", args: tuple[Any, ...]) -> None:
    """Run `main(*args)` in a process of its own; the sentence of a UserError goes to the one that started it."""
    try:
        main(*args)
    except UserError as error:
        sentences.put(str(error))
        sys.exit(1)


def check_processes(num_gpus: int, num_machines: int, machine_rank: int, dist_url: str) -> None:
    """Raise UserError for numbers of processes that cannot be started."""
    for option, value in (("--num-gpus", num_gpus), ("--num-machines", num_machines)):
        if value < 1:
            raise UserError(f"{option} is {value}, but must be at least 1; without a GPU, one process runs on the CPU.")
    if not 0 <= machine_rank < num_machines:
        raise UserError(f"--machine-rank is {machine_rank}, but must be from 0 to --num-machines - 1 = {num_machines - 1}.")
    if num_machines > 1 and dist_url == "auto":
        raise UserError("--dist-url must name the first machine, e.g. tcp://192.168.0.1:29500, when there are several.")
    if num_gpus > 1 and torch.cuda.device_count() < num_gpus:
        raise UserError(
            f"--num-gpus {num_gpus}, but {torch.cuda.device_count()} GPUs are visible. Several processes without GPUs run "
            "through torchrun."
        )


def join_torchrun() -> None:
    """Join the group of processes that torchrun's variables describe. Raises UserError when some of them are missing."""
    missing = [name for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE") if name not in os.environ]
    if missing:
        raise UserError(f"WORLD_SIZE is set, but {missing[0]} is not: start processes with torchrun, or unset WORLD_SIZE.")
    local_rank, local_size = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    comm.create_local_process_group(local_size)
