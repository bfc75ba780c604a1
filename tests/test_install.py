"""The wheel and the hooks, as a user installs them."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT, run_cli

BAD = 'import os\n\nos.environ["CUDA_VISIBLE_DEVICES"] = 1\n'


def run(*command: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=cwd,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env={**os.environ, "PYTHONPATH": "", **env},
    )


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout with the tools of this environment."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    done = run(*command, str(ROOT), cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of console scripts: the wheel alone, on top of this environment's libraries."""
    home = tmp_path_factory.mktemp("installed") / "env"
    venv.create(home, with_pip=True, symlinks=os.name != "nt")
    scripts = home / ("Scripts" if os.name == "nt" else "bin")
    python = str(scripts / "python")
    done = run(python, "-m", "pip", "install", "-q", "--no-deps", str(wheel), cwd=home)
    assert done.returncode == 0, done.stderr
    site = run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home)
    libraries = {str(Path(entry)) for entry in sys.path if entry.endswith("site-packages")}
    path = Path(site.stdout.strip()) / "libraries.pth"
    path.write_text("\n".join(sorted(libraries)) + "\n", "utf-8")
    return scripts


def test_wheel_holds_rules_templates_and_the_typing_marker(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "gpu_lint/py.typed",
        "gpu_lint/runtime/doctor.schema.json",
        "gpu_lint/gpu-lint.schema.json",
        "gpu_lint/runtime/probe/gpu_lint_probe/recorder.py",
        "gpu_lint/runtime/probe/sitecustomize.py",
        "gpu_lint/runtime/trace.schema.json",
        "gpu_lint/runtime/verify.schema.json",
        "gpu_lint/rules/GPU1-environment.toml",
        "gpu_lint/rules/knowledge.json",
        "gpu_lint/rules/rules.json",
        "gpu_lint/rules/frameworks/torch.toml",
        "gpu_lint/rules/templates/header.py.txt",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "fixtures/", "rules/"))]


def test_wheel_holds_every_document_of_the_rules_and_no_script_of_theirs(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if "/rules/" in name}
    assert not [name for name in names if name.endswith((".py", ".pyc", ".sh"))]
    rules = (path for path in (ROOT / "rules").rglob("*") if path.is_file())
    kept = {path for path in rules if path.suffix not in (".py", ".pyc")}
    assert names == {f"gpu_lint/{path.relative_to(ROOT).as_posix()}" for path in kept} | {
        "gpu_lint/rules/knowledge.json",
        "gpu_lint/rules/rules.json",
    }


def test_installed_wheel_does_what_the_checkout_does(installed: Path, tmp_path: Path) -> None:
    before = ROOT / "fixtures" / "superwhisper" / "before"
    arguments = ["check", str(before), "--output-format", "json", "-q"]
    wheel_run = run(str(installed / "gpu-lint"), *arguments, cwd=ROOT)
    checkout = run(sys.executable, "-m", "gpu_lint", *arguments, cwd=ROOT)
    assert wheel_run.returncode == checkout.returncode == 1, wheel_run.stderr
    assert wheel_run.stdout == checkout.stdout
    where = run(
        str(installed / "python"), "-c", "import gpu_lint; print(gpu_lint.__file__)", cwd=tmp_path
    )
    assert str(installed.parent) in where.stdout


def test_module_runs_as_the_command(installed: Path, tmp_path: Path) -> None:
    done = run(str(installed / "python"), "-m", "gpu_lint", "--version", cwd=tmp_path)
    assert done.stdout.startswith("gpu-lint, version ")


def test_pre_commit_hooks_fail_then_fix_then_pass(installed: Path, tmp_path: Path) -> None:
    hooks, repo = tmp_path / "hooks", tmp_path / "repo"
    identity = {
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        "PRE_COMMIT_HOME": str(tmp_path / "cache"),
        "PATH": f"{installed}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip

    def git(*arguments: str, cwd: Path) -> str:
        done = run("git", *arguments, cwd=cwd, **identity)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    definitions = (ROOT / ".pre-commit-hooks.yaml").read_text("utf-8")
    assert definitions.count("language: python") == 2
    for directory in (hooks, repo):
        directory.mkdir()
        git("init", "-q", cwd=directory)
    # The same definitions, run from the installed wheel: a hook environment of its own would
    # need the network, which tests do without.
    text = definitions.replace("language: python", "language: system")
    (hooks / ".pre-commit-hooks.yaml").write_text(text, "utf-8")
    git("add", ".", cwd=hooks)
    git("commit", "-qm", "hooks", cwd=hooks)
    revision = git("rev-parse", "HEAD", cwd=hooks)
    (repo / "bad.py").write_text(BAD, "utf-8")
    (repo / "skipped.py").write_text(BAD, "utf-8")
    (repo / "gpu-lint.toml").write_text('exclude = ["skipped.py"]\n', "utf-8")
    config = "repos:\n- repo: {}\n  rev: {}\n  hooks:\n  - id: {}\n"

    def hook(name: str, *files: str) -> subprocess.CompletedProcess[str]:
        text = config.format(hooks.as_posix(), revision, name)
        (repo / ".pre-commit-config.yaml").write_text(text, "utf-8")
        git("add", ".", cwd=repo)
        command = (sys.executable, "-m", "pre_commit", "run", *(files or ["--all-files"]))
        return run(*command, cwd=repo, **identity)

    failed = hook("gpu-lint")
    assert failed.returncode == 1, failed.stderr
    assert "bad.py:3:38" in failed.stdout
    assert "skipped.py" not in failed.stdout
    fixing = hook("gpu-lint-fix")
    assert fixing.returncode == 1
    assert "files were modified by this hook" in fixing.stdout
    assert (repo / "bad.py").read_text("utf-8") == BAD.replace("= 1", '= "1"')
    assert (repo / "skipped.py").read_text("utf-8") == BAD
    assert hook("gpu-lint").returncode == 0
    assert hook("gpu-lint-fix").returncode == 0
    (repo / "zmask.py").write_text(BAD.replace("= 1", '= "1"'), "utf-8")
    (repo / "app.py").write_text("import torch\ntorch.cuda.init()\nimport zmask\n", "utf-8")
    late = hook("gpu-lint", "--files", "zmask.py")
    assert late.returncode == 1, late.stderr
    assert "GPU116" in late.stdout
    undone = run(str(installed / "gpu-lint"), "undo", cwd=repo, **identity)
    assert undone.returncode == 0, undone.stderr
    assert (repo / "bad.py").read_text("utf-8") == BAD


@pytest.mark.parametrize("name", ["github-actions.yml", "gitlab-ci.yml"])
def test_the_jobs_of_contrib_call_commands_that_exist(name: str) -> None:
    lines = (ROOT / "contrib" / name).read_text(encoding="utf-8").splitlines()
    called = [line.partition("-m gpu_lint ")[2].split() for line in lines if "-m gpu_lint" in line]
    assert [words[0] for words in called] == ["check", "doctor", "verify"]
    for command, *options in called:
        known = run_cli(command, "--help").output
        for option in options:
            assert not option.startswith("-") or option in known, (command, option)
