import torch

from mic_det.adaptation import BlockMask, MaskedConsistency
from mic_det.config import load_config


def test_the_view_is_augmented_before_parts_are_removed():
    torch.manual_seed(0)
    images = torch.rand(2, 3, 32, 32) + 1
    view, removed = MaskedConsistency(BlockMask(8, 0.5), augment=lambda x: x * 2).view(images)
    kept = view != 0
    assert torch.equal(view[kept], (images * 2)[kept]) and not kept.all()
    torch.testing.assert_close(removed, 1 - kept.float().mean())


def test_losses_on_a_view_are_named_and_weighted():
    losses = {"loss_cls": torch.tensor(2.0), "loss_box": torch.tensor(4.0)}
    consistency = MaskedConsistency(BlockMask(8, 0.5), loss_weight=0.25)
    assert consistency.weigh(losses) == {"loss_cls_mask": 0.5, "loss_box_mask": 1.0}
    assert consistency.weigh(losses, "_source_mask", ("loss_box",)) == {"loss_cls_source_mask": 0.5, "loss_box_source_mask": 4.0}


def test_augmentation_that_is_off_is_not_there():
    cfg = load_config(None, ["MODEL.MIC.AUGMENT.JITTER", 0.0, "MODEL.MIC.AUGMENT.BLUR_PROB", 0.0])
    assert MaskedConsistency(cfg).augment is None
    assert MaskedConsistency(load_config()).augment is not None
