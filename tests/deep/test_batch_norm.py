"""Batch normalization against torch's own, and over two ranks. DBoF itself is tested elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from deep_networks import batch_of, small_network
from numpy.testing import assert_allclose
from safetensors.torch import load_file

from yt8m_spark.deep.batch_norm import BatchNorm

PROJECT = Path(__file__).parents[2]


def two_norms(n_channels=5):
    # Its running moments are plain means with this momentum, as ours are of the first ten batches.
    ours, torchs = BatchNorm(n_channels), torch.nn.BatchNorm1d(n_channels, momentum=None)
    with torch.no_grad():
        ours.weight.copy_(torch.linspace(-1, 2, n_channels))
        torchs.weight.copy_(ours.weight)
    return ours, torchs


@pytest.mark.parametrize("padded", [False, True])
def test_it_is_torchs_on_the_rows_that_count(padded):
    ours, torchs = two_norms()
    rows = torch.randn(9, 5, generator=torch.Generator().manual_seed(0)) * 3 + 100
    counts = torch.tensor([True] * 6 + [not padded] * 3)
    a, b = rows.clone().requires_grad_(), rows.clone().requires_grad_()
    for _ in range(2):
        found, expected = ours(a, counts), torchs(b[counts])
        assert_allclose(found[counts].detach(), expected.detach(), rtol=1e-3, atol=1e-4)
    (found[counts] ** 3).sum().backward()
    (expected**3).sum().backward()
    assert_allclose(a.grad, b.grad, rtol=1e-3, atol=1e-3)
    assert_allclose(ours.weight.grad, torchs.weight.grad, rtol=1e-3)
    assert_allclose(ours.running_mean, torchs.running_mean, rtol=1e-5)
    assert_allclose(ours.running_variance, torchs.running_var, rtol=1e-4)
    ours.eval(), torchs.eval()
    assert_allclose(ours(rows, counts).detach(), torchs(rows).detach(), rtol=1e-3, atol=1e-4)


def test_one_row_and_no_row_give_finite_values_and_move_no_moments():
    norm = BatchNorm(2)
    rows = torch.randn(1, 2)
    assert_allclose(norm(rows, torch.tensor([True])).detach(), [[0, 0]])
    assert torch.isfinite(norm(rows, torch.tensor([False]))).all()
    assert norm.running_mean.tolist() == [0, 0]
    assert norm.running_variance.tolist() == [1, 1]


CASES = [("max", [6, 6, 6, 6, 6]), ("average", [6, 2, 0, 5, 6])]
RANK = """
import os, sys
import torch, torch.distributed as dist
from safetensors.torch import save_file
from deep_networks import batch_of, small_network
from yt8m_spark.deep.worker import end_now

folder, rank = sys.argv[1], int(os.environ["RANK"])
torch.set_num_threads(1)
dist.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)
for pooling, counts in CASES:
    network, _ = small_network("dbof", pooling=pooling)
    codes, n_frames, labels = batch_of(counts)
    mine = slice(0, 2) if rank == 0 else slice(2, 5)
    loss = network(codes[mine], n_frames[mine], labels[mine]).sum()
    loss.backward()
    found = {"gradient " + n: p.grad for n, p in network.named_parameters()}
    for gradient in found.values():
        dist.all_reduce(gradient)
    found |= dict(network.named_buffers())
    save_file(found | {"loss": loss.detach()[None]}, f"{folder}/{pooling}-{rank}.safetensors")
dist.destroy_process_group()
end_now(0)  # as a rank ends
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory):
    """Folder of what two ranks found, each with its own videos of the batches of `CASES`."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = os.environ | {"PYTHONPATH": f"{PROJECT}:{PROJECT / 'tests'}"}
    code = RANK.replace("CASES", repr(CASES))
    started = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(folder)], env=environment | {"RANK": str(rank)}
        )
        for rank in range(2)
    ]
    assert [rank.wait(60) for rank in started] == [0, 0]
    return folder


@pytest.mark.parametrize(("pooling", "counts"), CASES)
def test_two_ranks_give_the_gradients_of_one_process_on_the_joined_batch(ranks, pooling, counts):
    network, _ = small_network("dbof", pooling=pooling)
    losses = network(*batch_of(counts))
    losses.sum().backward()
    found = [load_file(ranks / f"{pooling}-{rank}.safetensors") for rank in range(2)]
    expected = {f"gradient {n}": p.grad for n, p in network.named_parameters()}
    for name, value in (expected | dict(network.named_buffers())).items():
        for rank in found:
            assert_allclose(rank[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
    assert_allclose(
        [float(rank["loss"]) for rank in found],
        [losses[:2].sum().item(), losses[2:].sum().item()],
        rtol=1e-5,
    )
