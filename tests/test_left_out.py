"""Headers that never run, or run too late: coroutines, tasks, lazy iterators, swallowed errors."""

from __future__ import annotations

from typing import Any

import pytest

from tests.conftest import check_text

POLICY: dict[str, Any] = {
    "gpu": {"name": "RTX 3090", "visible-devices": "1", "device-order": "PCI_BUS_ID"},
    "header": {"required-in": "gpu-files"},
    "validation": {"required-in": "never"},
}
USE = 'import torch\n\nprint(torch.zeros(1, device="cuda"))\n'
PREPARED = """import asyncio
import collections
import contextlib
import os

import anyio
import trio

HEADER = [("CUDA_DEVICE_ORDER", "PCI_BUS_ID"), ("CUDA_VISIBLE_DEVICES", "1")]


def put(pair):
    os.environ[pair[0]] = pair[1]


def setup():
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    os.environ["CUDA_VISIBLE_DEVICES"] = "1"


async def prepare():
    setup()


def generate():
    setup()
    yield 1


class Quiet:
    def __enter__(self):
        return self

    def __exit__(self, *raised):
        return True


class Loud(Quiet):
    def __exit__(self, *raised):
        print(raised)


class Prepared:
    async def __aenter__(self):
        setup()

    async def __aexit__(self, *raised):
        return None


@contextlib.contextmanager
def quiet():
    try:
        yield
    except Exception:
        pass


"""


def within(body: str, use: str = USE) -> str:
    """A main coroutine that is run."""
    lines = "".join(f"    {line}\n" for line in [*body.splitlines(), *use.splitlines()])
    return f"async def main():\n{lines}\n\nasyncio.run(main())\n"


LEFT_OUT = {
    "a coroutine that is not awaited": f"prepare()\n{USE}",
    "a task before the next await": within("task = asyncio.create_task(prepare())") + "",
    "a task that is awaited later": within(
        "task = asyncio.create_task(prepare())", f"{USE}await task\n"
    ),
    "futures that are not awaited": within("asyncio.gather(prepare())"),
    "map": f"map(put, HEADER)\n{USE}",
    "map under a name": f"done = map(put, HEADER)\n{USE}list(done)\n",
    "a generator expression": f"(put(pair) for pair in HEADER)\n{USE}",
    "a generator": f"generate()\n{USE}",
    "swallowed by a class": f"with Quiet():\n    print(unknown())\n    setup()\n{USE}",
    "swallowed by the outer one": f"with Quiet(), Loud():\n    print(unknown())\n    setup()\n{USE}",
    "swallowed by a function": f"with quiet():\n    print(unknown())\n    setup()\n{USE}",
}
RIGHT = {
    "awaited": within("await prepare()"),
    "run": f"asyncio.run(prepare())\n{USE}",
    "run by trio": f"trio.run(prepare)\n{USE}",
    "run by anyio": f"anyio.run(prepare)\n{USE}",
    "run by a loop": f"loop = asyncio.new_event_loop()\nloop.run_until_complete(prepare())\n{USE}",
    "gathered": within("await asyncio.gather(prepare(), asyncio.sleep(0))"),
    "a task that is awaited": within("task = asyncio.create_task(prepare())\nawait task"),
    "a task before an await": within("asyncio.create_task(prepare())\nawait asyncio.sleep(0)"),
    "a task of a loop": within("asyncio.get_running_loop().create_task(prepare())\n"
    "await asyncio.sleep(0)"),
    "a group of tasks": within("async with asyncio.TaskGroup() as group:\n"
    "    await group.create_task(prepare())"),
    "an asynchronous context": within("async with Prepared():\n    pass"),
    "returned and awaited": "def start():\n    return prepare()\n\n\n" + within("await start()"),
    "map in a list": f"list(map(put, HEADER))\n{USE}",
    "map in a loop": f"for _ in map(put, HEADER):\n    pass\n{USE}",
    "map in a deque": f"collections.deque(map(put, HEADER), maxlen=0)\n{USE}",
    "map unpacked": f"print(*map(put, HEADER))\n{USE}",
    "map in two names": f"one, two = map(put, HEADER)\n{USE}",
    "a list comprehension": f"[put(pair) for pair in HEADER]\n{USE}",
    "a generator expression in any()": f"any(put(pair) for pair in HEADER)\n{USE}",
    "a generator in a list": f"list(generate())\n{USE}",
    "nothing is swallowed": f"with Loud():\n    print(unknown())\n    setup()\n{USE}",
    "nothing raises": f"with Quiet():\n    setup()\n{USE}",
}  # fmt: skip


def found(program: str) -> set[str]:
    return {finding.code for finding in check_text(PREPARED + program, POLICY).findings}


@pytest.mark.parametrize("program", LEFT_OUT.values(), ids=LEFT_OUT.keys())
def test_a_header_that_does_not_run_in_time(program: str) -> None:
    assert found(program) & {"GPU101", "GPU107"}


@pytest.mark.parametrize("program", RIGHT.values(), ids=RIGHT.keys())
def test_a_header_that_does(program: str) -> None:
    assert found(program) == set()


def test_a_coroutine_gives_its_value_when_it_is_awaited() -> None:
    program = """import asyncio
import os


async def chosen():
    return "cuda:1"


async def main():
    os.environ["CUDA_VISIBLE_DEVICES"] = await chosen()
    os.environ["CUDA_VISIBLE_DEVICES"] = chosen()


asyncio.run(main())
"""
    messages = [one.message for one in check_text(program).findings if one.code == "GPU112"]
    assert [("'cuda:1'" in one, "coroutine" in one) for one in messages] == [
        (True, False),
        (False, True),
    ]
