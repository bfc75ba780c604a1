"""Ctrl-C: one line and exit status 130; a second one ends at once."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.conftest import ROOT, write_files

LATE = 'import os\nimport torch\n\ntorch.cuda.init()\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="raises POSIX signals")


def interrupted(root: Path, where: str, *arguments: str, again: str = "") -> tuple[int, str, str]:
    """The command line with SIGINT raised whenever ``where`` (module:attribute) is called, and
    again by ``again``, code that runs then."""
    module, _, name = where.partition(":")
    code = textwrap.dedent(
        f"""
        import importlib, os, signal, sys
        from gpu_lint.cli import main
        owner = importlib.import_module({module!r})
        *way, last = {name!r}.split(".")
        for part in way:
            owner = getattr(owner, part)
        real = getattr(owner, last)

        def stop(*given, **more):
            setattr(owner, last, real)
            {again or "pass"}
            signal.raise_signal(signal.SIGINT)
            return real(*given, **more)

        setattr(owner, last, stop)
        sys.argv = ["gpu-lint", *{list(arguments)!r}]
        main()
        """
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("where", "arguments", "line"),
    [
        ("gpu_lint.survey:Survey.take", ["check", "--no-cache"], "interrupted"),
        ("gpu_lint.judging:View.judged", ["check", "-j", "1"], "interrupted"),
        ("gpu_lint.cache:Cache.save", ["check"], "interrupted"),
        ("gpu_lint.facts.graph:_node", ["graph"], "interrupted"),
        ("gpu_lint.fixing:Fixing.fix", ["fix"], "interrupted; no file was left half-written"),
        (
            "gpu_lint.journal:Journal.find",
            ["undo", "x"],
            "interrupted; no file was left half-written",
        ),
        ("gpu_lint.writing:_stage", ["fix"], "interrupted: every file is as it was"),
    ],
)
def test_ctrl_c_is_one_line_and_130(
    tmp_path: Path, where: str, arguments: list[str], line: str
) -> None:
    write_files(tmp_path, {"a.py": LATE})
    done = interrupted(tmp_path, where, *arguments)
    assert done == (130, "", f"gpu-lint: {line}\n")
    assert (tmp_path / "a.py").read_text() == LATE


def test_a_second_ctrl_c_ends_the_cleaning_up_at_once(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.py": LATE})
    again = (
        "import gpu_lint.writing as writing; "
        "writing._Batch.settle = lambda *_: signal.raise_signal(signal.SIGINT) or print('went on')"
    )
    status, out, err = interrupted(tmp_path, "gpu_lint.writing:_stage", "fix", again=again)
    assert (status, out) == (130, "")
    assert err == "gpu-lint: interrupted twice; stopped at once\n"


def test_a_second_ctrl_c_shows_the_cursor_that_the_bar_has_hidden(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.py": LATE})
    code = textwrap.dedent(
        """
        import signal, sys
        from gpu_lint.cli import main, terminal
        from gpu_lint.judging import View

        def stop(*given):
            try:
                signal.raise_signal(signal.SIGINT)
            finally:
                signal.raise_signal(signal.SIGINT)

        View.judged = stop
        terminal._PATIENCE = 0
        sys.argv = ["gpu-lint", "check", "-j", "1", "--no-cache"]
        main()
        """
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"}
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        environment.pop(name, None)
    ours, theirs = os.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, stderr=theirs, env=environment, check=False
    )
    shown = os.read(ours, 1 << 16)
    os.close(ours)
    os.close(theirs)
    assert done.returncode == 130
    assert b"\x1b[?25l" in shown
    assert shown.endswith(b"\x1b[?25hgpu-lint: interrupted twice; stopped at once\r\n")


def test_a_second_ctrl_c_ends_even_what_must_not_stop_half_way(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.py": LATE})
    again = "signal.raise_signal(signal.SIGINT)"
    status, out, err = interrupted(tmp_path, "gpu_lint.writing:_put", "fix", again=again)
    assert (status, out) == (130, "")
    assert err == "gpu-lint: interrupted twice; stopped at once\n"


def test_a_second_ctrl_c_at_the_end_of_the_process_says_nothing_more(tmp_path: Path) -> None:
    write_files(tmp_path, {"a.py": LATE})
    again = "import atexit; atexit.register(signal.raise_signal, signal.SIGINT)"
    done = interrupted(tmp_path, "gpu_lint.survey:Survey.take", "check", again=again)
    assert done == (130, "", "gpu-lint: interrupted\n")


def test_a_program_that_handles_ctrl_c_itself_goes_on_doing_so() -> None:
    code = (
        "import signal\nfrom gpu_lint.cli import main\n"
        "def mine(*_): pass\nsignal.signal(signal.SIGINT, mine)\n"
        "try:\n    main(['rule'])\nexcept SystemExit: pass\n"
        "assert signal.getsignal(signal.SIGINT) is mine\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "try:\n    main(['rule'])\nexcept SystemExit: pass\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")


def test_ctrl_c_while_a_worker_is_started_is_not_lost(tmp_path: Path) -> None:
    write_files(tmp_path, {f"m{n}.py": LATE for n in range(4)})
    where = "multiprocessing.popen_spawn_posix:Popen._launch"
    status, out, err = interrupted(tmp_path, where, "check", "--no-cache", "-j", "2")
    assert (status, out, err) == (130, "", "gpu-lint: interrupted\n")
