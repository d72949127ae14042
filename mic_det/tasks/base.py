"""What the trainer, hooks and reports ask of a task."""

from abc import ABC, abstractmethod
from types import MappingProxyType


class Task(ABC):
    """Data, evaluation and pictures of one task; it has no state.

    Attributes:
        data: module with `check_datasets` and `training_data`.
        pictures: module with `comparison` and `lessons`.
        metrics: MetricNames of its evaluation.
        progress: {label in the log line: logged value}.
        curves: {logged value: title} of the report's curves beside the losses.
        smallest_batch: images that one pass in training needs.
        test_batch: images per batch in evaluation.
    """

    data = None
    pictures = None
    metrics = None
    smallest_batch = 1
    test_batch = 1
    progress = MappingProxyType({})
    curves = MappingProxyType({})

    def check_datasets(self, cfg):
        """Read every dataset that a run will need. Raises UserError, before training starts, for a wrong one."""
        self.data.check_datasets(cfg)

    def training_data(self, cfg, labelled):
        """StreamDataset of the source (`labelled`) or the target."""
        return self.data.training_data(cfg, labelled)

    def pairs_images(self, cfg):
        """Whether every source image meets one target image, so that iterations need as many of both."""
        return False

    @abstractmethod
    def test_mapper(self, cfg):
        """Callable from a record to a test sample; it raises one of READ_ERRORS for a bad image."""

    @abstractmethod
    def evaluator(self, cfg, dataset, folder=None):
        """Detectron2 DatasetEvaluator whose `evaluate` returns {metric: percent} on the main process."""

    def metric_names(self, cfg):
        """Names of the metrics that evaluation gives; `/<class>` stands for every class name."""
        return [*self.metrics.overall, *self.metrics.further, f"{self.metrics.per_class}/<class>"]

    def comparison(self, cfg, networks, dataset, count=4):
        """Rows of (caption, RGB image) for the truth and each of {caption: network} on images of a labelled dataset."""
        return self.pictures.comparison(cfg, networks, dataset, count)

    def lessons(self, cfg, model, count=3, seed=0):
        """Rows of (caption, RGB image): what some target images teach the student just now."""
        return self.pictures.lessons(cfg, model, count, seed)

    @abstractmethod
    def gallery(self, cfg, model, path, source=None, truth=None, count=24):
        """Write an HTML gallery of pseudo-labels; returns names of unreadable files. See `reporting.detection_gallery`."""

    @abstractmethod
    def predict(self, cfg, model, source, output, min_score=0.5, flat=False):
        """Run a trained model on an image, a folder or a video and write what it says to the folder `output`.

        Args:
            min_score: least score of boxes that are drawn.
            flat: write all label images of a kind to one folder.

        Returns:
            (number of images or frames, names of unreadable files).
        """

    @abstractmethod
    def network_input(self, cfg, image):
        """3xHxW uint8 at test size of an HxWx3 uint8 image, both in the network's channel order."""

    @abstractmethod
    def answers(self, cfg):
        """Answers of its exported networks."""

    @abstractmethod
    def input_sizes(self, cfg):
        """{name: pixels} that say how `network_input` resizes."""

    def sections(self, cfg, folder):
        """Further sections of a run's report, made from what its last evaluation left in `folder`."""
        return []

    def notes(self, cfg):
        """Sentences of a run's report that nobody should overlook."""
        return []

    def watches(self, cfg):
        """Hooks that warn when pseudo-labels go wrong."""
        return []

    @abstractmethod
    def conditions(self, cfg):
        """Sentences of a study's report on what is special to the task's settings."""

    @abstractmethod
    def step_parts(self, core, batch):
        """The network passes of a training step, each alone, for benchmarks: {name: callable -> losses or None}."""

    @abstractmethod
    def step_extras(self, core, batch):
        """The parts of a step that are not network passes: {name: callable}."""
