import torch

from mic_det.adaptation import BlockMask, MaskedConsistency
from mic_det.config import load_config


def test_student_sees_the_masked_view_and_losses_are_named_and_weighted():
    torch.manual_seed(0)
    images = torch.rand(2, 3, 32, 32) + 1
    seen = []

    def losses(view):
        seen.append(view)
        return {"loss_cls": view.sum()}

    consistency = MaskedConsistency(BlockMask(8, 0.5), augment=lambda x: x * 2, loss_weight=0.25)
    found, removed = consistency(images, losses)
    assert set(found) == {"loss_cls_mask"}
    torch.testing.assert_close(found["loss_cls_mask"], 0.25 * seen[0].sum())
    kept = seen[0] != 0
    assert torch.equal(seen[0][kept], (images * 2)[kept])
    torch.testing.assert_close(removed, 1 - kept.float().mean())


def test_augmentation_that_is_off_is_not_there():
    cfg = load_config(None, ["MODEL.MIC.AUGMENT.JITTER", 0.0, "MODEL.MIC.AUGMENT.BLUR_PROB", 0.0])
    assert MaskedConsistency(cfg).augment is None
    assert MaskedConsistency(load_config()).augment is not None
