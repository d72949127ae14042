"""What an optimizer remembers belongs to a parameter, whatever group it is in; the settings are the config's."""

import torch

from mic_det.engine.optimizer import parameter_names, restore_optimizer


def network():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3), torch.nn.Linear(3, 3))


def groups(core, split, **settings):
    """Biases in a group of their own, or everything in one."""
    biases = [parameter for name, parameter in core.named_parameters() if name.endswith("bias")]
    others = [parameter for name, parameter in core.named_parameters() if not name.endswith("bias")]
    return (
        [{"params": others, **settings}, {"params": biases, **settings}] if split else [{"params": core.parameters(), **settings}]
    )


def step(core, optimizer, seed):
    optimizer.zero_grad()
    core(torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))).square().sum().backward()
    optimizer.step()


def test_regrouped_parameters_keep_their_momentum():
    """Against an optimizer that never stopped: only the learning rate of the last step is another."""
    whole = network()
    reference = torch.optim.SGD(groups(whole, False), lr=0.1, momentum=0.9)
    stopped = network()
    first = torch.optim.SGD(groups(stopped, False), lr=0.1, momentum=0.9)
    for core, optimizer in ((whole, reference), (stopped, first)):
        step(core, optimizer, 1)
        step(core, optimizer, 2)
    second = torch.optim.SGD(groups(stopped, True, weight_decay=0.0), lr=0.02, momentum=0.9)
    restore_optimizer(second, first.state_dict(), parameter_names(first, stopped), parameter_names(second, stopped))
    assert {group["lr"] for group in second.param_groups} == {0.02}
    reference.param_groups[0]["lr"] = 0.02
    step(whole, reference, 3)
    step(stopped, second, 3)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(stopped.state_dict()[name], value, rtol=0, atol=0)


def test_new_parameters_start_afresh():
    core = network()
    old = torch.optim.AdamW(core[0].parameters(), lr=0.1)
    step(core, old, 1)
    new = torch.optim.AdamW([*core[2].parameters(), *core[0].parameters()], lr=0.3)
    restore_optimizer(new, old.state_dict(), parameter_names(old, core), parameter_names(new, core))
    assert torch.equal(new.state[core[0].weight]["exp_avg"], old.state[core[0].weight]["exp_avg"])
    assert core[2].weight not in new.state and new.param_groups[0]["lr"] == 0.3
