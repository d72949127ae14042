"""What is odd about boxes that can be trained on: outside their image, thin, twice, or in another format than COCO's XYWH."""

from mic_det.data.faults import Faults
from mic_det.data.records import Content, Item

TOLERANCE = 1  # pixels that a box may be beyond the image's border
MOST, ALMOST_ALL = 0.5, 0.9  # shares of the boxes


def is_outside(box: list[float], height: int, width: int) -> bool:
    """Whether an XYWH box has no pixel in common with the image."""
    x, y, w, h = box
    return x + w <= 0 or y + h <= 0 or x >= width or y >= height


def reaches_out(box: list[float], height: int, width: int) -> bool:
    """Whether an XYWH box is partly outside the image."""
    x, y, w, h = box
    return min(x, y) < -TOLERANCE or x + w > width + TOLERANCE or y + h > height + TOLERANCE


def odd_boxes(content: Content) -> Faults:
    """Kinds of odd boxes of a COCO dictionary whose entries are usable; nothing is left out for them."""
    faults, seen = Faults(), set()
    sizes = {image["id"]: (image.get("height"), image.get("width")) for image in content["images"]}
    for item in content["annotations"]:
        box, size, example = item["bbox"], sizes[item["image_id"]], f"{item['bbox']} in image {item['image_id']!r}"
        if None not in size and reaches_out(box, *size):
            faults.add("box partly outside the image", example)
        if min(box[2:]) < 1:
            faults.add("box thinner than 1 pixel", example)
        key = (item["image_id"], item["category_id"], *box)
        if key in seen:
            faults.add("duplicated box", example)
        seen.add(key)
    faults.merge(other_format(content["annotations"], sizes))
    return faults


def other_format(annotations: list[Item], sizes: dict[int | str, tuple[int | None, int | None]]) -> Faults:
    """A fault when most boxes look as if they held two corners, or shares of the image.

    Args:
        sizes: {image id: (height, width)}, None where they are not known.
    """
    faults, boxes = Faults(), [item["bbox"] for item in annotations]
    relative = sum(max(box) <= 1 for box in boxes)
    corners = sum(like_corners(item["bbox"], *sizes[item["image_id"]]) for item in annotations)
    beyond = sum(reaches_beyond(item["bbox"], *sizes[item["image_id"]]) for item in annotations)
    if relative > MOST * len(boxes):
        kind, count = "box that seems to hold shares of the image, while COCO's are x, y, width and height in pixels", relative
    elif beyond > MOST * len(boxes) and corners > ALMOST_ALL * len(boxes):
        kind, count = "box that seems to hold two corners (XYXY), while COCO's are x, y, width and height", corners
    else:
        return faults
    faults.counts[kind], faults.examples[kind] = count, f"{boxes[0]}"
    return faults


def like_corners(box: list[float], height: int | None, width: int | None) -> bool:
    """Whether x, y and w, h could be two corners in the image, the second beyond the first."""
    x, y, w, h = box
    return height is not None and width is not None and 0 <= x < w <= width + TOLERANCE and 0 <= y < h <= height + TOLERANCE


def reaches_beyond(box: list[float], height: int | None, width: int | None) -> bool:
    """Whether an XYWH box ends beyond the image's right or lower border, as two corners read as XYWH often do."""
    x, y, w, h = box
    return height is not None and width is not None and (x + w > width + TOLERANCE or y + h > height + TOLERANCE)
