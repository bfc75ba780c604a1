"""Work done by a Dask cluster (extra ``gpu-lint[dask]``), which sees the files that we see.

Dask schedules, and gives what a lost worker had to another. The workers read from a file system
that is mounted at the same place on every machine; a file that they see otherwise is told of.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeVar

from gpu_lint import __version__
from gpu_lint.errors import ConfigError
from gpu_lint.work import Doing, Failed, Work

T = TypeVar("T")
_PATIENCE = 5
"""Seconds in which the scheduler must answer, and have a worker."""
_RETRIES = 3


class Cluster:
    """The cluster behind the address of a scheduler; use it as a context, which leaves it."""

    def __init__(self, address: str) -> None:
        """Raises :class:`ConfigError` for a cluster that cannot be used."""
        try:
            import distributed
        except ImportError as error:
            raise ConfigError(
                "--executor dask needs the package distributed: pip install 'gpu-lint[dask]'"
            ) from error
        logging.getLogger("distributed").setLevel(logging.CRITICAL + 1)  # we tell of it ourselves
        self._address = address
        self._distributed: Any = distributed
        try:
            self._distributed.comm.resolve_address(address)
            self._client: Any = self._distributed.Client(
                address, timeout=_PATIENCE, set_as_default=False, direct_to_workers=False
            )
        except (OSError, ValueError, asyncio.TimeoutError) as error:
            raise ConfigError(
                f"--scheduler {address}: cannot be reached ({_first_line(error)})"
            ) from error
        try:
            self._client.wait_for_workers(1, timeout=_PATIENCE)
        except (OSError, asyncio.TimeoutError) as error:
            self._client.close()
            raise ConfigError(f"--scheduler {address}: the cluster has no workers") from error
        self.count = max(1, len(self._client.scheduler_info()["workers"]))

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def start(self) -> None:
        """Nothing: it runs already."""

    def begin(self, work: Work[T]) -> None:
        """Nothing: who will do it is for the scheduler to say."""

    def each(
        self, work: Work[T], chunks: Iterable[Sequence[str]]
    ) -> Iterator[tuple[str, T | Failed]]:
        """Do some work on every file of every chunk; answers come as they are ready.

        Raises :class:`ConfigError` where the cluster is lost, or is not like this machine.
        """
        token = uuid.uuid4().hex
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the size of what is sent: it is sent once
            shared = self._client.submit(_hold, work, pure=False, retries=_RETRIES)
            waiting = {
                self._client.submit(
                    _do, __version__, token, shared, list(chunk), pure=False, retries=_RETRIES
                ): chunk
                for chunk in chunks
            }
        for future in self._distributed.as_completed(list(waiting), loop=self._client.loop):
            chunk = waiting.pop(future)
            if future.status == "finished":
                yield from zip(chunk, future.result(), strict=True)
                continue
            error = future.exception() if future.status == "error" else None
            if isinstance(error, self._distributed.KilledWorker):
                for file in chunk:
                    yield file, Failed("could not be checked: workers died over it, or beside it")
                continue
            why = "it was lost" if error is None else _first_line(error)
            raise ConfigError(f"--scheduler {self._address}: the cluster failed ({why})")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _hold(work: Work[T]) -> Work[T]:
    """Keep some work in the cluster: it is made again where the worker that held it is lost."""
    return work


_UNDER_WAY = threading.local()
"""The work under way in a thread of a worker, and its token."""


def _do(version: str, token: str, work: Work[T], chunk: list[str]) -> list[T | Failed]:
    """Do some work on a chunk, on a worker."""
    if version != __version__:
        raise RuntimeError(f"gpu-lint is {__version__} on a worker and {version} here")
    if getattr(_UNDER_WAY, "token", None) != token:
        _UNDER_WAY.token, _UNDER_WAY.doing = token, Doing(work)
    doing: Doing[T] = _UNDER_WAY.doing
    return [doing(file) for file in chunk]
