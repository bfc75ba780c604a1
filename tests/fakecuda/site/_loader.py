"""Libraries that load a model onto the device that they are told."""

from _fakecuda import DRIVER, Anything, logical_index


def on_device(api, device, index=0):
    """Load a model; ``auto`` and None take the GPU if there is one."""
    if device is not None and str(device) not in ("auto", "cuda", "gpu"):
        named = logical_index(device)
        if named is None:
            return
        index = named
    indices = index if isinstance(index, (list, tuple)) else [index]
    for one in indices:
        DRIVER.use(api, one, RuntimeError, True)


class Model(Anything):
    """A loaded model: transcribing gives segments and information."""

    def transcribe(self, *args, **kwargs):
        return iter([Anything()]), Anything()
