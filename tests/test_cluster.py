"""A real Dask cluster on this machine: the same result, also when a worker is lost."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpu_lint.errors import ConfigError
from gpu_lint.work import Failed
from tests.conftest import ROOT

pytest.importorskip("distributed")
VOICE_ASSISTANT = ROOT / "fixtures" / "superwhisper" / "before"


@dataclass(frozen=True)
class Fatal:
    """Says the name of each file. Over the file ``wait``, the first worker tells its process in
    a file and waits to be killed."""

    told: str

    def start(self) -> Callable[[str], tuple[str, int]]:
        return self._say

    def _say(self, file: str) -> tuple[str, int]:
        if file == "wait":
            try:
                handle = os.open(self.told, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                pass
            else:
                os.write(handle, b"%d\n" % os.getpid())
                os.close(handle)
                time.sleep(60)
        return file.upper(), os.getpid()


@contextmanager
def cluster(
    tmp_path: Path, workers: int, *options: str
) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and some worker processes on loopback; the address, and the workers."""
    file = tmp_path / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", *arguments, "--no-dashboard"],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    running = [
        start("distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0",
              "--scheduler-file", str(file), *options)
    ]  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not file.exists() and time.monotonic() < until:
            time.sleep(0.05)
        running += [
            start("distributed.cli.dask_worker", "--scheduler-file", str(file), "--nthreads", "1",
                  "--no-nanny", "--host", "127.0.0.1", "--local-directory", str(tmp_path), *options)
            for _ in range(workers)
        ]  # fmt: skip
        yield json.loads(file.read_text())["address"], running[1:]
    finally:
        for process in reversed(running):
            process.kill()
            process.wait()


def lint(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gpu_lint", *arguments], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_a_cluster_finds_and_changes_what_one_machine_does(tmp_path: Path) -> None:
    check = ["check", "--no-cache", "--output-format", "json", "."]
    fix = ["fix", "--no-cache", "--diff", "."]
    with cluster(tmp_path, 2) as (address, _):
        for command in (check, fix):
            alone = lint(*command, "-j", "1", cwd=VOICE_ASSISTANT)
            there = ["--executor", "dask", "--scheduler", address]
            together = lint(*command, *there, cwd=VOICE_ASSISTANT)
            assert (together.returncode, together.stderr) == (alone.returncode, alone.stderr)
            assert together.stdout == alone.stdout
            assert len(together.stdout) > 10_000


def test_what_a_lost_worker_had_is_done_by_another(tmp_path: Path) -> None:
    from gpu_lint.cluster import Cluster

    told = tmp_path / "told"
    chunks = [["a", "b"], ["c", "wait", "d"], ["e"], ["f"]]
    with cluster(tmp_path, 2) as (address, workers), Cluster(address) as used:
        answers = used.each(Fatal(str(told)), chunks)
        found = dict([next(answers)])
        until = time.monotonic() + 60
        while not (told.exists() and told.read_text().endswith("\n")):
            assert time.monotonic() < until, "no worker has taken the file that it is to die over"
            time.sleep(0.02)
        lost = int(told.read_text())
        assert lost in [worker.pid for worker in workers]
        os.kill(lost, getattr(signal, "SIGKILL", signal.SIGTERM))
        found.update(answers)
    assert sorted(found) == ["a", "b", "c", "d", "e", "f", "wait"]
    assert not [answer for answer in found.values() if isinstance(answer, Failed)]
    assert {name for name, _ in found.values()} == {file.upper() for file in found}
    assert {found[file][1] for file in ("c", "wait", "d")} == {
        worker.pid for worker in workers if worker.pid != lost
    }


def certificate(directory: Path, name: str) -> tuple[str, str]:
    """A certificate that vouches for itself, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl to make certificates")
    files = str(directory / f"{name}.crt"), str(directory / f"{name}.key")
    made = subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=localhost", "-out", files[0], "-keyout", files[1]],
        capture_output=True,
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    return files


def test_a_cluster_is_used_over_tls_by_those_alone_who_can_prove_themselves(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path, "ours")
    strange, strange_key = certificate(tmp_path, "strange")
    (tmp_path / "tree").mkdir()
    late = "import os\nimport torch\ntorch.cuda.init()\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"
    for name in ("a.py", "b.py"):
        (tmp_path / "tree" / name).write_text(late)
    told = ("--protocol", "tls", "--tls-ca-file", cert, "--tls-cert", cert, "--tls-key", key)
    with cluster(tmp_path, 1, *told) as (address, _):
        assert address.startswith("tls://")

        def check(ca: str, cert: str, key: str) -> subprocess.CompletedProcess[str]:
            tls = ("--tls-ca", ca, "--tls-cert", cert, "--tls-key", key)
            dask = ("--executor", "dask", "--scheduler", address)
            return lint(
                "check",
                "--no-cache",
                "--output-format",
                "concise",
                *dask,
                *tls,
                ".",
                cwd=tmp_path / "tree",
            )

        done = check(cert, cert, key)
        assert (done.returncode, done.stdout.count("GPU107")) == (1, 2), done.stderr
        for wrong in (
            (strange, strange, strange_key),
            (strange, cert, key),
            (cert, cert, strange_key),
        ):
            done = check(*wrong)
            assert (done.returncode, done.stdout) == (2, "")
            assert done.stderr.startswith("gpu-lint: --")
            assert len(done.stderr.splitlines()) == 1


def test_a_key_with_a_pass_phrase_is_refused_without_asking_for_it(tmp_path: Path) -> None:
    from gpu_lint.cluster import Tls

    cert, key = certificate(tmp_path, "ours")
    openssl = shutil.which("openssl")
    assert openssl is not None
    locked = tmp_path / "locked.key"
    subprocess.run(
        [openssl, "rsa", "-aes256", "-passout", "pass:x", "-in", key, "-out", str(locked)],
        check=True,
        capture_output=True,
    )
    Tls(Path(cert), Path(cert), Path(key)).check()
    with pytest.raises(ConfigError, match="has a pass phrase"):
        Tls(Path(cert), Path(cert), locked).check()


DASK = ["--executor", "dask", "--scheduler", "tls://127.0.0.1:1"]
TLS = ["--tls-ca", "a.py", "--tls-cert", "a.py", "--tls-key", "a.py"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--executor", "dask", "--scheduler", "tcp://127.0.0.1:{port}"], "cannot be reached"),
        (["--executor", "dask", "--scheduler", "nonsense://x"], "cannot be reached"),
        (["--executor", "dask"], "needs --scheduler"),
        (["--scheduler", "tcp://127.0.0.1:1"], "is for --executor dask"),
        (["--tls-ca", "a.py"], "--tls-ca is for --executor dask"),
        ([*DASK, "--tls-key", "a.py"], "--tls-key needs --tls-ca, too"),
        ([*DASK, *TLS, "--scheduler", "tcp://127.0.0.1:1"], "must begin with tls://"),
        ([*DASK, *TLS[:4], "--tls-key", "none.pem"], "--tls-key none.pem: cannot be read: No such"),
        ([*DASK, *TLS], "--tls-ca a.py: holds no certificate"),
        (DASK, "needs --tls-ca, --tls-cert and --tls-key, or the same in Dask's"),
    ],
    ids=[
        "nobody there",
        "no such protocol",
        "no address",
        "no executor",
        "TLS without Dask",
        "half of TLS",
        "TLS without an address for it",
        "no such file",
        "no certificate",
        "an address for TLS without it",
    ],
)
def test_a_cluster_that_cannot_be_used_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], says: str
) -> None:
    (tmp_path / "a.py").write_text("import torch\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    given = [argument.format(port=port) for argument in arguments]
    done = lint("check", *given, ".", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gpu-lint: --")
    assert says in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_cluster_without_workers_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_lint import cluster as module

    monkeypatch.setattr(module, "_PATIENCE", 1)
    no_workers = pytest.raises(ConfigError, match="the cluster has no workers")
    with cluster(tmp_path, 0) as (address, _), no_workers:
        module.Cluster(address)


def test_another_version_on_the_workers_is_refused() -> None:
    from gpu_lint.cluster import _do

    with pytest.raises(RuntimeError, match=r"on a worker and 0\.0\.0 here"):
        _do("0.0.0", "token", Fatal(""), [])


def test_without_the_extra_it_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_lint.cluster import Cluster

    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r"pip install 'gpu-lint\[dask\]'"):
        Cluster("tcp://127.0.0.1:1")
