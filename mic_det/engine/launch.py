"""Starting one or several processes: detectron2's launcher, torchrun, or neither."""

import os

import torch
import torch.distributed as dist
from detectron2.engine import launch as detectron2_launch
from detectron2.utils import comm

from mic_det.errors import UserError


def launch(main, num_gpus=1, num_machines=1, machine_rank=0, dist_url="auto", args=()):
    """Run `main(*args)` once per process.

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
    if num_gpus > 1 and torch.cuda.device_count() < num_gpus:
        raise UserError(
            f"--num-gpus {num_gpus}, but {torch.cuda.device_count()} GPUs are visible. Several processes without GPUs run "
            "through torchrun."
        )
    detectron2_launch(main, num_gpus, num_machines, machine_rank, dist_url, args)


def join_torchrun():
    local_rank, local_size = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    comm.create_local_process_group(local_size)
