import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mic_det.adaptation import BlockMask

sizes = st.tuples(st.integers(1, 3), st.integers(1, 70), st.integers(1, 70))


@settings(max_examples=60, deadline=None)
@given(sizes, st.integers(1, 40), st.floats(0, 1), st.integers(0, 2**31))
def test_blocks_are_constant_shared_by_channels_and_zero_filled(size, block, ratio, seed):
    count, height, width = size
    torch.manual_seed(seed)
    images = torch.rand(count, 3, height, width) + 1  # nowhere zero, so that a zero is a removed pixel
    masked, removed = BlockMask(block, ratio)(images)
    kept = masked != 0
    assert torch.equal(masked[kept], images[kept])
    assert torch.equal(kept[:, 0], kept[:, 1]) and torch.equal(kept[:, 0], kept[:, 2])
    assert removed.item() == pytest.approx(1 - kept.float().mean().item(), abs=1e-5)
    for top in range(0, height, block):
        for left in range(0, width, block):
            tile = kept[:, 0, top : top + block, left : left + block].flatten(1)
            assert torch.equal(tile.all(1), tile.any(1))


def test_share_of_removed_blocks_follows_the_ratio():
    torch.manual_seed(0)
    for ratio in (0.3, 0.5, 0.7):
        removed = BlockMask(4, ratio)(torch.ones(16, 1, 200, 200))[1].item()
        # 40,000 blocks: five standard deviations are at most 0.0125
        assert removed == pytest.approx(ratio, abs=0.0125)


def test_images_of_a_batch_and_successive_calls_get_different_masks():
    torch.manual_seed(0)
    mask = BlockMask(8, 0.5)
    first, second = mask.sample(torch.ones(2, 3, 64, 64))
    assert not torch.equal(first, second)
    assert not torch.equal(first, mask.sample(torch.ones(2, 3, 64, 64))[0])


def test_extreme_ratios():
    images = torch.rand(2, 3, 32, 32)
    assert torch.equal(BlockMask(8, 0.0)(images)[0], images)
    assert not BlockMask(8, 1.0)(images)[0].any()


@pytest.mark.parametrize(("block", "ratio"), [(0, 0.5), (8, -0.1), (8, 1.1)])
def test_impossible_settings_are_refused(block, ratio):
    with pytest.raises(ValueError, match="must"):
        BlockMask(block, ratio)
