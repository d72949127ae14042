"""Importing this module registers every network, head and built-in dataset of mic-det with detectron2.

`mic_det.modeling` registers networks and `mic_det.data` datasets; `mic_det.engine`, through which all runs go, imports both.
"""

from mic_det import data, modeling

__all__ = ["data", "modeling"]
