"""Running commands, ending all that they start, and hiding secrets in their arguments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gpu_lint.runtime import launch, processlist, processtree
from gpu_lint.runtime.capture import Capture
from gpu_lint.runtime.launch import TRACE_VARIABLE, LaunchError, run_here, run_tree
from gpu_lint.runtime.processlist import process_list
from gpu_lint.runtime.redaction import redact

posix = pytest.mark.skipif(os.name != "posix", reason="sessions and signals are of POSIX")
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
FOREVER = "while True: signal.pause()"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., launch.Ended]:
    """Run a Python program as a tree; the grace for what it leaves is short."""
    monkeypatch.setattr("gpu_lint.runtime.processtree.GRACE_SECONDS", 0.3)

    def run(source: str, timeout: float = 60, **env: str) -> launch.Ended:
        program = tmp_path / "program.py"
        program.write_text("import os, signal, subprocess, sys, time\n" + textwrap.dedent(source))
        environment = {**os.environ, TRACE_VARIABLE: str(tmp_path / "trace"), **env}
        return run_tree(
            [sys.executable, str(program)],
            environment,
            cwd=tmp_path,
            timeout=timeout,
            output=tmp_path / "output",
        )

    return run


def printed(tmp_path: Path) -> str:
    return (tmp_path / "output").read_text()


def has_ended(pid: int) -> bool:
    listing = process_list()
    assert listing is not None
    one = listing.find(pid)
    return one is None or one.has_ended


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ("print('hello')", 0),
        ("sys.exit(3)", 3),
        ("sys.exit('no')", 1),
        pytest.param("os.kill(os.getpid(), signal.SIGKILL)", 137, marks=posix),
        pytest.param("os.abort()", 134, marks=posix),
    ],
)
def test_a_command_ends_with_its_own_status(
    run: Callable[..., launch.Ended], source: str, status: int
) -> None:
    ended = run(source)
    assert (ended.status, ended.timed_out, ended.limits) == (status, False, ())


def test_standard_input_is_empty_and_both_outputs_are_kept(
    run: Callable[..., launch.Ended], tmp_path: Path
) -> None:
    run("print(repr(sys.stdin.read()), flush=True); print('err', file=sys.stderr)")
    assert printed(tmp_path).split() == ["''", "err"]


def test_a_session_of_its_own_has_no_terminal(
    run: Callable[..., launch.Ended], tmp_path: Path
) -> None:
    if os.name == "posix":
        run("print(os.getsid(0) == os.getpid())")
        assert printed(tmp_path) == "True\n"


LEFT_BEHIND = {
    "a child": "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'])",
    "a child that left the session": (
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'],"
        " start_new_session=True)"
    ),
    "a daemon without an environment": (
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()'],"
        " start_new_session=True, env={})"
    ),
    "a child that ignores SIGTERM": (
        "child = subprocess.Popen([sys.executable, '-c', 'import signal;"
        " signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); signal.pause()'],"
        " stdout=subprocess.PIPE); child.stdout.readline()"
    ),
    "a stopped child": (
        "child = subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']);"
        " os.kill(child.pid, signal.SIGSTOP)"
    ),
}


@linux
@pytest.mark.parametrize("what", LEFT_BEHIND)
@pytest.mark.parametrize("by_itself", [True, False], ids=["ended", "timeout"])
def test_nothing_that_a_command_started_is_left(
    run: Callable[..., launch.Ended], tmp_path: Path, what: str, by_itself: bool
) -> None:
    if by_itself:
        ended = run(f"{LEFT_BEHIND[what]}\nprint(child.pid)")
    else:
        ended = run(
            f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\n{LEFT_BEHIND[what]}\n"
            f"print(child.pid, flush=True)\n{FOREVER}",
            timeout=2.5,
        )
    assert has_ended(int(printed(tmp_path)))
    assert ended.timed_out is not by_itself
    assert ended.limits == ()
    assert ended.status == (0 if by_itself else 137)


@posix
@pytest.mark.parametrize("what", [name for name in LEFT_BEHIND if "without" not in name])
def test_psutil_lists_what_is_left_elsewhere(
    run: Callable[..., launch.Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    listing = processlist._Psutil(pytest.importorskip("psutil"))
    monkeypatch.setattr(processtree, "process_list", lambda: listing)
    ended = run(f"{LEFT_BEHIND[what]}\nprint(child.pid)")
    assert has_ended(int(printed(tmp_path)))
    assert (ended.status, ended.limits) == (0, ())


@posix
def test_where_processes_cannot_be_listed_the_group_ends_and_a_limit_says_so(
    run: Callable[..., launch.Ended], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processtree, "process_list", lambda: None)
    ended = run(f"{LEFT_BEHIND['a child that ignores SIGTERM']}\nprint(child.pid)")
    assert has_ended(int(printed(tmp_path)))
    assert ended.limits == (
        "processes that left the command's process group are not looked for without psutil",
    )


@linux
def test_orphans_that_end_take_up_no_place(
    run: Callable[..., launch.Ended], tmp_path: Path
) -> None:
    ended = run(
        """
        for _ in range(3):
            if os.fork() == 0:
                if os.fork() == 0:
                    os.write(1, b'%d\\n' % os.getpid())
                os._exit(0)
            os.wait()
        """
    )
    assert ended.status == 0
    listing = process_list()
    assert listing is not None
    pids = [int(line) for line in printed(tmp_path).split()]
    assert [pid for pid in pids if (one := listing.find(pid)) and one.parent == os.getpid()] == []


BOMBS = {
    "that grows": """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for _ in range(6):
            os.fork()
        """
    + FOREVER,
    "whose processes exchange each other": """
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            while True:
                if os.fork():
                    os._exit(0)
        """
    + FOREVER,
    "whose processes leave the session and exchange each other": """
        if os.fork() == 0:
            while True:
                os.setsid()
                if os.fork():
                    os._exit(0)
        """
    + FOREVER,
}


@linux
@pytest.mark.parametrize("bomb", BOMBS)
def test_a_fork_bomb_is_bounded_by_the_timeout(
    run: Callable[..., launch.Ended], tmp_path: Path, bomb: str
) -> None:
    source = textwrap.dedent(BOMBS[bomb].removesuffix(FOREVER)) + FOREVER
    ended = run(source, timeout=0.7)
    assert ended.timed_out
    assert ended.limits == ()
    listing, setting = process_list(), f"{TRACE_VARIABLE}={tmp_path / 'trace'}"
    assert listing is not None
    assert [one.pid for one in listing.running() if listing.carries(one.pid, setting)] == []


@posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_ends_us_ends_the_tree(tmp_path: Path, number: int) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import os, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "if os.fork() == 0: os.setsid()\n"
        f"os.write(1, b'%d\\n' % os.getpid())\n{FOREVER}\n"
    )
    us = f"""
import os, sys
from pathlib import Path
from gpu_lint.runtime.launch import run_tree
run_tree([sys.executable, {str(program)!r}], os.environ, cwd=Path({str(tmp_path)!r}),
         timeout=60, output=Path({str(tmp_path / "output")!r}))
"""
    process = subprocess.Popen([sys.executable, "-c", us], stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    output = tmp_path / "output"
    while not (output.exists() and len(printed(tmp_path).split()) == 2):
        assert time.monotonic() < deadline
        assert process.poll() is None
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode in (-number, 128 + number)
    assert all(has_ended(int(pid)) for pid in printed(tmp_path).split())


def test_output_without_end_is_cut_in_the_middle(tmp_path: Path) -> None:
    read, write = os.pipe()
    capture = Capture(os.fdopen(read, "rb"), tmp_path / "output", kept=100)
    with os.fdopen(write, "wb") as pipe:
        pipe.write(b"first" + b"." * 1000 + b"last")
    assert capture.end() == ()
    text = printed(tmp_path)
    assert text.startswith("first")
    assert text.endswith("last")
    assert "\ngpu-lint: 909 bytes of output are left out here\n" in text
    assert len(text) < 200


@linux
def test_a_full_disk_stops_no_command(run: Callable[..., launch.Ended], tmp_path: Path) -> None:
    ended = run_tree(
        [sys.executable, "-c", "print('x' * 300_000); raise SystemExit(4)"],
        os.environ,
        cwd=tmp_path,
        timeout=60,
        output=Path("/dev/full"),
    )
    assert ended.status == 4
    assert ended.limits == ("the output could not be kept: No space left on device",)


def test_a_command_that_cannot_be_started_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "noexec.py").write_text("print(1)\n")
    (tmp_path / "odd").write_text("\x7fnothing")
    (tmp_path / "odd").chmod(0o755)
    (tmp_path / "lost").write_text("#!/no/such/interpreter\n")
    (tmp_path / "lost").chmod(0o755)
    (tmp_path / "directory").mkdir()
    cases = {
        "no-such-command-here": "there is no command 'no-such-command-here'",
        "./missing": "there is no file './missing'",
        "nul\0byte": "embedded null byte",
        "": "no command was given",
    }
    if os.name == "posix":
        cases |= {
            "./noexec.py": "may not be run: permission denied; `python ./noexec.py` runs it",
            "./odd": "'./odd' is no program that this system runs",
            "./lost": "the interpreter that its first line names is missing",
            "./directory": "'./directory' is a directory, not a command",
        }
    for command, message in cases.items():
        with pytest.raises(LaunchError) as refused:
            run_tree([command], os.environ, cwd=tmp_path, timeout=1, output=tmp_path / "output")
        assert message in str(refused.value)
        assert "\n" not in str(refused.value)
    with pytest.raises(LaunchError, match="which is no directory"):
        run_tree(
            [sys.executable],
            os.environ,
            cwd=tmp_path / "gone",
            timeout=1,
            output=tmp_path / "output",
        )
    with pytest.raises(LaunchError, match="cannot be written"):
        run_tree(
            [sys.executable], os.environ, cwd=tmp_path, timeout=1, output=tmp_path / "no" / "output"
        )
    with pytest.raises(LaunchError, match="there is no command"):
        run_here(["no-such-command-here"], os.environ)


HERE = """
import os, sys
from gpu_lint.runtime.launch import run_here
ended = run_here([sys.executable, "-c", sys.argv[1]], os.environ)
print("ended", ended.status)
"""


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("print(input())", "typed\nended 0\n"),
        ("import sys; sys.exit(7)", "ended 7\n"),
    ],
)
def test_a_command_in_our_terminal_has_our_streams(program: str, expected: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HERE, program], input="typed\n", capture_output=True, text=True
    )
    assert done.stdout.replace("\r\n", "\n") == expected


@posix
@pytest.mark.parametrize(
    ("number", "reaches_group", "handled", "expected"),
    [
        (signal.SIGINT, True, True, "ended 9"),
        (signal.SIGINT, True, False, "ended 130"),
        (signal.SIGTERM, False, True, "ended 9"),
        (signal.SIGTERM, False, False, "ended 143"),
    ],
)
def test_signals_are_the_commands_own(
    number: int, reaches_group: bool, handled: bool, expected: str
) -> None:
    handler = "lambda *_: sys.exit(9)" if handled else "signal.SIG_DFL"
    program = (
        f"import signal, sys; signal.signal({int(number)}, {handler}); print('up', flush=True)\n"
        "while True: signal.pause()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", HERE, program],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    os.killpg(process.pid, number) if reaches_group else process.send_signal(number)
    out, _ = process.communicate(timeout=30)
    assert out == f"{expected}\n"


@pytest.mark.parametrize(
    ("argv", "shown"),
    [
        ("train.py --token abc --epochs 3", "train.py --token *** --epochs 3"),
        ("train.py --api-key=abc", "train.py --api-key=***"),
        ("train.py --openai_api_key abc", "train.py --openai_api_key ***"),
        ("train.py -password x", "train.py -password ***"),
        ("train.py --apiKey=x --accessToken y", "train.py --apiKey=*** --accessToken ***"),
        ("env WANDB_API_KEY=abc python x.py", "env WANDB_API_KEY=*** python x.py"),
        ("env MY_SECRET_THING=abc", "env MY_SECRET_THING=***"),
        ("env DB_PASSWORD=a=b", "env DB_PASSWORD=***"),
        ("env HF_TOKEN=x HUGGING_FACE_HUB_TOKEN=y", "env HF_TOKEN=*** HUGGING_FACE_HUB_TOKEN=***"),
        ("model.api_key=abc lr=1", "model.api_key=*** lr=1"),
        ("x postgres://bob:pw@db:5432/a", "x postgres://bob:***@db:5432/a"),
        ("x bob:pw@host", "x bob:***@host"),
        ("curl -u bob:pw http://x", "curl -u bob:*** http://x"),
        ("x hf_abcdefghijklmnop", "x ***"),
        ("x sk-proj-abcdefghijk", "x ***"),
        ("x --hub=hf_abcdefghijklmnop", "x --hub=***"),
        ("x ghp_abcdefghijklmnopqrst", "x ***"),
        ("x http://h/?token=abc&a=1", "x http://h/?token=***&a=1"),
        # what a training command is full of
        *[
            (same, same)
            for same in (
                "ffmpeg --key-frames 3",
                "x --monkey see",
                "x --keyboard us --keypoints 17",
                "x --tokenizer gpt2 --tokenizer-name=gpt2",
                "x --max-tokens 100 --max_new_tokens=256 --num-tokens 5",
                "x --eos-token </s> --pad_token=<pad> --pad-token-id 0",
                "x --sort-key name --public-key k.pub",
                "env TOKENIZERS_PARALLELISM=false MAX_TOKENS=10",
                "env CUDA_VISIBLE_DEVICES=1 PYTORCH_CUDA_ALLOC_CONF=max_split_size_mb:1024",
                "x --device cuda:1 --dtype bf16",
                "x http://localhost:8000/v1 host:8080 a@b.c git@github.com:o/r.git",
                "docker run -u 1000:1000 image@sha256:abcdef",
                "x --pass-through y",
                "x desk-lamp-ornament hf_hub",
                "x --compass 3 --bypass 4",
                "C:\\models\\a.bin D:/x",
            )
        ],
    ],
)
def test_secrets_are_hidden_and_nothing_else(argv: str, shown: str) -> None:
    assert " ".join(redact(argv.split(" "))) == shown


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("Authorization: Bearer abc.def", "Authorization: ***"),
        ("X: bearer abcdef", "X: bearer ***"),
        ('{"api_key": "abc", "n": 1}', '{"api_key": "***", "n": 1}'),
        ("os.environ['HF_TOKEN'] = 'abc'; main()", "os.environ['HF_TOKEN'] = '***'; main()"),
        ('curl -H "Authorization: Token abc"', 'curl -H "Authorization: ***"'),
        ("url=http://h/?token=abc&a=1", "url=http://h/?token=***&a=1"),
        ("a: b: token=x", "a: b: token=***"),
        ("python x.py -v --password 'abc'", "python x.py -v --password '***'"),
        ("export API_KEY=abc; python x.py", "export API_KEY=***; python x.py"),
        ("python x.py --token abc -n 1", "python x.py --token *** -n 1"),
        ("--password=one two three", "--password=***"),
        ("python x.py --password 'two words' -n 1", "python x.py --password '***' -n 1"),
        ('{"token": "a b c", "n": 1}', '{"token": "***", "n": 1}'),
        ("redis://:hunter2@h:6379/0", "redis://:***@h:6379/0"),
        ("postgresql://u:p/ss@h/db", "postgresql://u:***@h/db"),
        ("bob:pa:ss@host", "bob:***@host"),
        ("http://h/f?sig=abc&a=1", "http://h/f?sig=***&a=1"),
        ("http://h/f?X-Amz-Signature=abc", "http://h/f?X-Amz-Signature=***"),
        ("https://hooks.slack.com/services/T0/B0/abc", "https://hooks.slack.com/***"),
        ("see http://a/b and c@d", "see http://a/b and c@d"),
        ("the token is here", "the token is here"),
        ("for key in keys: print(key)", "for key in keys: print(key)"),
        ("", ""),
    ],
)
def test_secrets_within_one_argument_are_hidden(argument: str, shown: str) -> None:
    assert redact([argument]) == (shown,)
