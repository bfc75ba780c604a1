"""Ends every process that a command has started, on Windows: a Job Object holds them.

The command begins suspended and is resumed when it is in the job, so that all it starts is in the
job, too. The job ends with its last handle: however this process ends, nothing is left running.
"""

from __future__ import annotations

import sys

if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes
    from subprocess import Popen

    _CREATE_SUSPENDED = 0x00000004
    _CREATE_NEW_PROCESS_GROUP = 0x00000200
    CREATION_FLAGS = _CREATE_SUSPENDED | _CREATE_NEW_PROCESS_GROUP
    _EXTENDED_LIMIT_INFORMATION = 9
    _KILL_ON_JOB_CLOSE = 0x00002000
    _ENDED = 1
    """The exit status of the processes of a job that is ended."""

    class _BasicLimits(ctypes.Structure):
        """JOBOBJECT_BASIC_LIMIT_INFORMATION."""

        _fields_ = (
            ("PerProcessUserTimeLimit", wintypes.LARGE_INTEGER),
            ("PerJobUserTimeLimit", wintypes.LARGE_INTEGER),
            ("LimitFlags", wintypes.DWORD),
            ("MinimumWorkingSetSize", ctypes.c_size_t),
            ("MaximumWorkingSetSize", ctypes.c_size_t),
            ("ActiveProcessLimit", wintypes.DWORD),
            ("Affinity", ctypes.c_size_t),
            ("PriorityClass", wintypes.DWORD),
            ("SchedulingClass", wintypes.DWORD),
        )

    class _ExtendedLimits(ctypes.Structure):
        """JOBOBJECT_EXTENDED_LIMIT_INFORMATION."""

        _fields_ = (
            ("BasicLimitInformation", _BasicLimits),
            ("IoInfo", ctypes.c_ulonglong * 6),
            ("ProcessMemoryLimit", ctypes.c_size_t),
            ("JobMemoryLimit", ctypes.c_size_t),
            ("PeakProcessMemoryUsed", ctypes.c_size_t),
            ("PeakJobMemoryUsed", ctypes.c_size_t),
        )

    class JobTree:
        """A command in a job of its own, and all that it has started."""

        def __init__(self, child: Popen[bytes]) -> None:
            """Put a suspended command into a job and let it run."""
            self._child = child
            self._limits: tuple[str, ...] = ()
            self._kernel = ctypes.WinDLL("kernel32", use_last_error=True)
            self._kernel.CreateJobObjectW.restype = wintypes.HANDLE
            self._job = wintypes.HANDLE(self._kernel.CreateJobObjectW(None, None))
            limits = _ExtendedLimits()
            limits.BasicLimitInformation.LimitFlags = _KILL_ON_JOB_CLOSE
            process = wintypes.HANDLE(int(child._handle))  # type: ignore[attr-defined]
            is_held = (
                self._job.value
                and self._kernel.SetInformationJobObject(
                    self._job,
                    _EXTENDED_LIMIT_INFORMATION,
                    ctypes.byref(limits),
                    ctypes.sizeof(limits),
                )
                and self._kernel.AssignProcessToJobObject(self._job, process)
            )
            if not is_held:
                why = ctypes.FormatError(ctypes.get_last_error())
                self._limits = (
                    f"processes that the command left behind were not ended: no Job Object ({why})",
                )
            ctypes.WinDLL("ntdll").NtResumeProcess(process)

        def reap(self) -> None:
            """Do nothing: Windows keeps no exit statuses for parents."""

        def end(self) -> tuple[str, ...]:
            """End all at once, and return what could not be done, in lines."""
            if self._limits:
                self._child.kill()
            else:
                self._kernel.TerminateJobObject(self._job, _ENDED)
            if self._job.value:
                self._kernel.CloseHandle(self._job)
            return self._limits
