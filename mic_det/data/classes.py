"""Which classes of an annotation file are used, under which names."""

import logging
from collections.abc import Mapping, Sequence

from mic_det.data.records import Content, Item
from mic_det.errors import UserError, did_you_mean

logger = logging.getLogger(__name__)


def sorted_categories(content: Content) -> list[Item]:
    """Categories of a COCO dictionary in the order of their ids: numbers, then texts."""
    return sorted(content.get("categories", []), key=lambda category: (isinstance(category["id"], str), category["id"]))


def category_names(content: Content) -> list[str]:
    """Class names of a COCO dictionary in the order of their category ids."""
    return [category["name"] for category in sorted_categories(content)]


def select_classes(
    content: Content, where: str, classes: Sequence[str] | None = None, mapping: Mapping[str, str] | None = None
) -> Content:
    """A COCO dictionary with just the wanted classes, in their order, ids from 1 on; every image stays.

    Args:
        content: COCO dictionary; it is not changed.
        where: what to call it in messages.
        classes: wanted class names; None keeps all in the order of their ids.
        mapping: {name in the file: wanted name}; several may become one. Other names stay as they are.

    Raises:
        UserError: when the mapping names a class that is not there, or a wanted class has no source.
    """
    mapping = mapping or {}
    found = category_names(content)
    unknown = [name for name in mapping if name not in found]
    if unknown:
        raise UserError(
            f"{where} has no class '{unknown[0]}' to map; it has {', '.join(found)}.{did_you_mean(unknown[0], found)}"
        )
    renamed = {category["id"]: mapping.get(category["name"], category["name"]) for category in content.get("categories", [])}
    classes = list(classes) if classes else list(dict.fromkeys(mapping.get(name, name) for name in found))
    absent = [name for name in classes if name not in renamed.values()]
    if absent:
        raise UserError(f"{where} has no class '{absent[0]}'; it has {', '.join(found)}.{did_you_mean(absent[0], found)}")
    ids = {old: classes.index(name) + 1 for old, name in renamed.items() if name in classes}
    # Annotations of unknown categories stay for the reader to report.
    annotations = [
        {**item, "category_id": ids.get(item.get("category_id"), item.get("category_id"))}
        for item in content.get("annotations", [])
        if item.get("category_id") in ids or item.get("category_id") not in renamed
    ]
    dropped = len(content.get("annotations", [])) - len(annotations)
    if dropped:
        logger.info("%s: %d objects of other classes than %s are left out.", where, dropped, ", ".join(classes))
    categories = [{"id": index, "name": name} for index, name in enumerate(classes, start=1)]
    return {**content, "annotations": annotations, "categories": categories}
