"""Work done by a Dask cluster (extra ``gpu-lint[dask]``), which sees the files that we see.

Dask schedules, and gives what a lost worker had to another. The workers read from a file system
that is mounted at the same place on every machine; a file that they see otherwise is told of.
What is sent either way is pickled: who answers at the address can run code here.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import threading
import uuid
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from gpu_lint import __version__
from gpu_lint.errors import ConfigError
from gpu_lint.work import Doing, Failed, Work

T = TypeVar("T")
_PATIENCE = 5
"""Seconds in which the scheduler must answer, and have a worker."""
_RETRIES = 3


@dataclass(frozen=True, slots=True)
class Tls:
    """The PEM files by which client and cluster know each other."""

    ca: Path
    """The certificate of the authority that has signed the scheduler's."""
    cert: Path
    key: Path

    def check(self) -> None:
        """See that the files can be used. Raises :class:`ConfigError`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        for option, path in (
            ("--tls-ca", self.ca),
            ("--tls-cert", self.cert),
            ("--tls-key", self.key),
        ):
            try:
                path.read_bytes()
            except OSError as error:
                raise ConfigError(f"{option} {path}: cannot be read: {error.strerror}") from error
        try:
            context.load_verify_locations(self.ca)
        except ssl.SSLError as error:
            raise ConfigError(f"--tls-ca {self.ca}: holds no certificate in PEM form") from error
        try:
            context.load_cert_chain(self.cert, self.key, password=_refuse_password)
        except ssl.SSLError as error:
            raise ConfigError(
                f"--tls-cert {self.cert}, --tls-key {self.key}: are no certificate and its key "
                f"in PEM form ({_first_line(error)})"
            ) from error


def _refuse_password() -> str:
    raise ConfigError("--tls-key: the key has a pass phrase; name a file that holds it without")


class Cluster:
    """The cluster behind the address of a scheduler; use it as a context, which leaves it."""

    def __init__(self, address: str, tls: Tls | None = None) -> None:
        """Raises :class:`ConfigError` for a cluster that cannot be used."""
        if tls is not None:
            if not address.startswith("tls://"):
                raise ConfigError(
                    f"--scheduler {address}: with --tls-ca the address must begin with tls://"
                )
            tls.check()
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
                address,
                timeout=_PATIENCE,
                set_as_default=False,
                direct_to_workers=False,
                security=self._security(tls),
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

    def _security(self, tls: Tls | None) -> Any:
        """What the connection is encrypted with: what the call says, or else Dask's own
        configuration. Raises :class:`ConfigError` for an address that needs more."""
        if tls is not None:
            return self._distributed.Security(
                require_encryption=True,
                tls_ca_file=str(tls.ca),
                tls_client_cert=str(tls.cert),
                tls_client_key=str(tls.key),
            )
        security = self._distributed.Security()
        if self._address.startswith("tls://") and not security.tls_client_cert:
            raise ConfigError(
                f"--scheduler {self._address}: needs --tls-ca, --tls-cert and --tls-key, or the "
                "same in Dask's configuration"
            )
        return security

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
