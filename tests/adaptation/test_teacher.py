import copy

import pytest
import torch
from torch import nn

from mic_det.adaptation import EMATeacher


def make_student(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(2, 2))


def test_starts_as_an_independent_copy_that_never_trains():
    student = make_student()
    teacher = EMATeacher(student, 0.9)
    for own, other in zip(teacher.model.state_dict().values(), student.state_dict().values(), strict=True):
        assert torch.equal(own, other) and own.data_ptr() != other.data_ptr()
    teacher.train()
    assert not teacher.model.training and not any(p.requires_grad for p in teacher.parameters())


def test_two_updates_follow_the_closed_form_and_buffers_are_copied():
    student = make_student()
    teacher = EMATeacher(student, 0.9)
    start = {name: p.clone() for name, p in student.named_parameters()}
    steps = []
    for iteration in range(2):
        with torch.no_grad():
            for p in student.parameters():
                p.add_(torch.randn_like(p))
        student[1].running_mean.normal_()
        student[1].num_batches_tracked.add_(3)
        steps.append({name: p.detach().clone() for name, p in student.named_parameters()})
        teacher.update(student, iteration)
    for name, own in teacher.model.named_parameters():
        expected = 0.9 * (0.9 * start[name] + 0.1 * steps[0][name]) + 0.1 * steps[1][name]
        torch.testing.assert_close(own, expected)
    for name, own in teacher.model.named_buffers():
        assert torch.equal(own, dict(student.named_buffers())[name])


def test_parameters_are_updated_in_place():
    student = make_student()
    teacher = EMATeacher(student, 0.5)
    before = [p.data_ptr() for p in teacher.parameters()]
    teacher.update(student, 5)
    assert before == [p.data_ptr() for p in teacher.parameters()]


def test_ramp_is_the_mean_of_the_first_students():
    student = make_student()
    teacher = EMATeacher(student, 0.999, ramp=True)
    seen = []
    for iteration in range(6):
        with torch.no_grad():
            student[2].weight.normal_()
        seen.append(student[2].weight.detach().clone())
        teacher.update(student, iteration)
    # min(1 - 1/(t+1), alpha) from t = 0 on is exactly the running mean
    torch.testing.assert_close(teacher.model[2].weight, torch.stack(seen).mean(0))
    assert teacher.alpha_at(10**6) == 0.999


def test_state_survives_saving_and_copy_from_restores_equality():
    student = make_student()
    teacher = EMATeacher(student, 0.9)
    other = EMATeacher(make_student(1), 0.9)
    other.load_state_dict(copy.deepcopy(teacher.state_dict()))
    assert all(torch.equal(a, b) for a, b in zip(other.parameters(), teacher.parameters(), strict=True))
    newer = make_student(2)
    teacher.copy_from(newer)
    assert all(torch.equal(a, b) for a, b in zip(teacher.parameters(), newer.parameters(), strict=True))


@pytest.mark.parametrize("alpha", [-0.1, 1.5])
def test_impossible_alpha_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        EMATeacher(make_student(), alpha)


def test_published_teachers_normalise_with_their_batch_and_keep_their_buffers():
    student = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.Dropout(0.5))
    teacher = EMATeacher(student, alpha=0.5, batch_statistics=True)
    teacher.train()
    assert teacher.model[1].training and not teacher.model[2].training and not teacher.model.training
    images = 3 + 2 * torch.randn(8, 1, 4, 4)
    with torch.no_grad():
        found = teacher.model(images)
    torch.testing.assert_close(found.mean((0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    own = teacher.model[1].running_mean.clone()
    student(images + 5)
    teacher.update(student, 1)
    assert torch.equal(teacher.model[1].running_mean, own) and not torch.equal(student[1].running_mean, own)
    assert not teacher.eval().model[1].training


def test_buffers_follow_the_student_until_the_teacher_answers():
    """Otherwise an evaluation during the burn-in would join moving weights with the statistics of the first ones."""
    student = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2))
    teacher, plain = EMATeacher(student, 0.5, batch_statistics=True), EMATeacher(student, 0.5)
    for iteration in range(3):
        student(5 + torch.randn(4, 1, 8, 8))
        for each in (teacher, plain):
            each.update(student, iteration, answers=False)
        for own, other in zip(teacher.model.state_dict().values(), plain.model.state_dict().values(), strict=True):
            assert torch.equal(own, other)
    followed = teacher.model[1].running_mean.clone()
    assert torch.equal(followed, student[1].running_mean) and followed.abs().max() > 0.1
    student(torch.randn(4, 1, 8, 8))
    teacher.update(student, 3)
    assert torch.equal(teacher.model[1].running_mean, followed)
