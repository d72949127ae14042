"""What is odd about boxes that can be trained on: outside their image, thin, twice, or in another format than COCO's XYWH."""

from mic_det.data.faults import Faults

TOLERANCE = 1  # pixels that a box may be beyond the image's border
MOST = 0.5  # share of boxes


def is_outside(box: list[float], height: int, width: int) -> bool:
    """Whether an XYWH box has no pixel in common with the image."""
    x, y, w, h = box
    return x + w <= 0 or y + h <= 0 or x >= width or y >= height


def reaches_out(box: list[float], height: int, width: int) -> bool:
    """Whether an XYWH box is partly outside the image."""
    x, y, w, h = box
    return min(x, y) < -TOLERANCE or x + w > width + TOLERANCE or y + h > height + TOLERANCE


def odd_boxes(content: dict) -> Faults:
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
    faults.merge(other_format(content, faults.counts["box partly outside the image"]))
    return faults


def other_format(content: dict, outside: int) -> Faults:
    """A fault when most boxes look as if they held two corners, or shares of the image.

    Args:
        outside: how many boxes are partly outside their image.
    """
    faults, boxes = Faults(), [item["bbox"] for item in content["annotations"]]
    relative = sum(max(box) <= 1 for box in boxes)
    # The second corner is always beyond the first; few objects are larger than their distance from the image's corner.
    corners = sum(w > x and h > y for x, y, w, h in boxes)
    if relative > MOST * len(boxes):
        kind, count = (
            "box that seems to hold shares of the image, not pixels: COCO's boxes are x, y, width, height in pixels",
            relative,
        )
    elif outside > MOST * len(boxes) and corners > 0.9 * len(boxes):
        kind, count = "box that seems to hold two corners (XYXY): COCO's boxes are x, y, width, height", corners
    else:
        return faults
    faults.counts[kind], faults.examples[kind] = count, f"{boxes[0]}"
    return faults
