import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mic_det.adaptation.mixing import ClassMix, choose_half, present_classes


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**31), st.integers(1, 3), st.booleans())
def test_chosen_classes_are_half_of_those_there_rounded_up(seed, count, batch):
    torch.manual_seed(seed)
    labels = torch.randint(0, 5, (count, 3, 4))
    labels[torch.rand(labels.shape) < 0.2] = 255
    pasted = ClassMix(5, batch_classes=batch).choose(labels)
    pool = set(labels.unique().tolist())
    for own, mask in zip(labels, pasted, strict=True):
        chosen, left = set(own[mask].tolist()), set(own[~mask].tolist())
        assert not chosen & left  # a class is pasted wholly or not at all
        if not batch:
            there = set(own.unique().tolist()) - {255}
            assert len(chosen) == (len(there) + 1) // 2 and 255 not in chosen
        else:
            assert len(chosen) <= (len(pool) + 1) // 2


def test_void_can_be_pasted_only_as_published():
    labels = torch.full((1, 4, 4), 255)
    assert not ClassMix(3).choose(labels).any()
    assert ClassMix(3, batch_classes=True).choose(labels).all()


def test_the_whole_batch_is_the_pool_as_published():
    """Image 0 holds one class of four: alone, it is always chosen; from the batch, in half of the draws."""
    labels = torch.stack([torch.zeros(2, 2, dtype=torch.long), torch.tensor([[1, 2], [3, 3]])])
    torch.manual_seed(0)
    alone = [bool(ClassMix(4).choose(labels)[0].all()) for _ in range(200)]
    pooled = [bool(ClassMix(4, batch_classes=True).choose(labels)[0].any()) for _ in range(400)]
    assert all(alone) and 0.4 < sum(pooled) / 400 < 0.6


def test_every_class_is_chosen_equally_often():
    torch.manual_seed(0)
    present = torch.tensor([[True, True, False, True, True]]).expand(4000, -1)
    share = choose_half(present).float().mean(0)
    torch.testing.assert_close(share, torch.tensor([0.5, 0.5, 0.0, 0.5, 0.5]), atol=0.04, rtol=0)


def test_present_classes_equal_unique():
    labels = torch.tensor([[[0, 3], [255, 3]], [[1, 1], [1, 1]]])
    assert present_classes(labels, 4).tolist() == [[True, False, False, True], [False, True, False, False]]


def test_a_mixed_pair_equals_a_loop_over_pixels():
    torch.manual_seed(1)
    source = torch.rand(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5)), torch.ones(2, 4, 5)
    target = torch.rand(2, 3, 4, 5), torch.randint(0, 3, (2, 4, 5)), torch.rand(2, 4, 5)
    mix = ClassMix(3)
    torch.manual_seed(2)
    pasted = mix.choose(source[1])
    torch.manual_seed(2)
    images, labels, weights = mix(source, target)
    for n in range(2):
        for y in range(4):
            for x in range(5):
                origin = source if pasted[n, y, x] else target
                assert torch.equal(images[n, :, y, x], origin[0][n, :, y, x])
                assert labels[n, y, x] == origin[1][n, y, x] and weights[n, y, x] == origin[2][n, y, x]


@pytest.mark.parametrize(("source", "target"), [(2, 4), (4, 2), (4, 1), (1, 2), (2, 0)])
def test_unequal_batches_cannot_be_paired(source, target):
    """4 and 1 would be mixed by broadcasting."""

    def some(count):
        return torch.rand(count, 3, 4, 4), torch.randint(0, 3, (count, 4, 4)), torch.ones(count, 4, 4)

    with pytest.raises(ValueError, match=f"got {source} and {target}"):
        ClassMix(3)(some(source), some(target))
    assert ClassMix(3)(some(source), some(source))[0].shape == (source, 3, 4, 4)
