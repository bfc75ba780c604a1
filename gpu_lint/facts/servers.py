"""When a server calls the functions of its own configuration: before or after it loads the app.

Measured with gunicorn 27.0: with ``preload_app`` the app is imported right after the
configuration, before any hook; without, in the worker between ``post_fork`` and
``post_worker_init``.
"""

from __future__ import annotations

import os

from gpu_lint.facts import program as p

_FILES = frozenset({"gunicorn.conf.py", "gunicorn_conf.py", "gunicorn_config.py"})
"""What the configuration of gunicorn is called: the first is read unasked."""
_IN_WORKER = frozenset({"post_worker_init", "pre_request"})
_PRELOADED = _IN_WORKER | {"on_starting", "when_ready", "pre_fork", "post_fork"}


def hooks_behind_app(file: str, program: p.Program) -> frozenset[str]:
    """Return the names of the functions of a file that a server calls when it has imported the app,
    and before this answers a request; none for a file that is no such configuration."""
    if os.path.basename(file) not in _FILES:
        return frozenset()
    preloads = any(
        isinstance(one, p.Assign)
        and isinstance(one.value, p.Literal)
        and one.value.value is True
        and any(isinstance(name, p.Name) and name.id == "preload_app" for name in one.targets)
        for one in program.body
    )
    return _PRELOADED if preloads else _IN_WORKER
