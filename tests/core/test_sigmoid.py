"""The logistic function and its log-loss against SciPy's."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import expit

from yt8m_spark.core.sigmoid import sigmoid, softplus

Z = np.concatenate([np.linspace(-100, 100, 2001), [0, 1e-8, -1e-8, 1e30, -1e30]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sigmoid_is_expit_between_minus_80_and_80(dtype):
    z = Z.astype(dtype)
    assert_allclose(sigmoid(z), expit(z.clip(-80, 80).astype(np.float64)), rtol=1e-6)
    assert sigmoid(z).dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softplus_is_log_1_plus_exp(dtype):
    z = Z.astype(dtype)
    assert_allclose(softplus(z), np.logaddexp(0, z.astype(np.float64)), rtol=1e-6, atol=1e-7)
    assert softplus(z).dtype == dtype


def test_what_is_given_stays_as_it_was():
    z = np.float32([-1, 0, 3])
    sigmoid(z)
    softplus(z)
    assert z.tolist() == [-1, 0, 3]
