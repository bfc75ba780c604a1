"""Keys are arrays."""

from _fakecuda import DRIVER, Anything


def PRNGKey(seed):
    DRIVER.use("jax.random.PRNGKey", 0)
    return Anything()


key = PRNGKey
