"""Overlapping windows over images, and the mean of what a network says about them."""

from collections.abc import Callable, Sequence

import torch


def window_corners(size: Sequence[int], window: Sequence[int], stride: Sequence[int] | None) -> list[tuple[int, int]]:
    """(top, left) of windows that cover (height, width) `size`; the last of a row or column is moved inward.

    Raises:
        ValueError: unless 1 <= stride <= window, without which there are gaps.
    """
    if stride is None or any(not 1 <= step <= side for side, step in zip(window, stride, strict=True)):
        raise ValueError(f"A stride of {stride} leaves gaps between windows of {tuple(window)}: it must be from 1 to the window.")
    starts = []
    for length, side, step in zip(size, window, stride, strict=True):
        count = max(length - side + step - 1, 0) // step + 1
        starts.append([max(min(index * step, length - side), 0) for index in range(count)])
    return [(top, left) for top in starts[0] for left in starts[1]]


def slide(
    network: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    window: Sequence[int],
    stride: Sequence[int] | None,
    output_stride: int = 1,
    batch: int = 0,
) -> torch.Tensor:
    """Mean of the network's outputs over all windows that cover a place.

    Args:
        network: NxCxhxw -> NxKx(h / output_stride)x(w / output_stride).
        images: NxCxHxW; window corners must be multiples of `output_stride`.
        window, stride: (height, width) in pixels; a window larger than the image is cut to it.
        batch: windows that go through the network at once (of all images); 0 is all of them.

    Returns:
        NxKx(H / output_stride)x(W / output_stride).

    Raises:
        ValueError: for a stride that leaves gaps.
    """
    size = images.shape[-2:]
    corners = window_corners(size, window, stride)
    window = [min(side, length) for side, length in zip(window, size, strict=True)]
    height, width = window[0] // output_stride, window[1] // output_stride
    total: torch.Tensor | None = None
    count = images.new_zeros(1, 1, size[0] // output_stride, size[1] // output_stride)
    step = max(batch // len(images), 1) if batch else len(corners)
    for start in range(0, len(corners), step):
        chosen = corners[start : start + step]
        crops = torch.cat([images[..., top : top + window[0], left : left + window[1]] for top, left in chosen])
        outputs = network(crops).split(len(images))
        if total is None:
            total = outputs[0].new_zeros(len(images), outputs[0].shape[1], *count.shape[-2:])
        for (top, left), output in zip(chosen, outputs, strict=True):
            rows = slice(top // output_stride, top // output_stride + height)
            columns = slice(left // output_stride, left // output_stride + width)
            total[..., rows, columns] += output
            count[..., rows, columns] += 1
    assert total is not None, "there is always a window"
    return total / count
