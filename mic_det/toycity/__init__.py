"""ToyCity: deterministic procedural street scenes with depth, written in the Cityscapes layout."""

from .fog import add_fog
from .render import Frame, render
from .scene import Scene, sample_scene
from .writer import write_toycity

__all__ = ["Frame", "Scene", "add_fog", "render", "sample_scene", "write_toycity"]
