"""Trained models on images, folders and videos: what `mic-det predict` writes."""

from .boxes import predict_boxes
from .classes import predict_classes
from .labels import predict_labels

__all__ = ["predict_boxes", "predict_classes", "predict_labels"]
