"""Running a trained model on images, folders and videos."""

import json
from pathlib import Path

import cv2
import numpy as np
import torch
from detectron2.data import transforms as T
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from tqdm import tqdm

from mic_det.config import num_classes
from mic_det.data.catalog import class_names
from mic_det.data.coco import IMAGE_SUFFIXES, read_folder
from mic_det.errors import UserError
from mic_det.reporting.drawing import draw_instances

VIDEO_SUFFIXES = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"}


class Predictor:
    """Detects objects in BGR uint8 images with the teacher or student that MODEL.MIC.INFERENCE names."""

    def __init__(self, cfg, model):
        self.model = model.eval()
        self.resize = T.ResizeShortestEdge([cfg.INPUT.MIN_SIZE_TEST] * 2, cfg.INPUT.MAX_SIZE_TEST)
        self.is_rgb = cfg.INPUT.FORMAT == "RGB"

    @torch.inference_mode()
    def __call__(self, image):
        """HxWx3 BGR -> Instances in the image's own pixels."""
        height, width = image.shape[:2]
        image = image[..., ::-1] if self.is_rgb else image
        image = self.resize.get_transform(image).apply_image(image)
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return self.model([{"image": tensor, "height": height, "width": width}])[0]["instances"].to("cpu")


def find_images(path):
    path = Path(path)
    if path.is_dir():
        return [Path(record["file_name"]) for record in read_folder(path)]
    if not path.is_file():
        raise UserError(f"--input {path} does not exist.")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise UserError(f"--input {path} is neither an image nor a video nor a folder.")
    return [path]


def predict(cfg, model, source, output, min_score=0.5):
    """Draw detections and write them as COCO results to `<output>/detections.json`.

    Args:
        source: an image, a folder of images or a video. A video gives one drawn video; its frames are numbered from 0.
        output: folder for drawn images and the JSON, which holds every detection whatever `min_score`.
        min_score: least score that is drawn.

    Returns:
        (number of images or frames, names of unreadable files).

    Raises:
        UserError: when the input does not exist, is of no known kind, or nothing in it can be read.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    predictor, names = Predictor(cfg, model), class_names(cfg.DATASETS.TRAIN[0], num_classes(cfg))
    run = predict_video if Path(source).suffix.lower() in VIDEO_SUFFIXES else predict_images
    detections, images, unreadable = run(predictor, source, output, names, min_score)
    if not images:
        raise UserError(f"Nothing in {source} could be read.")
    categories = [{"id": index, "name": name} for index, name in enumerate(names)]
    (output / "detections.json").write_text(json.dumps(detections))
    (output / "images.json").write_text(json.dumps({"images": images, "categories": categories}))
    return len(images), unreadable


def drawn(image, instances, names, min_score):
    """BGR in, BGR out."""
    return draw_instances(np.ascontiguousarray(image[..., ::-1]), instances, names, min_score)[..., ::-1]


def predict_images(predictor, source, output, names, min_score):
    detections, images, unreadable = [], [], []
    files = find_images(source)
    base = Path(source) if Path(source).is_dir() else Path(source).parent
    for file in tqdm(files, unit="image", disable=None):
        image = cv2.imread(str(file))
        if image is None:
            unreadable.append(str(file))
            continue
        instances = predictor(image)
        images.append({"id": len(images), "file_name": str(file), "height": image.shape[0], "width": image.shape[1]})
        detections += instances_to_coco_json(instances, images[-1]["id"])
        target = output / file.relative_to(base).with_suffix(".jpg")
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), drawn(image, instances, names, min_score))
    return detections, images, unreadable


def predict_video(predictor, source, output, names, min_score):
    detections, frames = [], []

    def draw(frame):
        instances = predictor(frame)
        frames.append({"id": len(frames), "file_name": str(source), "height": frame.shape[0], "width": frame.shape[1]})
        detections.extend(instances_to_coco_json(instances, frames[-1]["id"]))
        return drawn(frame, instances, names, min_score)

    redraw_video(source, output / f"{Path(source).stem}.mp4", draw)
    return detections, frames, []


def redraw_video(source, target, draw):
    """Write a video whose frames are `draw(frame)`, BGR uint8 in and out. Returns the number of frames.

    Raises:
        UserError: when `source` cannot be opened.
    """
    capture = cv2.VideoCapture(str(source))
    if not capture.isOpened():
        raise UserError(f"--input {source} cannot be opened as a video.")
    count, writer = 0, None
    rate = capture.get(cv2.CAP_PROP_FPS) or 25
    with tqdm(total=int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) or None, unit="frame", disable=None) as progress:
        while True:
            found, frame = capture.read()
            if not found:
                break
            picture = np.ascontiguousarray(draw(frame))
            writer = writer or cv2.VideoWriter(str(target), cv2.VideoWriter_fourcc(*"mp4v"), rate, picture.shape[1::-1])
            writer.write(picture)
            count += 1
            progress.update()
    capture.release()
    if writer:
        writer.release()
    return count
