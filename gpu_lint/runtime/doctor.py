"""Whether this machine fits the policy: everything that ``gpu-lint doctor`` looks at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path

from gpu_lint.allocator import Release
from gpu_lint.policy import Policy, policy_of
from gpu_lint.records import record
from gpu_lint.runtime.cards import Card, Machine, NoDriver, read_machine
from gpu_lint.runtime.fit import Fit, fit_of
from gpu_lint.runtime.programs import project_python
from gpu_lint.runtime.remarks import Level, Remark
from gpu_lint.runtime.shell import Held, VariableReader
from gpu_lint.runtime.surroundings import surroundings
from gpu_lint.runtime.torchbuild import TorchBuild, ask_torch, torch_remarks
from gpu_lint.settings import Settings, SettingsFinder

_MASK = "gpu.visible-devices"
_INSTALL = "install the NVIDIA driver: https://www.nvidia.com/drivers"


class Verdict(str, Enum):
    """Whether the machine fits the policy."""

    NO_POLICY = "no-policy"
    FITS = "fits"
    UNPROVEN = "unproven"
    VIOLATED = "violated"


@record
class Examination:
    """What was found out about a machine, for one directory."""

    directory: str
    machine: Machine | None
    no_driver: Remark | None
    """Why no machine could be read."""
    fits: tuple[Fit, ...]
    """The policy in force for the directory, then those of the overrides."""
    torch: TorchBuild | None
    """None where there is no Python to ask."""
    torch_remarks: tuple[Remark, ...]
    variables: tuple[Held, ...]
    surroundings: tuple[Remark, ...]

    @property
    def verdict(self) -> Verdict:
        if not self.fits:
            return Verdict.NO_POLICY
        levels = {one.level for fit in self.fits for one in fit.remarks}
        levels |= {one.level for one in self.torch_remarks}
        if Level.FAILS in levels:
            return Verdict.VIOLATED
        return Verdict.UNPROVEN if Level.UNPROVEN in levels else Verdict.FITS

    @property
    def unread(self) -> tuple[Remark, ...]:
        """What could not be read of cards that are there."""
        lines = () if self.machine is None else self.machine.unread
        advice = "nvidia-smi -q, and look for Xid in the kernel's log"
        return tuple(Remark(Level.WARNING, line, advice) for line in lines)

    @property
    def next_steps(self) -> tuple[str, ...]:
        """What to do now, the most urgent first."""
        return tuple(dict.fromkeys(self._steps()))

    def _steps(self) -> Iterator[str]:
        remarks = [*self.unread, *(one for fit in self.fits for one in fit.remarks)]
        remarks += [*self.torch_remarks, *(one.remark for one in self.variables)]
        if self.no_driver is not None:
            causes = [*self.surroundings, self.no_driver]
            yield from [one.advice for one in causes if one.advice] or [_INSTALL]
        for level in (Level.FAILS, Level.UNPROVEN, Level.WARNING, Level.NOTE):
            yield from (one.advice for one in remarks if one.level is level and one.advice)
        if not self.fits and self.machine is not None and self.machine.cards:
            yield "gpu-lint doctor --suggest > gpu-lint.toml"
        yield "gpu-lint check"


def examine(
    finder: SettingsFinder, directory: Path, named_python: str | None, environ: Mapping[str, str]
) -> Examination:
    """Examine this machine for the programs of a directory. Raises ``ConfigError`` for a broken
    configuration, or for a Python that is not there."""
    inside = directory / "x.py"
    settings, project = finder.for_file(inside), finder.project_of(inside)
    policy = settings.policy_for(inside)
    chosen, home = settings.get("runtime.python"), settings.home or settings.root
    configured = (chosen, home) if chosen else None
    python = project_python(named_python, project, environ, configured)
    machine, no_driver = _machine()
    fits = tuple(
        fit_of(one, machine, where, origin) for where, origin, one in _policies(settings, inside)
    )
    build = None if python is None else ask_torch(python, environ)
    release = None if build is None else Release.of(build.version.partition("+")[0])
    reader = VariableReader(finder.rulebook.knowledge, machine, policy, release)
    return Examination(
        directory=str(directory),
        machine=machine,
        no_driver=no_driver,
        fits=fits,
        torch=build,
        torch_remarks=tuple(_of_torch(build, machine, fits)),
        variables=tuple(reader.read(environ, directory, project)),
        surroundings=tuple(surroundings(machine, environ)),
    )


def _machine() -> tuple[Machine | None, Remark | None]:
    try:
        return read_machine(), None
    except NoDriver as error:
        return None, Remark(Level.WARNING, str(error), error.advice)


def _policies(settings: Settings, inside: Path) -> Iterator[tuple[str, str, Policy]]:
    """Yield the policy of a file's directory, and those of overrides that choose other cards: what
    each is in force for, where it is written, and itself."""
    seen = set()
    _, origins = settings.flat_for(inside)
    if (policy := settings.policy_for(inside)) is not None:
        seen.add(policy.gpu)
        yield "this directory", origins.get(_MASK, ""), policy
    for override in settings.flat.get("overrides", ()):
        other = policy_of({**settings.flat, **override})
        if other is not None and other.gpu not in seen:
            seen.add(other.gpu)
            origin = settings.origins.get("overrides", "")
            yield ", ".join(override["paths"]), origin, other


def _of_torch(
    build: TorchBuild | None, machine: Machine | None, fits: tuple[Fit, ...]
) -> Iterator[Remark]:
    if build is None:
        text = "no Python was found to ask for torch"
        yield Remark(Level.NOTE, text, "gpu-lint doctor --python PYTHON")
        return
    chosen: dict[str, Card] = {card.uuid: card for fit in fits for card in fit.cards}
    if not fits and machine is not None:
        chosen = {card.uuid: card for card in machine.cards}
    yield from torch_remarks(build, machine, tuple(chosen.values()))
