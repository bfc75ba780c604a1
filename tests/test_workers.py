"""Work done by several processes: the same result, and nothing lost when one of them dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gpu_lint.discovery import discover
from gpu_lint.engine import Engine, Run
from gpu_lint.findings import Edit
from gpu_lint.notes import Note, digest_of
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.shares import Neighbours
from gpu_lint.source import Span
from gpu_lint.work import Applying, Doing, Failed, ToEdit, chunks_of
from gpu_lint.workers import Workers

VOICE_ASSISTANT = Path(__file__).parent.parent / "fixtures" / "superwhisper" / "before"


@dataclass(frozen=True)
class Echo:
    """Says the name of each file, and its process; some end the process, some raise."""

    def start(self) -> Callable[[str], tuple[str, int]]:
        return self._say

    @staticmethod
    def _say(file: str) -> tuple[str, int]:
        if file == "die":
            os._exit(7)
        if file == "raise":
            raise RuntimeError("on purpose")
        return file.upper(), os.getpid()


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    with Workers(2) as started:
        yield started


def test_chunks_are_asked_for_while_others_are_worked_on(workers: Workers) -> None:
    asked: list[str] = []

    def chunks() -> Iterator[list[str]]:
        for name in "abcdef":
            asked.append(name)
            yield [name]

    answers = workers.each(Echo(), chunks())
    first = next(answers)
    assert asked == ["a", "b", "c"]
    assert sorted(file for file, _ in (first, *answers)) == list("abcdef")


def test_every_file_is_answered_for_once_by_processes_started_once(workers: Workers) -> None:
    chunks = [[f"{chunk}-{n}" for n in range(5)] for chunk in range(6)]
    first = list(workers.each(Echo(), chunks))
    second = list(workers.each(Echo(), chunks))
    for answers in (first, second):
        said = dict(answers)
        assert sorted(said) == sorted(file for chunk in chunks for file in chunk)
        assert all(isinstance(a, tuple) and a[0] == f.upper() for f, a in said.items())
    pids = {answer[1] for _, answer in first + second if isinstance(answer, tuple)}
    assert len(pids) <= 2
    assert os.getpid() not in pids


def test_a_worker_that_dies_is_an_error_for_the_file_it_died_over_alone(workers: Workers) -> None:
    chunks = [["a", "die", "b"], ["die"], ["c", "raise", "d"]]
    answers = list(workers.each(Echo(), chunks))
    good = sorted(answer[0] for _, answer in answers if isinstance(answer, tuple))
    bad = [answer.message for _, answer in answers if isinstance(answer, Failed)]
    assert good == ["A", "B", "C", "D"]
    assert sum("exit status 7" in message for message in bad) == 2
    assert sum("RuntimeError: on purpose" in message for message in bad) == 1


PLAIN_SCRIPT = """\
import sys
print("started")
from gpu_lint.work import Looking
from gpu_lint.workers import Workers
with Workers(2) as workers:
    print(len(list(workers.each(Looking(True), [[sys.argv[1]], [sys.argv[1]]]))))
"""


def test_a_program_that_is_not_guarded_runs_once(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(PLAIN_SCRIPT)
    done = subprocess.run(
        [sys.executable, tmp_path / "script.py", __file__], capture_output=True, text=True
    )
    assert (done.stdout.split(), done.stderr) == (["started", "2"], "")


LONG_SCRIPT = """\
import os, sys
from tests.test_workers import Sleep
from gpu_lint.workers import Workers
with Workers(1) as workers:
    list(workers.each(Sleep(sys.argv[1]), [["a"]]))
"""


@dataclass(frozen=True)
class Sleep:
    """Tells its process in a file, and then does nothing for long."""

    told: str

    def start(self) -> Callable[[str], None]:
        return self._sleep

    def _sleep(self, file: str) -> None:
        Path(self.told).write_text(f"{os.getpid()}\n")
        time.sleep(60)


def test_a_worker_ends_with_who_started_it(tmp_path: Path) -> None:
    told = tmp_path / "told"
    command = [sys.executable, "-c", LONG_SCRIPT, str(told)]
    parent = subprocess.Popen(command, cwd=Path(__file__).parent.parent)
    wait_until(lambda: told.exists() and told.read_text().endswith("\n"))
    worker = int(told.read_text())
    assert is_running(worker)
    parent.kill()
    parent.wait()
    wait_until(lambda: not is_running(worker))


def wait_until(ready: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not ready():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_leaving_ends_every_process() -> None:
    with Workers(2) as started:
        answers = dict(started.each(Echo(), [["a"], ["b"]]))
    for answer in answers.values():
        assert isinstance(answer, tuple)
        assert not is_running(answer[1])


def is_running(pid: int) -> bool:
    if sys.platform == "win32":
        found = subprocess.run(["tasklist", "/FI", f"PID eq {pid}"], capture_output=True, text=True)
        return str(pid) in found.stdout
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def outcome(run: Run) -> list[tuple[str, object]]:
    found: list[tuple[str, object]] = [(str(file.path), file.findings) for file in run.files]
    return found + [(str(trouble.path), trouble.message) for trouble in run.troubles]


@pytest.mark.parametrize("job", ["check", "fix"])
def test_several_processes_find_what_one_finds(workers: Workers, job: str) -> None:
    results = []
    for executor in (None, workers):
        finder = SettingsFinder(load_rulebook())
        found = discover([VOICE_ASSISTANT], finder)
        engine = Engine(finder, executor_for=lambda seconds, executor=executor: executor)
        if job == "check":
            results.append(outcome(engine.check(found.files, found.named)))
        else:
            run = engine.fix(found.files, found.named, unsafe=True, writing=None)
            results.append(
                [(str(one.before.path), one.after.source.data, one.dropped) for one in run.fixed]
            )
    assert len(results[0]) == 40
    assert results[0] == results[1]


def test_what_is_wrong_with_files_is_said_alike(workers: Workers, tmp_path: Path) -> None:
    (tmp_path / "gpu-lint.toml").write_text(
        '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n[header]\nrequired-in = "all"\n'
    )
    (tmp_path / "bad.py").write_text("import torch\ndef (:\n")
    (tmp_path / "null.py").write_bytes(b"import torch\n\0\n")
    (tmp_path / "latin.py").write_bytes(b"import torch\nx = '\xe9'\n")
    (tmp_path / "good.py").write_text("import torch\ntorch.zeros(1).cuda(1)\n")
    results = []
    for executor in (None, workers):
        finder = SettingsFinder(load_rulebook())
        engine = Engine(finder, executor_for=lambda seconds, executor=executor: executor)
        results.append(outcome(engine.check(sorted(tmp_path.glob("*.py")))))
    assert results[0] == results[1]
    assert {Path(path).name for path, _ in results[0]} == {
        "bad.py", "null.py", "latin.py", "good.py"
    }  # fmt: skip


def many_files(root: Path, count: int) -> None:
    (root / "gpu-lint.toml").write_text(
        '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n[header]\nrequired-in = "all"\n'
    )
    body = "".join(f"def f{n}(x):\n    return x.to('cuda:1') + {n}\n\n\n" for n in range(60))
    for number in range(count):
        (root / f"m{number}.py").write_text(f"import torch\n\n\n{body}f0(torch.zeros(1))\n")


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to a process group")
def test_ctrl_c_ends_at_once_and_leaves_no_child(tmp_path: Path) -> None:
    many_files(tmp_path, 400)
    command = [sys.executable, "-m", "gpu_lint", "check", "-j", "2", "--no-cache", "."]
    process = subprocess.Popen(
        command, cwd=tmp_path, start_new_session=True, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    group = os.getpgid(process.pid)
    waited = time.monotonic()
    while len(members(group)) < 3 and time.monotonic() - waited < 60:
        time.sleep(0.02)
    assert len(members(group)) >= 3, "the workers did not start"
    os.killpg(group, signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert (out, err) == ("", "gpu-lint: interrupted\n")
    waited = time.monotonic()
    while members(group) and time.monotonic() - waited < 20:
        time.sleep(0.02)
    assert members(group) == []


def members(group: int) -> list[int]:
    """The running processes of a group."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True)
    rows = [line.split() for line in listed.stdout.splitlines()]
    return [int(pid) for pid, pgid, state in rows if int(pgid) == group and state[0] != "Z"]


@pytest.mark.parametrize(
    ("arguments", "environment", "count"),
    [
        ([], {}, 0),
        (["-j", "1"], {}, 0),
        (["-j", "2"], {}, 1),
    ],
    ids=["a little work", "one job", "two jobs"],
)
def test_processes_are_started_where_they_pay(
    tmp_path: Path, arguments: list[str], environment: dict[str, str], count: int
) -> None:
    many_files(tmp_path, 3)
    code = textwrap.dedent(
        """
        import sys
        sys.argv = ["gpu-lint", "check", "--no-cache", *{arguments!r}]
        from gpu_lint.cli import main
        try:
            main()
        except SystemExit:
            print("workers", int("gpu_lint.workers" in sys.modules))
        """
    ).format(arguments=arguments)
    script = tmp_path / "run.txt"
    script.write_text(f"if __name__ == '__main__':\n{textwrap.indent(code, '    ')}")
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == f"workers {count}", done.stderr


def test_chunks_are_of_about_equal_weight_and_in_order() -> None:
    weights = [(str(n), n % 7 + 1) for n in range(100)]
    chunks = chunks_of(weights, at_least=20, most=10)
    assert [file for chunk in chunks for file in chunk] == [file for file, _ in weights]
    assert len(chunks) <= 10
    assert all(sum(int(f) % 7 + 1 for f in chunk) >= 20 for chunk in chunks[:-1])
    assert chunks_of([], 1, 1) == []


def test_one_start_serves_all_files_of_a_process() -> None:
    started = []

    class Once:
        def start(self) -> Callable[[str], int]:
            started.append(1)
            return len

    doing = Doing(Once())
    assert [doing(file) for file in ("a", "bb")] == [1, 2]
    assert started == [1]


# --- changes made by others -----------------------------------------------------------------


def fixed(root: Path, jobs: str, *options: str) -> tuple[int, str, str]:
    command = [
        sys.executable,
        "-m",
        "gpu_lint",
        "fix",
        "--diff",
        "--no-cache",
        "-j",
        jobs,
        *options,
    ]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("options", [(), ("--unsafe-fixes",)])
def test_several_processes_make_the_same_changes(options: tuple[str, ...]) -> None:
    alone, together = (fixed(VOICE_ASSISTANT, jobs, *options) for jobs in ("1", "2"))
    assert alone[1].count("\n+") > 100
    assert together == alone


FIRST = "import torch\ntorch.cuda.set_device(1)\n"
POLICY = (
    '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n[header]\nrequired-in = "all"\n'
)


def test_edits_are_made_in_what_was_read_and_nothing_else(
    workers: Workers, project: Callable[..., Path]
) -> None:
    names = ["good.py", "other.py", "broken.py", "spoilt.py"]
    root = project({"gpu-lint.toml": POLICY, **dict.fromkeys(names, FIRST), "broken.py": "x = (\n"})
    files = [str(root / name) for name in names]
    finder = SettingsFinder(load_rulebook(), root=root)
    edits = (Edit(Span(0, 0), "import os\n"),)
    tasks = {file: ToEdit(file, digest_of(Path(file).read_bytes()), (), edits) for file in files}
    tasks[files[1]] = tasks[files[1]]._replace(digest="of something else")
    tasks[files[3]] = tasks[files[3]]._replace(edits=(Edit(Span(0, 0), "x = (\n"),))
    answers = dict(workers.each(Applying(finder.spec, tasks), [files]))
    note, other, broken, spoilt = (answers[file] for file in files)
    assert isinstance(note, Note)
    assert note.digest == digest_of(b"import os\n" + FIRST.encode())
    assert isinstance(other, Failed)
    assert "has changed" in other.message
    assert isinstance(broken, str)
    assert "cannot be read as a whole" in broken
    assert isinstance(spoilt, str)
    assert "would not parse" in spoilt


def test_earlier_edits_are_made_first(workers: Workers, project: Callable[..., Path]) -> None:
    file = str(project({"a.py": FIRST}) / "a.py")
    earlier = ((Edit(Span(0, 0), "import os\n"),), (Edit(Span(0, 0), "import sys\n"),))
    now = "import sys\nimport os\n" + FIRST
    edits = (Edit(Span(len("import sys\n"), len("import sys\n")), "import abc\n"),)
    task = ToEdit(file, digest_of(now.encode()), earlier, edits)
    work = Applying(SettingsFinder(load_rulebook()).spec, {file: task})
    ((_, answer),) = workers.each(work, [[file]])
    assert isinstance(answer, Note)
    assert answer.digest == digest_of(
        now.replace("\nimport os", "\nimport abc\nimport os").encode()
    )


def test_each_process_is_given_neighbours() -> None:
    """A process goes on from a place of its own, and helps at the end of another's."""
    files = [str(number) for number in range(16)]
    dealer = Neighbours([(file, 1) for file in files], 2, [["x"], ["y"]])
    first, second = dealer.next_for(0), dealer.next_for(1)
    assert first == files[: len(first)]
    assert second == files[8 : 8 + len(second)]
    mine = [*first, *(file for _ in range(8) for file in dealer.next_for(0))]
    assert mine[:8] == files[:8]
    assert mine[8] == files[-1]
    rest = [file for _ in range(20) for file in dealer.next_for(3)]
    assert sorted([*mine, *second, *rest]) == sorted([*files, "x", "y"])
    assert not dealer.next_for(0)


def test_few_programs_stay_with_one_process() -> None:
    dealer = Neighbours([("a", 5), ("b", 5)], 1, [["x"]])
    assert dealer.next_for(1) == ["x"]
    assert not dealer.next_for(1)
    assert [*dealer.next_for(0), *dealer.next_for(0)] == ["a", "b"]
