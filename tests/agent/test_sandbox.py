"""Generated code gets nowhere: every way out that was thought of is tried, from inside, for real.

Where a machine cannot isolate, the refusal is what is tested, and the rest is skipped with the reason.
"""

from __future__ import annotations

import asyncio
import os
import platform
import re
import resource
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from agent.deliberate.running import Ran
from agent.forge import confine, sandbox
from agent.forge.sandbox import Limits, Piece, Sandbox, Told
from memory.core import Memory
from memory.encoder import HashEncoder
from memory.errors import Denied, WorldError
from memory.types import Draft, Json, NoteBody
from tests.agent.attempts import TRY, all_refused, isolated, tried, x86

# What it is for


@isolated
async def test_code_runs_with_the_standard_library_and_a_folder_of_its_own() -> None:
    """Files in the folder come and go; what is printed and what goes wrong is told."""
    ran = await Sandbox().run(
        "import csv, decimal, json, math, re, statistics\n"
        "open('a.txt', 'w').write('one'); import os; os.replace('a.txt', 'b.txt')\n"
        "print(open('b.txt').read(), os.listdir('.')); os.remove('b.txt')\n"
        "print(statistics.mean([1, 2, 3]), os.listdir('.'))"
    )
    assert ran == Ran(True, "one ['b.txt']\n2 []\n")
    failed = await Sandbox().run("def f(x):\n    return 1 / x\nf(0)")
    assert not failed.ok
    assert "return 1 / x" in failed.error
    assert failed.error.endswith("ZeroDivisionError: division by zero")
    assert "child.py" not in failed.error


@isolated
async def test_nothing_is_left_for_the_next_one() -> None:
    """A folder for each job."""
    box = Sandbox()
    await box.run("open('left', 'w').write('x')")
    assert (await box("import os; print(os.listdir('.'))")).out == "[]\n"


@isolated
async def test_code_asks_for_tools_and_is_answered() -> None:
    """One at a time, by name; a refusal is an exception there."""

    async def answer(name: str, arguments: Mapping[str, Json]) -> Told:
        return Told("no", ok=False) if name == "shut" else Told(f"{name} {arguments['n']}", ok=True)

    code = (
        "for n in range(3): print(call_tool('ring', n=n))\n"
        "try:\n    call_tool('shut')\nexcept ToolError as error:\n    print('refused:', error)"
    )
    ran = await Sandbox().run(code, answer=answer)
    assert ran.out == "ring 0\nring 1\nring 2\nrefused: no\n"


@isolated
async def test_pieces_call_pieces_and_the_code_cannot_change_them() -> None:
    """Each has a space of its own."""
    mean = Piece("mean", "import statistics\n\ndef mean(x):\n    return statistics.mean(x)")
    twice = Piece("twice", "def twice(x):\n    return 2 * mean(x)", ("mean",))
    code = "def mean(x):\n    return 'mine'\nprint(twice([1, 3]), mean([1, 3]))"
    assert (await Sandbox().run(code, [mean, twice])).out == "4 mine\n"


@isolated
async def test_what_a_tool_breaks_with_breaks_the_job() -> None:
    """A world that broke is not a matter of the code."""

    async def answer(name: str, arguments: Mapping[str, Json]) -> Told:
        raise WorldError(f"{name} broke")

    with pytest.raises(WorldError, match="ring broke"):
        await Sandbox().run("call_tool('ring')", answer=answer)


@isolated
async def test_who_waits_for_a_tool_uses_no_time() -> None:
    """A human may be asked in between."""

    async def answer(name: str, arguments: Mapping[str, Json]) -> Told:
        await asyncio.sleep(3.2)
        return Told("at last", ok=True)

    ran = await Sandbox(Limits(seconds=3.0)).run("print(call_tool('ring'))", answer=answer)
    assert ran.out == "at last\n"


# Files


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file elsewhere, which the owner of the process may read and write."""
    file = tmp_path / "secret.txt"
    file.write_text("hunter2", encoding="utf-8")
    (tmp_path / "link").symlink_to(file)
    return file


@isolated
async def test_no_file_elsewhere_is_read(secret: Path) -> None:
    """Not by any name."""
    folder = secret.parent
    await all_refused(
        {
            "open": f"open({str(secret)!r})",
            "open through a link": f"open({str(folder / 'link')!r})",
            "list": f"os.listdir({str(folder)!r})",
            "list all": "os.listdir('/')",
            "passwd": "open('/etc/passwd')",
            "climb": "os.chdir('..'); os.listdir('.')",
            "by a handle": f"f = os.open({str(folder)!r}, os.O_PATH); os.open('secret.txt', 0, dir_fd=f)",
            "again": f"f = os.open({str(secret)!r}, os.O_PATH); open(f'/proc/self/fd/{{f}}')",
            "the code of the server": f"open({sandbox.__file__!r})",
            "disks": "open('/dev/vda', 'rb') if os.path.exists('/dev/vda') else open('/dev/tty')",
        }
    )


@isolated
async def test_no_file_elsewhere_is_changed(secret: Path) -> None:
    """Nor its mode, times, owner and name."""
    folder, name = secret.parent, str(secret)
    await all_refused(
        {
            "write": f"open({name!r}, 'w')",
            "append": f"open({name!r}, 'a')",
            "create": f"open({str(folder / 'new')!r}, 'x')",
            "create beside": "open('../new', 'x')",
            "in shared memory": "open('/dev/shm/new', 'x')",
            "truncate": f"os.truncate({name!r}, 0)",
            "remove": f"os.unlink({name!r})",
            "folder": f"os.mkdir({str(folder / 'd')!r})",
            "mode": f"os.chmod({name!r}, 0)",
            "own": f"os.chown({name!r}, 1, 1)",
            "times": f"os.utime({name!r}, (0, 0))",
            "attribute": f"os.setxattr({name!r}, 'user.x', b'y')",
            "pth": "import sysconfig; open(sysconfig.get_path('purelib') + '/evil.pth', 'w')",
            "pth, empty": "import sysconfig; os.open(sysconfig.get_path('stdlib') + '/evil.pth', os.O_CREAT)",
            "stdlib": "import json; open(json.__file__, 'a')",
            "bytecode": "import json; open(json.__cached__, 'ab')",
        }
    )
    moved = {
        "out": f"open('x', 'w').close(); os.rename('x', {str(folder / 'x')!r})",
        "over": f"open('x', 'w').close(); os.rename('x', {name!r})",
        "in": f"os.rename({name!r}, 'x')",
    }
    await all_refused(moved, "PermissionError", "OSError")
    assert secret.read_text(encoding="utf-8") == "hunter2"
    assert sorted(one.name for one in folder.iterdir()) == ["link", "secret.txt"]


@isolated
async def test_no_links_and_no_other_things_are_made(secret: Path) -> None:
    """The folder is flat and holds files alone, so what cleans up cannot be led away."""
    name = str(secret)
    await all_refused(
        {
            "symlink": f"os.symlink({name!r}, 'x')",
            "hard link": f"os.link({name!r}, 'x')",
            "own hard link": "open('y', 'w').close(); os.link('y', 'x')",
            "folder": "os.mkdir('d')",
            "pipe": "os.mkfifo('p')",
            "device": "os.mknod('n', 0o020600, os.makedev(1, 1))",
        }
    )


@isolated
async def test_the_database_is_out_of_reach(tmp_path: Path) -> None:
    """Its file cannot be opened, and the module that could cannot either."""
    path = tmp_path / "memory.db"
    memory = Memory.open(path, encoder=HashEncoder())
    memory.remember(
        "home", [Draft("tool_note", "hunter2", NoteBody("s", "n"))], principal="p", channel="user"
    )
    try:
        attempts = {f"read {one.name}": f"open({str(one)!r}, 'rb')" for one in tmp_path.glob("memory.db*")}
        await all_refused(attempts)
        code = f"import sqlite3; sqlite3.connect({str(path)!r}).execute('select count(*) from item')"
        await all_refused({"query": code}, "OperationalError")
    finally:
        memory.close()


# Network


@contextmanager
def listener(family: int, kind: int, address: object) -> Iterator[socket.socket]:
    """A server of ours that would be glad of any visitor."""
    with socket.socket(family, kind) as server:
        server.bind(address)
        if kind == socket.SOCK_STREAM:
            server.listen()
        server.settimeout(0.1)
        yield server


def visited(server: socket.socket) -> bool:
    try:
        server.accept() if server.type == socket.SOCK_STREAM else server.recv(1)
    except TimeoutError:
        return False
    return True


@isolated
async def test_nobody_is_called_up(tmp_path: Path) -> None:
    """Servers on this very machine do not hear of it: not by a socket, a pair of them, or the one it has."""
    with ExitStack() as stack:
        servers = [stack.enter_context(listener(*one)) for one in _servers(tmp_path)]
        attempts = {}
        for number, server in enumerate(servers):
            to, family, kind = server.getsockname(), int(server.family), int(server.type)
            act = f"s.connect({to!r})" if kind == socket.SOCK_STREAM else f"s.sendto(b'x', {to!r})"
            make = f"socket.socket({family}, {kind}"
            attempts |= {
                f"make {number}": f"import socket; s = {make}); {act}",
                f"pair {number}": f"import socket; s, t = socket.socketpair(type={kind}); {act}",
                f"line {number}": f"import socket; s = {make}, fileno=LINE); {act}",
            }
        await all_refused(attempts)
        assert [server for server in servers if visited(server)] == []


def _servers(folder: Path) -> list[tuple[int, int, object]]:
    kinds = (socket.SOCK_STREAM, socket.SOCK_DGRAM)
    return [
        *((socket.AF_INET, kind, ("127.0.0.1", 0)) for kind in kinds),
        *((socket.AF_UNIX, kind, str(folder / f"s{int(kind)}")) for kind in kinds),
        *((socket.AF_UNIX, kind, f"\0forge-{folder.name}-{int(kind)}") for kind in kinds),
    ]


@isolated
async def test_no_name_is_looked_up() -> None:
    """Nor anything fetched."""
    found = await tried(
        {
            "name": "import socket; socket.getaddrinfo('example.org', 80)",
            "page": "import urllib.request; urllib.request.urlopen('http://127.0.0.1:1')",
        }
    )
    assert set(found.values()) <= {"gaierror", "URLError"}


# Processes, memory, time, disk, output


@isolated
async def test_no_process_and_no_thread_is_made() -> None:
    """A fork bomb ends with its first fork."""
    await all_refused(
        {
            "fork bomb": "while True: os.fork()",
            "spawn": "os.posix_spawn('/bin/sh', ['sh', '-c', 'true'], {})",
            "subprocess": "import subprocess; subprocess.run(['/bin/true'])",
            "exec": "os.execv('/bin/true', ['true'])",
            "pools": "import multiprocessing; multiprocessing.Process(target=print).start()",
        }
    )
    found = await tried(
        {
            "shell": "import sys; sys.exit() if os.system('true') == 0 else 1 / 0",
            "shell by ctypes": "import sys; sys.exit() if ctypes.CDLL(None).system(b'true') == 0 else 1 / 0",
            "thread": "import threading; threading.Thread(target=print).start()",
        }
    )
    assert found == {
        "shell": "ZeroDivisionError",
        "shell by ctypes": "ZeroDivisionError",
        "thread": "RuntimeError",
    }


@isolated
async def test_memory_is_bounded() -> None:
    """In one piece, by and by, mapped, and where it belongs to no process."""
    found = await tried(
        {
            "at once": "bytearray(1 << 33)",
            "by and by": "x = []\nwhile True: x.append(bytearray(1 << 24))",
            "mapped": "import mmap; mmap.mmap(-1, 1 << 33)",
            "shared": "import mmap; [mmap.mmap(-1, 1 << 26) for _ in range(64)]",
            "in a file of no name": "f = os.memfd_create('x'); os.write(f, b'x')",
            "more, please": "import resource as r; r.setrlimit(r.RLIMIT_AS, (1 << 34, 1 << 34))",
        },
        memory=256 << 20,
    )
    assert found["at once"] == found["by and by"] == "MemoryError"
    assert found["mapped"] == found["shared"] == "OSError"
    assert found["in a file of no name"] == "PermissionError"
    assert found["more, please"] in {"ValueError", "PermissionError"}


@isolated
async def test_time_is_bounded() -> None:
    """Of the processor and of the clock; no handler gets around it."""
    spin = (
        "import signal\n"
        "for n in range(1, 65):\n"
        "    try: signal.signal(n, signal.SIG_IGN)\n"
        "    except (OSError, ValueError): pass\n"
        "print('on', flush=True)\n"
        "while True: pass"
    )
    ran = await Sandbox(Limits(cpu_s=1)).run(spin)
    assert (ran.ok, ran.out) == (False, "on\n")
    assert "seconds of the processor" in ran.error
    ran = await Sandbox(Limits(seconds=0.5)).run("import time\nwhile True: time.sleep(9)")
    assert ran.error == "ended: it took more than 0.5 seconds"


_FLOODS = {
    "files": ("open(str(n), 'wb').write(bytes(1 << 20))", "bytes on disk"),
    "hidden files": (
        "f = open('x', 'wb', 0); os.unlink('x'); x.append(f); f.write(bytes(1 << 20))",
        "on disk|Too many open files",  # whichever is reached first between two looks
    ),
    "empty files": ("open(str(n), 'w').close()", "files"),
    "output": ("print('flood')", "printed more than"),
    "errors": ("sys.stderr.write('flood' * 1000)", "printed more than"),
}


@isolated
@pytest.mark.parametrize(("code", "why"), _FLOODS.values(), ids=_FLOODS)
async def test_disk_and_output_are_bounded(code: str, why: str) -> None:
    """What is removed but held open counts too."""
    limits = Limits(disk=8 << 20, entries=100, output=100_000)
    ran = await Sandbox(limits).run(f"import os, sys\nn, x = 0, []\nwhile True:\n    n += 1; {code}")
    assert not ran.ok
    assert re.search(why, ran.error)
    assert len(ran.out) <= limits.output


@isolated
async def test_one_file_is_bounded_by_the_kernel() -> None:
    """Whatever is being watched."""
    found = await tried(
        {"big": "open('x', 'wb').write(bytes(9 << 20))", "sparse": "open('y', 'wb').truncate(1 << 40)"},
        disk=8 << 20,
    )
    assert set(found.values()) == {"OSError"}


# Its parent, and what it was given


@isolated
async def test_the_parent_is_out_of_reach() -> None:
    """Its memory, environment, descriptors, and whatever signals, traces and limits can do to it."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    proc = f"/proc/{os.getpid()}"
    attempts = {
        name: f"open('{proc}/{name}', 'rb')" for name in ("mem", "environ", "maps", "status", "cmdline")
    }
    await all_refused(
        attempts
        | {
            "descriptors": f"os.listdir('{proc}/fd')",
            "a descriptor": f"os.readlink('{proc}/fd/0')",
            "its root": f"os.listdir('{proc}/root')",
            "itself": "open('/proc/self/environ')",
            "probe": "os.kill(os.getppid(), 0)",
            "kill": f"os.kill({os.getpid()}, {int(signal.SIGTERM)})",
            "kill all": f"os.kill(-1, {int(signal.SIGTERM)})",
            "kill the group": f"os.killpg(os.getpgid(os.getppid()), {int(signal.SIGTERM)})",
            "by descriptor": "os.pidfd_open(os.getppid())",
            "by input": f"import fcntl; fcntl.fcntl(1, fcntl.F_SETOWN, {os.getpid()})",
            "limits": f"import resource as r; r.prlimit({os.getpid()}, r.RLIMIT_NOFILE, (1, 1))",
            "rank": f"os.setpriority(os.PRIO_PROCESS, {os.getpid()}, 19)",
            "cores": f"os.sched_setaffinity({os.getpid()}, {{0}})",
            "policy": f"os.sched_setscheduler({os.getpid()}, os.SCHED_IDLE, os.sched_param(0))",
        }
    )
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


@isolated
@x86
async def test_the_kernel_is_asked_in_vain() -> None:
    """By number, past everything that Python offers."""
    pid = os.getpid()
    numbers = {
        "ptrace": (101, 16, pid, 0, 0),
        "process_vm_readv": (310, pid, 0, 0, 0, 0, 0),
        "process_vm_writev": (311, pid, 0, 0, 0, 0, 0),
        "pidfd_getfd": (438, 3, 0, 0),
        "kcmp": (312, pid, pid, 0, 0, 0),
        "tkill": (200, pid, 15),
        "tgkill": (234, pid, pid, 15),
        "rt_sigqueueinfo": (129, pid, 15, 0),
        "socket": (41, 2, 1, 0),
        "io_uring_setup": (425, 1, 0),
        "clone": (56, 17, 0, 0, 0, 0),
        "vfork": (58,),
        "unshare": (272, 0x10000000),
        "setns": (308, 3, 0),
        "mount": (165, 0, 0, 0, 0, 0),
        "chroot": (161, 0),
        "bpf": (321, 0, 0, 0),
        "perf_event_open": (298, 0, 0, -1, -1, 0),
        "userfaultfd": (323, 0),
        "keyctl": (250, 0, 0, 0, 0, 0),
        "add_key": (248, 0, 0, 0, 0, 0),
        "shmget": (29, 0, 4096, 0o1777),
        "msgget": (68, 0, 0o1777),
        "mq_open": (240, 0, 0, 0, 0),
        "setuid": (105, 0),
        "setsid": (112,),
        "prctl": (157, 4, 1, 0, 0, 0),
        "seccomp": (317, 0, 0, 0),
        "landlock": (444, 0, 0, 1),
        "execveat": (322, 3, 0, 0, 0, 0),
        "open_by_handle_at": (304, 3, 0, 0),
        "name_to_handle_at": (303, 3, 0, 0, 0, 0),
        "openat2": (437, -100, 0, 0, 0),
        "sethostname": (170, 0, 0),
        "settimeofday": (164, 0, 0),
        "init_module": (175, 0, 0, 0),
        "kexec_load": (246, 0, 0, 0, 0),
        "reboot": (169, 0, 0, 0, 0),
        "swapon": (167, 0, 0),
        "quotactl": (179, 0, 0, 0, 0),
        "sendmsg": (46, 3, 0, 0),
        "connect": (42, 3, 0, 0),
        "a number of tomorrow": (600,),
    }
    await all_refused({name: f"syscall{arguments}" for name, arguments in numbers.items()})
    ran = await Sandbox().run(f"ATTEMPTS = {{'x32': 'syscall(0x40000000 | 39)'}}\n{TRY}")
    assert "ESCAPED" not in ran.out


@isolated
async def test_nothing_is_inherited(monkeypatch: pytest.MonkeyPatch, secret: Path) -> None:
    """No variable, no argument and no open file, though it were marked to be inherited."""
    monkeypatch.setenv("APPRENTICE_SECRET", "hunter2")
    with secret.open(encoding="utf-8") as file:
        os.set_inheritable(file.fileno(), True)
        ran = await Sandbox().run(
            "import os, sys\n"
            "def opened(n):\n"
            "    try: os.fstat(n)\n"
            "    except OSError: return False\n"
            "    return True\n"
            "print(sorted(os.environ), sys.argv, sum(map(opened, range(3, 60))), sys.stdin.read())"
        )
    assert ran.out == "['LC_CTYPE'] ['-c'] 1 \n"


@isolated
async def test_what_python_lets_it_see_is_no_wall_and_none_is_needed() -> None:
    """It may import what it likes, and finds itself where it was."""
    hook = "import importlib.machinery as m; m.SourceFileLoader('p', '/etc/passwd').load_module()"
    await all_refused(
        {
            "frames": "import sys; sys._getframe(3).f_globals['os'].listdir('/')",
            "import hook": hook,
            "objects": "import gc; [o for o in gc.get_objects() if o is os][0].listdir('/')",
        }
    )
    again = "from agent.forge import confine; confine._grant(3, '/', 4); open('/etc/passwd')"
    await all_refused({"its guard again": again}, "Leak")
    found = await tried({"packages": "import numpy", "the server": "import server.wiring"})
    assert set(found.values()) == {"ModuleNotFoundError"}


@isolated
@pytest.mark.parametrize(
    "said",
    ["b'[1]\\n'", "b'{\"call\": 3}\\n'", "b'x' * (1 << 22)", "b'\\xff\\xfe\\n'"],
    ids=["a list", "no arguments", "too long", "bytes"],
)
async def test_what_cannot_be_read_ends_it(said: str) -> None:
    """The line belongs to the code as much as to us."""
    code = (
        "import os\nfor n in range(3, 64):\n    try: os.write(n, "
        f"{said})\n    except OSError: pass\nimport time; time.sleep(9)"
    )
    ran = await Sandbox().run(code)
    assert ran == Ran(False, "", "ended: what it said to its tools cannot be read")


@isolated
async def test_who_ends_without_a_word_has_failed() -> None:
    """An end of the process is none of the code."""
    assert (await Sandbox().run("import os; os._exit(0)")).ok is False
    assert (await Sandbox().run("import ctypes; ctypes.string_at(0)")).ok is False
    assert (await Sandbox().run("raise SystemExit")).ok is True


@isolated
async def test_cancelled_is_dead() -> None:
    """No process outlives the call that started it."""
    started = asyncio.Event()
    pids: list[int] = []

    async def answer(name: str, arguments: Mapping[str, Json]) -> Told:
        pids.append(int(str(arguments["pid"])))
        started.set()
        return Told("", ok=True)

    code = "import os, time; call_tool('here', pid=os.getpid()); time.sleep(60)"
    task = asyncio.create_task(Sandbox().run(code, answer=answer))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not Path(f"/proc/{pids[0]}").exists()


@isolated
async def test_the_kernel_knows_it_as_confined() -> None:
    """No capabilities, though the server had all of them; no new ones; a filter; nothing without a limit."""
    status: list[str] = []
    limits: list[str] = []

    async def answer(name: str, arguments: Mapping[str, Json]) -> Told:
        proc = Path(f"/proc/{arguments['pid']}")
        status.extend((proc / "status").read_text(encoding="utf-8").splitlines())
        limits.extend((proc / "limits").read_text(encoding="utf-8").splitlines())
        return Told("", ok=True)

    await Sandbox().run("import os; call_tool('look', pid=os.getpid())", answer=answer)
    fields = dict(line.split(":\t", 1) for line in status)
    assert {int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
    assert (fields["NoNewPrivs"], fields["Seccomp"], fields["Threads"]) == ("1", "2", "1")
    most = {line[:26].strip(): tuple(line[26:].split()[:2]) for line in limits}
    nothing = ("processes", "core file size", "locked memory", "msgqueue size")
    assert {most[f"Max {what}"] for what in nothing} == {("0", "0")}
    own = Limits()
    bounded = {
        "cpu time": own.cpu_s,
        "address space": own.memory,
        "file size": own.disk,
        "open files": own.files,
    }
    assert {what: most[f"Max {what}"][1] for what in bounded} == {what: str(n) for what, n in bounded.items()}


_PARENT = """
import asyncio, sys
from agent.forge.sandbox import Sandbox, Told
async def answer(name, arguments):
    print(arguments["pid"], flush=True)
    return Told("", ok=True)
code = "import os, time; call_tool('here', pid=os.getpid()); time.sleep(60)"
asyncio.run(Sandbox().run(code, answer=answer))
"""


@isolated
def test_nobody_outlives_a_parent_that_was_killed() -> None:
    """However it died."""
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True, cwd=sandbox.ROOT
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        with os.fdopen(os.pidfd_open(child), "rb") as handle:
            parent.kill()
            parent.wait()
            ended, _, _ = select.select([handle], [], [], 30)
        assert ended


# Refusal


@pytest.mark.parametrize("layer", ["_landlock", "_seccomp"])
@isolated
def test_a_layer_that_does_not_hold_is_noticed(layer: str, tmp_path: Path) -> None:
    """Each process tries its own walls before it runs a line."""
    code = (
        "import sys; from agent.forge import confine as c\n"
        f"c.{layer} = lambda *_: None\n"
        "import sysconfig; stdlib = sysconfig.get_path('stdlib')\n"
        f"cell = c.Cell({str(tmp_path)!r}, (stdlib,), 5, 1 << 30, 1 << 20, 64)\n"
        "try: c.confine(cell)\nexcept c.Leak as leak: print(leak)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=sandbox.ROOT
    )
    assert done.stdout.startswith("does not hold: "), done
    assert {"_landlock": "Landlock", "_seccomp": "socket"}[layer] in done.stdout


async def test_where_code_cannot_be_isolated_none_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal names what is missing and what to do."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(Denied, match=r"isolation needs Linux.*leave the forge off"):
        await Sandbox().run("print(1)")


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With its remedy, all at once."""
    if sys.platform != "linux":
        pytest.skip("on Linux alone are there layers to miss")
    monkeypatch.setattr(confine, "SECCOMP", "libnothing.so.0")
    monkeypatch.setattr(platform, "machine", lambda: "vax")
    missing = " ".join(confine.lacking())
    assert "'vax'" in missing
    assert "install libseccomp" in missing
