#!/usr/bin/env python
"""Train or evaluate.

python tools/train_net.py --config-file configs/toycity.yaml
python tools/train_net.py --config-file configs/toycity.yaml --resume
python tools/train_net.py --config-file configs/toycity.yaml --eval-only MODEL.WEIGHTS output/toycity/model_final.pth
torchrun --nproc-per-node 4 tools/train_net.py --config-file configs/cs2foggy.yaml
"""

import argparse

from mic_det.cli.train import command
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", dest="config", required=True)
    parser.add_argument("--resume", action="store_true", help="continue from OUTPUT_DIR's last checkpoint")
    parser.add_argument("--eval-only", action="store_true", help="evaluate MODEL.WEIGHTS, or with --resume the last checkpoint")
    parser.add_argument("--download", action="store_true", help="allow MODEL.WEIGHTS to be fetched from its public source")
    parser.add_argument("--num-gpus", type=int, default=1, help="GPUs of this machine, one process each")
    parser.add_argument("--num-machines", type=int, default=1)
    parser.add_argument("--machine-rank", type=int, default=0)
    parser.add_argument("--dist-url", default="auto", help="tcp://HOST:PORT of the first machine when there are several")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config overrides")
    return command.callback(weights=None, **vars(parser.parse_intermixed_args()))


if __name__ == "__main__":
    run_tool(main)
