"""Checking code of people one does not know: what SECURITY.md promises, one test each."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from gpu_lint.cache import Cache
from gpu_lint.cli import main
from gpu_lint.reports import FORMATS
from gpu_lint.rulebook import load_rulebook
from tests.conftest import ROOT

Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
LATE = "import os\nimport torch\ntorch.cuda.init()\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"
POLICY = '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\nname = "x"\n[header]\nrequired-in = "all"\n'
SCRIPT = shutil.which("gpu-lint", path=os.path.dirname(sys.executable))
posix = pytest.mark.skipif(os.name == "nt", reason="needs POSIX file names or links")


def run(
    *arguments: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The command as people start it: the script, not ``python -m``."""
    assert SCRIPT is not None, "install gpu-lint first: pip install -e ."
    return subprocess.run(
        [SCRIPT, *arguments], cwd=cwd, capture_output=True, env={**os.environ, **(env or {})}
    )


# --- nothing from the tree runs ----------------------------------------------------------

LURES = (
    "conftest", "sitecustomize", "usercustomize", "setup", "gpu_lint_plugin", "gpu_lint", "torch",
    "click", "libcst", "rich", "pathspec", "filelock", "platformdirs", "tomli", "tomllib",
    "multiprocessing", "socket", "struct", "random", "json", "pickle", "ast", "re", "types",
)  # fmt: skip


def lured(project: Project) -> tuple[Path, Path]:
    marker = "ran"
    bomb = f"open({marker!r}, 'a').write(__name__)\nopen('../{marker}', 'a').write(__name__)\n"
    files: dict[str, str | bytes] = {f"tree/{name}.py": bomb for name in LURES}
    files["tree/gpu_lint_rules/__init__.py"] = bomb
    files["tree/gpu-lint.toml"] = POLICY + '[validation]\nrequired-in = "never"\n'
    files["tree/pyproject.toml"] = '[project.entry-points.gpu_lint]\nx = "gpu_lint_plugin:go"\n'
    root = project(files)
    return root / "tree", root


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "-j", "1"),
        ("check", "-j", "2"),
        ("fix", "-j", "2"),
        ("graph",),
        ("config",),
        ("rule", "GPU107"),
        ("undo", "--list"),
        ("clean",),
    ],
    ids=" ".join,
)
def test_nothing_from_the_tree_is_imported_or_executed(
    project: Project, arguments: tuple[str, ...]
) -> None:
    tree, root = lured(project)
    done = run(*arguments, cwd=tree)
    assert done.returncode in (0, 1)
    assert b"Traceback" not in done.stderr
    assert not (tree / "ran").exists()
    assert not (root / "ran").exists()


def test_started_by_python_m_only_a_package_of_our_name_could_take_our_place(
    project: Project,
) -> None:
    tree, _ = lured(project)
    (tree / "gpu_lint.py").unlink()
    # What Python itself imports before it comes to us, we cannot keep it from.
    for name in ("types", "re", "ast", "json", "struct", "random"):
        (tree / f"{name}.py").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "gpu_lint", "check", "-j", "2"], cwd=tree, capture_output=True
    )
    assert b"Traceback" not in done.stderr
    assert not (tree / "ran").exists()


def hook_entries() -> list[list[str]]:
    """The commands of the pre-commit hooks."""
    text = (ROOT / ".pre-commit-hooks.yaml").read_text("utf-8")
    return [line.split() for line in re.findall(r"entry: (.*)", text)]


def documented_ci_lines() -> list[list[str]]:
    """The commands that README.md and SECURITY.md give for CI, without what follows the name."""
    lines: list[str] = []
    for name in ("README.md", "SECURITY.md"):
        text = (ROOT / name).read_text("utf-8")
        for form, block in re.findall(r"```(yaml|console)\n(.*?)```", text, re.DOTALL):
            if form == "yaml" or "--untrusted" in block:
                lines += re.findall(r"(?:\S+ -I -m )?gpu.lint check", block)
    return [line.split() for line in lines if line]


def test_hooks_and_documented_ci_lines_use_an_isolated_interpreter() -> None:
    assert len(hook_entries()) == 2
    assert len(documented_ci_lines()) == 5
    for command in (*hook_entries(), *documented_ci_lines()):
        isolated = command[1:4] == ["-I", "-m", "gpu_lint"]
        assert isolated, command
        assert Path(command[0]).name.startswith("python"), command


@pytest.mark.parametrize("search", [os.pathsep, "."], ids=["empty entry", "the tree"])
@pytest.mark.parametrize("number", [0, 1], ids=["check", "fix"])
def test_a_hook_runs_nothing_from_the_tree_although_pythonpath_leads_there(
    project: Project, search: str, number: int
) -> None:
    entry = hook_entries()[number]
    tree, root = lured(project)
    python = shutil.which(entry[0], path=os.path.dirname(sys.executable))
    assert python is not None
    done = subprocess.run(
        [python, *entry[1:], "-j", "2", "."],
        cwd=tree,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": search},
    )
    assert done.returncode in (0, 1), done.stderr
    assert b"Traceback" not in done.stderr
    assert not (tree / "ran").exists()
    assert not (root / "ran").exists()


WORKER = """
import os, sys
from gpu_lint.workers import Workers
from tests.test_security import Modules
with Workers(1) as workers:
    for _, found in workers.each(Modules(), [["x"]]):
        print(*found, sep="\\n")
"""


class Modules:
    """Says how isolated a worker is, and where it looks for modules."""

    def start(self) -> Callable[[str], tuple[str, ...]]:
        return lambda file: (str(sys.flags.isolated), *sys.path)


def test_a_worker_is_as_isolated_as_the_process_that_started_it(project: Project) -> None:
    tree, root = lured(project)
    program = f"import sys\nsys.path.append({str(ROOT)!r})\n{WORKER}"
    done = subprocess.run(
        [sys.executable, "-I", "-c", program],
        cwd=tree,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep},
    )
    isolated, *search = done.stdout.splitlines()
    assert isolated == "1", done.stderr
    assert str(ROOT) in search
    assert not [entry for entry in search if Path(entry).resolve().is_relative_to(root.resolve())]
    assert not (tree / "ran").exists()
    assert not (root / "ran").exists()


# --- nothing outside of the project is read or written -----------------------------------


@pytest.mark.parametrize("way", ["..", "absolute", "link"])
def test_a_template_outside_of_the_project_is_refused(project: Project, way: str) -> None:
    secret = "$environ['CUDA_VISIBLE_DEVICES'] CUDA_DEVICE_ORDER hunter2\n"
    root = project({"secret": secret, "tree/a.py": ""})
    template = {"..": "../secret", "absolute": (root / "secret").as_posix(), "link": "inside"}[way]
    if way == "link":
        if os.name == "nt":
            pytest.skip("links need a privilege on Windows")
        (root / "tree" / "inside").symlink_to(root / "secret")
    (root / "tree" / "gpu-lint.toml").write_text(f'{POLICY}template = "{template}"\n', "utf-8")
    done = run("fix", "--diff", cwd=root / "tree")
    assert done.returncode == 2
    assert b"lies outside the project" in done.stderr
    assert b"hunter2" not in done.stdout + done.stderr


@posix
def test_a_link_in_the_tree_shows_no_line_of_a_file_outside(project: Project) -> None:
    root = project({"secret": "hunter2 is the password\n", "tree/a.py": "x = 1\n"})
    (root / "tree" / "b.py").symlink_to(root / "secret")
    done = run("check", cwd=root / "tree")
    assert done.returncode == 2
    assert b"leaves the project" in done.stderr
    assert b"password" not in done.stdout + done.stderr
    assert b"All clear" not in done.stderr


@posix
def test_a_fix_writes_through_no_link_out_of_the_project(project: Project) -> None:
    root = project({"victim.py": "x = 1\n", "tree/gpu-lint.toml": POLICY})
    (root / "tree" / "a.py").symlink_to(root / "victim.py")
    for arguments in (["fix"], ["fix", "a.py"]):
        done = run(*arguments, cwd=root / "tree")
        assert done.returncode == 2
        assert b"leaves the project" in done.stderr
    assert (root / "victim.py").read_text() == "x = 1\n"


def test_globs_of_a_policy_reach_nothing_outside(project: Project) -> None:
    root = project({"outside.py": LATE, "tree/a.py": "x = 1\n"})
    (root / "tree" / "gpu-lint.toml").write_text('include = ["../*.py", "/**"]\n', "utf-8")
    done = run("check", "--output-format", "concise", cwd=root / "tree")
    assert b"outside" not in done.stdout


def test_a_name_in_a_policy_writes_no_code(project: Project) -> None:
    root = project({"a.py": "import torch\n\nif __name__ == '__main__':\n    print(torch)\n"})
    payload = '");__import__(\\"os\\").system(\\"touch pwned\\")#'
    policy = POLICY.replace('name = "x"', f'name = "{payload}"').replace('"all"', '"entry-points"')
    (root / "gpu-lint.toml").write_text(policy, "utf-8")
    run("fix", "--unsafe-fixes", cwd=root)
    import ast

    tree = ast.parse((root / "a.py").read_text("utf-8"))
    calls = {ast.unparse(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    assert not {call for call in calls if "system" in call or "__import__" in call}
    bad = POLICY + '[validation]\nfunction = "f(); import os"\n'
    (root / "gpu-lint.toml").write_text(bad, "utf-8")
    assert run("check", cwd=root).returncode == 2


# --- what reaches the terminal, and other programs ---------------------------------------

ESCAPE = "\x1b]0;pwned\x07\x9b31m"


def hostile(project: Project) -> Path:
    """Escapes in a file's name, its source and its policy; a name that is a command of CI."""
    policy = POLICY.replace('name = "x"', 'name = "\\u001b[31m\\u009b31m"')
    names = [f"a{ESCAPE}.py", "b\n::error::pwned\r%0A.py", "c]]>&<\"'\u2028\ufffe.py"]
    source = f"import torch  # {ESCAPE}\ntorch.cuda.set_device(3)  # ::warning::x\nx = '{ESCAPE}'\n"
    broken = {f"d{ESCAPE}/e.py": f"x = = 1  # {ESCAPE}\n", "f.py": b"\xff\n"}
    return project({"gpu-lint.toml": policy, **dict.fromkeys(names, source), **broken})


def raw(output: bytes) -> set[str]:
    """The control characters in an output, but for the ends of lines."""
    text = output.decode("utf-8", "surrogateescape")
    return set(re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text.replace("\r\n", "\n")))


@posix
@pytest.mark.parametrize(
    "arguments",
    [
        *(("check", "--output-format", form) for form in FORMATS),
        ("check", "--statistics"),
        ("fix", "-q"),
        ("graph", "--all"),
        ("graph", "--format", "json"),
        ("graph", "--format", "dot"),
        ("config",),
    ],
    ids=" ".join,
)
def test_no_control_character_reaches_the_terminal(
    project: Project, arguments: tuple[str, ...]
) -> None:
    root = hostile(project)
    done = run(*arguments, cwd=root)
    assert raw(done.stdout) | raw(done.stderr) == set()
    assert b"Traceback" not in done.stderr
    run("fix", cwd=root)
    listed = run("undo", "--list", cwd=root)
    files = run("undo", "--list", listed.stdout.split()[0].decode(), cwd=root)
    assert raw(listed.stdout + files.stdout + files.stderr) == set()
    assert files.stdout


BIDI = "\u202e\u2066"


def pack(text: str) -> str:
    """A rule pack whose function and evidence hold some text."""
    quoted = json.dumps(text)
    return (
        '[framework]\nname = "own"\nmodules = ["own"]\n'
        f'[[api]]\nnames = ["own.pick"]\nevidence = {quoted}\n'
        'devices = [{ kind = "index", position = 0 }]\n'
        f"bad = '''\nimport own\nown.pick(1)\n'''\n"
    )


def deceitful(project: Project) -> tuple[Path, list[str]]:
    """Control characters wherever a tree has a say in what is printed: names of directories and of
    imported modules, values that a program computes, a rule pack, a policy, fixes that are told
    of; and the names of the commands' own subjects."""
    evil = f"{ESCAPE}{BIDI}\x85\u2028"
    policy = f"extend-rules = [{json.dumps(f'pack{evil}.toml')}]\n" + POLICY.replace(
        'name = "x"', f"name = {json.dumps(evil)}"
    )
    files: dict[str, str | bytes] = {
        "gpu-lint.toml": policy,
        f"pack{evil}.toml": pack(evil),
        f"pkg{evil}/__init__.py": "",
        f"pkg{evil}/late.py": LATE,
        f"late{evil}.py": f"import torch\ntorch.cuda.init()\n# {evil}\n" + LATE,
        "run.py": (
            "import importlib, os, own\n"
            f"importlib.import_module({'late' + evil!r})\n"
            f"os.environ['CUDA_VISIBLE_DEVICES'] = {evil!r}\n"
            f"os.environ['CUDA_VISIBLE_DEVICE{evil}'] = '1'\n"
            f"own.pick(7)\nown.pick({evil!r})\n"
            f"# gpu-lint: ignore[{evil}]\n"
            f"x = 1  # noqa: GPU201 {evil}\n"
        ),
        f"bad{evil}.py": f"x = = {evil}\n",
        "::stop-commands::x.py": LATE,
        "##vso[task.complete]x.py": LATE,
        "  ::error::y.py": "import torch\ntorch.cuda.init()  ##[error]pwned\n",
    }
    return project(files), [
        f"missing{evil}.py", f"late{evil}.py", f"pkg{evil}", f"--{evil}", f"{evil}.toml",
    ]  # fmt: skip


def commands(names: list[str]) -> list[tuple[str, ...]]:
    """Every command that prints a name, with each of its formats."""
    missing, file, directory, option, config = names
    checks = [("check", "--output-format", form) for form in FORMATS]
    return [
        *checks,
        ("check", "--statistics"),
        ("check", missing, file, directory),
        ("check", option),
        ("check", "--config", config),
        ("check", "--config", f"x={config}"),
        ("check", "--select", config),
        ("check", "--fail-on", config),
        ("check", "--output-file", f"{missing}/{config}"),
        ("check", "--stdin-filename", file, "-"),
        ("graph", "--all"),
        ("graph", "--all", "--format", "json"),
        ("graph", "--all", "--format", "dot"),
        ("graph", missing),
        ("config",),
        ("config", file),
        ("rule", config),
        ("init", "--visible-devices", config),
        ("init", "--visible-devices", "1", "--name", config),
        ("undo", config),
        ("clean", "--cache-dir", directory),
        ("fix", "--diff", "-q"),
        ("fix", "--unsafe-fixes"),
        ("fix", file, directory),
        ("undo", "--list"),
        ("undo",),
        ("init", "--visible-devices", "1", "--name", config, "--force"),
        ("config",),
    ]


@posix
@pytest.mark.parametrize("color", ["", "1"], ids=["plain", "in colour"])
def test_no_command_prints_what_a_hostile_name_holds(
    project: Project, monkeypatch: pytest.MonkeyPatch, color: str
) -> None:
    """Each command is run on a tree that has control characters, marks that turn text round, C1
    controls and other ends of lines in everything that it says."""
    root, names = deceitful(project)
    monkeypatch.chdir(root)
    monkeypatch.setenv("FORCE_COLOR", color)
    monkeypatch.setenv("COLUMNS", "400")
    said = ""

    def call(*arguments: str) -> str:
        done = CliRunner().invoke(main, list(arguments), input=LATE)
        assert isinstance(done.exception, (SystemExit, type(None))), arguments
        assert "internal error" not in done.output
        if "--diff" not in arguments:
            assert not deceit(done.output), arguments
            for line in re.sub(r"\x1b\[[\d;]*m", "", done.output).splitlines():
                ours = re.match(r"::(error|warning) title=gpu-lint \(GPU\d+\),file=", line)
                assert ours or not line.lstrip().startswith("::"), line
                for_people = not {"json", "sarif", "gitlab"}.intersection(arguments)
                assert not for_people or not re.search(r"##\w*\[", line), line
        return done.output

    for arguments in commands(names):
        said += call(*arguments)
    run_id = next(line.split()[0] for line in call("undo", "--list").splitlines() if " fix" in line)
    assert "pwned" in call("undo", "--list", run_id)
    assert said.count("\\x1b]0;pwned") > 20
    assert "own.pick" in said


def deceit(text: str) -> set[str]:
    """The characters in an output that command a terminal or deceive its reader; sequences that
    only change the colour are ours."""
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    return set(
        re.findall(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u200e\u200f\u2066-\u2069]", text)
    )


def test_a_plain_string_in_a_report_is_never_taken_for_colour() -> None:
    from gpu_lint.printable import Painted, painted, text_of

    blue = painted("a\x1b[8mb", color=True, fg="blue")
    assert text_of([(blue, "\x1b[8m\n"), "\x1b[31mx"]) == (
        "\x1b[34ma\\x1b[8mb\x1b[0m\\x1b[8m\\n\n\\x1b[31mx\n"
    )
    assert not isinstance(f"{blue}", Painted)
    assert text_of([f"{blue}"]) == "\\x1b[34ma\\x1b[8mb\\x1b[0m\n"


def test_only_one_module_of_the_command_line_writes_to_a_stream() -> None:
    writers = {
        path.relative_to(ROOT / "gpu_lint").as_posix()
        for path in (ROOT / "gpu_lint").rglob("*.py")
        if re.search(
            r"click\.echo|(?<![.\w])print\(|stdout\.(?:write|buffer)|stderr\.write",
            path.read_text("utf-8"),
        )
    }
    assert writers == {"cli/output.py"}


@posix
@pytest.mark.parametrize(
    "policy", ['"\\u001b[31m" = 1\n', 'select = ["\\u001b]0;x\\u0007"]\n', "[\x1b[31m\n"]
)
def test_a_broken_policy_cannot_command_the_terminal(project: Project, policy: str) -> None:
    done = run("check", cwd=project({"gpu-lint.toml": policy, "a.py": ""}))
    assert (done.returncode, raw(done.stderr)) == (2, set())
    assert len(done.stderr.splitlines()) == 1


@posix
def test_no_command_can_be_put_into_github_output(project: Project) -> None:
    done = run("check", "--output-format", "github", cwd=hostile(project))
    lines = done.stdout.decode().splitlines()
    assert len(lines) > 3
    for line in lines:
        assert re.match(r"::(error|warning) title=gpu-lint(?: \(GPU\d+\))?,file=[^:]*::", line)
    assert b"\n::error::pwned" not in done.stderr


@posix
@pytest.mark.skipif(sys.platform != "linux", reason="needs file names of arbitrary bytes")
@pytest.mark.parametrize("form", ["json", "sarif", "gitlab", "junit"])
def test_formats_stay_valid_for_any_name(project: Project, form: str) -> None:
    root = hostile(project)
    (root / os.fsdecode(b"\xff\xc3\x28.py")).write_bytes(LATE.encode())
    done = run("check", "--output-format", form, cwd=root)
    text = done.stdout.decode("utf-8")
    if form == "junit":
        suites = ElementTree.fromstring(text)
        cases = suites.findall("testsuite/testcase")
        assert int(suites.attrib["tests"]) == len(cases)
        assert int(suites.attrib["failures"]) == len(suites.findall("testsuite/testcase/failure"))
        assert any("pwned" in case.attrib["classname"] for case in cases)
    else:
        assert json.loads(text)


# --- the cache ---------------------------------------------------------------------------


def test_a_cache_that_came_with_the_code_is_not_believed(project: Project, tmp_path: Path) -> None:
    """An attacker runs the very same tool, and commits the cache with the findings taken out."""
    root = project({"tree/a.py": LATE})
    tree, theirs = root / "tree", {"GPU_LINT_STATE_DIR": str(root / "theirs")}
    assert run("check", cwd=tree, env=theirs).returncode == 1
    (index,) = (tree / ".gpu-lint-cache").glob("*.json")
    key = (root / "theirs" / "cache-key").read_bytes()
    content = json.loads(index.read_bytes().partition(b"\n")[2])
    for note in content["files"].values():
        digest, _, *others = note[-1]
        note[-1] = [digest, [], *others]
    text = json.dumps(content).encode()
    seal = hashlib.blake2b(text, key=key).hexdigest().encode()
    index.write_bytes(seal + b"\n" + text)
    assert run("check", cwd=tree, env=theirs).returncode == 0, "the forgery is a good one"
    index.write_bytes(seal + b"\n" + text)
    assert run("check", cwd=tree).returncode == 1
    index.write_bytes(b"\n" + text)
    assert run("check", cwd=tree).returncode == 1


@posix
def test_a_file_changed_behind_its_times_is_looked_at_again(project: Project) -> None:
    good = LATE.replace("torch.cuda.init()", "torch.manual_s(0)")
    root = project({"a.py": good})
    os.utime(root / "a.py", (1e9, 1e9))
    assert b"GPU107" not in run("check", cwd=root).stdout
    (root / "a.py").write_text(LATE)
    os.utime(root / "a.py", (1e9, 1e9))
    assert len(good) == len(LATE)
    assert b"GPU107" in run("check", cwd=root).stdout


@posix
def test_the_key_of_the_cache_is_for_its_owner_alone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    cache = Cache.open(tmp_path / "c", tmp_path, load_rulebook(), state)
    path = tmp_path / "a.py"
    path.write_text("x = 1\n")
    from gpu_lint.facts.touch import Touch
    from gpu_lint.notes import Note

    cache.add(str(path), path.stat(), Note(0, 0, 6, "0", Touch.NOTHING, grown=True))
    cache.save()
    assert stat.S_IMODE((state / "cache-key").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


# --- dependencies ------------------------------------------------------------------------


def test_every_package_that_ci_installs_is_pinned_by_hash() -> None:
    text = (ROOT / ".ci" / "requirements.txt").read_text("utf-8")
    entries = [part for part in re.split(r"\n(?=[A-Za-z])", text) if re.match(r"[A-Za-z]", part)]
    assert len(entries) > 20
    for entry in entries:
        assert re.match(r"[\w.-]+(\[[\w,-]+\])?==\S+", entry), entry
        assert "--hash=sha256:" in entry, entry
