"""Its arrays live on device 0."""

from _fakecuda import DRIVER, Anything


def _make(*args, **kwargs):
    DRIVER.use("jax.numpy", 0)
    return Anything()


ones = zeros = array = arange = _make
