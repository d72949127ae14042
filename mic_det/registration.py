"""Importing this module registers every network, head and built-in dataset of mic-det with detectron2.

Reading a name of `mic_det` does it, and so does importing `mic_det.engine`, through which all runs go.
"""

from mic_det import modeling
from mic_det.data import register_builtin
from mic_det.toycity.registration import register_toycity

__all__ = ["modeling"]

register_builtin()
register_toycity()
