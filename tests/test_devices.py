"""Where tasks compute. That torch gives the same weights is tested with the mapper."""

import sys

import numpy as np
import pytest

from yt8m_spark.devices import array_of
from yt8m_spark.errors import InputError


def without_gpu(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def test_cpu_is_numpy():
    assert isinstance(array_of("cpu"), np.ndarray)


def test_auto_is_numpy_where_no_gpu_is_seen(monkeypatch):
    without_gpu(monkeypatch)
    assert isinstance(array_of("auto"), np.ndarray)


def test_auto_is_numpy_where_torch_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it fails
    assert isinstance(array_of("auto"), np.ndarray)


@pytest.mark.parametrize("device", ["cuda", "torch-cpu"])
def test_torch_that_is_asked_for_and_not_installed_is_told_of(monkeypatch, device):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="torch is not installed"):
        array_of(device)


def test_a_gpu_that_is_asked_for_and_not_there_is_told_of(monkeypatch):
    without_gpu(monkeypatch)
    with pytest.raises(InputError, match="no GPU is visible"):
        array_of("cuda")


@pytest.mark.gpu
def test_auto_is_the_gpu_where_one_is_seen():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    assert array_of("auto").device.type == "cuda"
