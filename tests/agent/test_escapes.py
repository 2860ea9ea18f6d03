"""More ways out of the sandbox: what the kernel refuses by name and number, and what ends the process.

Rows of two tables. In the first each line is an attempt that must meet a refusal; all of a row are made by
one process. In the second a row is a process of its own, and what is told of its end.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.deliberate.running import Ran
from agent.forge.extract import MAX_FUNCTIONS, functions, heading
from agent.forge.holding import held
from agent.forge.sandbox import Limits, Sandbox, Told
from memory.types import Json
from tests.agent.attempts import all_refused, isolated, x86

_PARENT = os.getpid()


def _numbered(calls: Mapping[str, tuple[object, ...]]) -> dict[str, str]:
    return {name: f"syscall{arguments!r}" for name, arguments in calls.items()}


_SIGNALS = {
    "owner of the line": f"import fcntl; fcntl.fcntl(LINE, fcntl.F_SETOWN, {_PARENT})",
    "owner of the output": f"import fcntl, struct; fcntl.fcntl(1, 15, struct.pack('ii', 1, {_PARENT}))",
    "signal of its choice": "import fcntl; fcntl.fcntl(LINE, 10, 9)",
    "watch on a folder": "import fcntl; fcntl.fcntl(os.open('.', 0), 1026, 2)",
    "lease": "import fcntl; fcntl.fcntl(os.open('l', 66), 1024, 1)",
    "longer pipe": "import fcntl; fcntl.fcntl(1, 1031, 1 << 20)",
    "FIOSETOWN": f"import fcntl, struct; fcntl.ioctl(LINE, 0x8901, struct.pack('i', {_PARENT}))",
    "SIOCSPGRP": f"import fcntl, struct; fcntl.ioctl(LINE, 0x8902, struct.pack('i', {_PARENT}))",
    "FIOASYNC": "import fcntl; fcntl.ioctl(LINE, 0x5452, b'1234')",
    "key strokes": "import fcntl; fcntl.ioctl(0, 0x5412, b'x')",
}
_PARENT_FILES = {
    **{
        f"{name} ({how})": f"os.open('/proc/{_PARENT}/{name}', {how})"
        for name in ("mem", "fd/0", "fd/1", "fd/2", "environ", "clear_refs", "oom_score_adj", "comm")
        for how in (os.O_RDONLY, os.O_RDWR)
    },
    **{
        f"own {name}": f"os.open('/proc/self/{name}', {how})"
        for name, how in (("mem", 2), ("maps", 0), ("oom_score_adj", 1), ("root/etc/passwd", 0), ("fd", 0))
    },
    **{
        f"through {way}": f"os.listdir('/proc/{_PARENT}/{way}')"
        for way in ("cwd", "root", "map_files", "task")
    },
    "link to its program": f"os.readlink('/proc/{_PARENT}/exe')",
    "the first process": "open('/proc/1/environ', 'rb')",
    "settings of the kernel": "open('/proc/sys/kernel/core_pattern', 'w')",
    "groups of processes": "os.listdir('/sys/fs/cgroup')",
    "messages of the kernel": "open('/dev/kmsg')",
    "shared memory": "os.listdir('/dev/shm')",
    "temporary files": "os.listdir(os.path.dirname(os.getcwd()))",
}
_WORKSPACE = {
    "remove it": "os.rmdir(os.getcwd())",
    "rename it": "os.rename(os.getcwd(), os.getcwd() + 'x')",
    "open it up": "os.chmod(os.getcwd(), 0o777)",
    "folder": "os.mkdir('d')",
    "whiteout": "open('a', 'w').close(); syscall(316, -100, b'a', -100, b'b', 4)",
    "exchange": "open('a', 'w').close(); open('b', 'w').close(); syscall(316, -100, b'a', -100, b'b', 2)",
    "all the disk at once": "os.posix_fallocate(os.open('f', 66), 0, 1 << 20)",
    "file of no name elsewhere": "os.open('/usr/lib', os.O_TMPFILE | os.O_RDWR)",
    "link to an open file": "os.link(f'/proc/self/fd/{os.open(\".\", os.O_TMPFILE | os.O_RDWR)}', 'x')",
    "lock for all": "open('m', 'w').close(); os.chmod('m', 0o4777)",
}
_SHARED = _numbered(
    {
        "shmat": (30, 0, 0, 0),
        "shmctl": (31, 0, 0, 0),
        "semget": (64, 0x7E57, 1, 0o1666),
        "semop": (65, 0, 0, 0),
        "msgsnd": (69, 0, 0, 0, 0),
        "mq_unlink": (241, b"/x"),
        "memfd_create": (319, b"x", 0),
        "memfd_secret": (447, 0),
        "eventfd": (290, 0, 0),
        "signalfd": (289, -1, 0, 8, 0),
        "timerfd_create": (283, 1, 0),
        "timer_create": (222, 1, 0, 0),
        "inotify": (294, 0),
        "fanotify": (300, 0, 0),
        "io_uring_enter": (426, 3, 0, 0, 0, 0, 0),
        "io_uring_register": (427, 3, 0, 0, 0),
        "io_setup": (206, 1, 0),
        "request_key": (249, b"user", b"x", 0, 0),
        "userfaultfd": (323, 1),
        "splice": (275, 0, 0, 1, 0, 1, 0),
        "vmsplice": (278, 1, 0, 0, 0),
        "sendfile": (40, 1, 0, 0, 1),
        "copy_file_range": (326, 0, 0, 1, 0, 1, 0),
        "mlock": (149, 0, 4096),
        "mlockall": (151, 1),
        "sendto": (44, 3, 0, 0, 0, 0, 0),
        "recvmsg": (47, 3, 0, 0),
        "accept": (43, 3, 0, 0),
        "bind": (49, 3, 0, 0),
    }
)
_POWERS = _numbered(
    {
        "trace me": (101, 0, 0, 0, 0),
        "trace the parent": (101, 0x4206, _PARENT, 0, 0),
        "process_madvise": (440, 0, 0, 0, 0, 0),
        "pidfd_send_signal": (424, 0, 15, 0, 0),
        "kill nobody": (62, 2**22 - 1, 0),
        "tkill nobody": (200, 2**22 - 1, 0),
        "tgkill nobody": (234, 2**22 - 1, 2**22 - 1, 0),
        "pidfd_open of nobody": (434, 2**22 - 1, 0),
        "clone3": (435, 0, 0),
        "fork": (57,),
        "execve": (59, b"/bin/true", 0, 0),
        "execveat": (322, 0, b"", 0, 0, 0x1000),
        "live on without a parent": (157, 1, 0, 0, 0, 0),
        "another personality": (135, 0x0040000),
        "segments": (154, 1, 0, 0),
        "ports": (172, 3),
        "accounts": (163, 0),
        "log": (103, 10, 0, 0),
        "pivot_root": (155, b".", b"."),
        "umount": (166, b"/", 2),
        "open_tree": (428, -100, b"/", 1),
        "move_mount": (429, 0, 0, 0, 0, 0),
        "fsopen": (430, b"tmpfs", 0),
        "mount_setattr": (442, 0, 0, 0, 0, 0),
        "capset": (126, 0, 0),
        "setresuid": (117, 0, 0, 0),
        "setgroups": (116, 0, 0),
        "setpgid": (109, 0, 0),
        "setrlimit": (160, 0, 0),
        "limits of the parent": (302, _PARENT, 7, 0, 0),
        "priority by input": (251, 1, 0, 0),
        "scheduler": (314, 0, 0, 0),
        "landlock rule": (445, 0, 0, 0, 0),
        "landlock anew": (446, 0, 0),
    }
)
_REFUSED = {
    "signals by a descriptor": _SIGNALS,
    "files of processes": _PARENT_FILES,
    "the workspace": _WORKSPACE,
    "what is shared": _SHARED,
    "powers": _POWERS,
}


@isolated
@x86
@pytest.mark.parametrize("attempts", _REFUSED.values(), ids=_REFUSED)
async def test_it_is_refused(attempts: Mapping[str, str]) -> None:
    """By the kernel, each."""
    await all_refused(attempts)


_OPENED = """
import ctypes, os, time
def opened(n):
    try: os.fstat(n)
    except OSError: return False
    return True
LINE = [n for n in range(3, 64) if opened(n)][0]
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
"""
_HIDDEN = """
while True:
    f = os.open('x', 66); os.write(f, bytes(1 << 20)); libc.mmap(None, 4096, 1, 2, f, 0); os.close(f)
    {gone}; time.sleep(0.01)
"""
_NATIVE = """
import mmap
m = mmap.mmap(-1, 4096, prot=7); m.write(bytes([0xB8, 20, 0, 0, 0, 0xCD, 0x80, 0xC3]))
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))())
"""
_MADE = {
    "folder": (83, b"d", 0o700),
    "device": (133, b"n", 0o020600, 0x101),
    "pipe": (133, b"p", 0o010600, 0),
    "link": (86, b"own", b"x"),
    "symbolic link": (88, b"own", b"x"),
    "truncated by path": (76, b"own", 0),
    "the same owner": (92, b"own", os.getuid(), os.getgid()),
    "the same mode": (90, b"own", 0o644),
}


@isolated
@x86
async def test_the_filter_holds_without_landlock() -> None:
    """Landlock says EACCES; here EPERM must come first, so that the folder stays flat on any kernel."""
    first = "try: {}\nexcept OSError as error:\n    assert error.errno == 1\n    raise"
    make = "open('own', 'w').close()\n"
    calls = {name: make + first.format(call) for name, call in _numbered(_MADE).items()}
    await all_refused(calls)


_UNREAD = "ended: what it said to its tools cannot be read"
_LATE = Limits(seconds=0.5)
_SMALL = Limits(disk=8 << 20, cpu_s=5)
_ENDED: Mapping[str, tuple[str, Limits, str]] = {
    "files removed and mapped": (_HIDDEN.format(gone="os.unlink('x')"), _SMALL, "mapped files"),
    "files replaced and mapped": (
        _HIDDEN.format(gone="open('y', 'w').close(); os.replace('y', 'x')"),
        _SMALL,
        "mapped files",
    ),
    "files of no name, mapped": (
        _HIDDEN.format(gone="pass").replace("'x', 66", "'.', os.O_TMPFILE | 2"),
        _SMALL,
        "mapped files",
    ),
    "mappings without number": (
        "for n in range(60_000): libc.mmap(None, 4096, n % 2, 34, -1, 0)\ntime.sleep(9)",
        Limits(),
        "mapped files .* too many",
    ),
    "nested words": ("os.write(LINE, b'[' * 200_000 + b'\\n'); time.sleep(9)", Limits(), _UNREAD),
    "nested arguments": (
        'os.write(LINE, b\'{"call": "x", "arguments": \' + b\'{"a":\' * 100_000 + b\'\\n\'); time.sleep(9)',
        Limits(),
        _UNREAD,
    ),
    "endless digits": ("os.write(LINE, b'{\"error\": ' + b'9' * 90_000 + b'}\\n')", Limits(), _UNREAD),
    "no number": (
        'os.write(LINE, b\'{"call": "x", "arguments": {"n": NaN}}\\n\'); time.sleep(9)',
        Limits(),
        _UNREAD,
    ),
    "an infinite number": (
        'os.write(LINE, b\'{"call": "x", "arguments": {"n": 1e999}}\\n\'); time.sleep(9)',
        Limits(),
        _UNREAD,
    ),
    "half a character": ('os.write(LINE, b\'{"error": "\\\\ud800"}\\n\')', Limits(), _UNREAD),
    "half a character in an error": ("raise ValueError(chr(0xD800))", Limits(), r"ValueError: \\ud800"),
    "half a character in a call": ("call_tool('x', n=chr(0xD800))", Limits(), "UnicodeEncodeError"),
    "no number in a call": ("call_tool('x', n=float('nan'))", Limits(), "ValueError: .*JSON"),
    "says that a wall fell": (
        'os.write(LINE, b\'{"leak": "forged"}\\n\'); os._exit(0)',
        Limits(),
        "came to no end",
    ),
    "calls without end": (
        "while True:\n    try: call_tool('x')\n    except ToolError: pass",
        Limits(),
        "called tools more than 1000 times",
    ),
    "calls without listening": (
        'while True: os.write(LINE, b\'{"call": "x", "arguments": {}}\\n\')',
        _LATE,
        "took more than|called tools more than",
    ),
    "stops itself": (f"getattr(libc, 'raise')({int(signal.SIGSTOP)})", _LATE, "took more than"),
    "closes all it has": ("os.closerange(0, 64); time.sleep(9)", _LATE, "took more than"),
    "writes when its time is up": (
        "import signal\nsignal.signal(signal.SIGALRM, lambda *_: os.write(1, b'late'))\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.7, 0.01)\nwhile True: time.sleep(9)",
        _LATE,
        "^ended: it took more than",
    ),
    "calls of 32 bits": (_NATIVE, Limits(), f"status -{int(signal.SIGSYS)}|status -{int(signal.SIGSEGV)}"),
}


async def _ran(code: str, limits: Limits) -> tuple[Ran, int, Path]:
    """What came of code, its process and its folder."""
    where: list[tuple[int, str]] = []

    async def answer(name: str, arguments: Mapping[str, Json]) -> Told:
        if name == "here":
            where.append((int(str(arguments["pid"])), str(arguments["folder"])))
        return Told("", ok=name == "here")

    here = "import os; call_tool('here', pid=os.getpid(), folder=os.getcwd())\n"
    ran = await Sandbox(limits).run(here + _OPENED + code, answer=answer)
    return ran, where[0][0], Path(where[0][1])


@isolated
@x86
@pytest.mark.parametrize(("code", "limits", "why"), _ENDED.values(), ids=_ENDED)
async def test_it_ends(code: str, limits: Limits, why: str) -> None:
    """With that reason, and nothing is left: no process, no folder, not a word."""
    ran, pid, folder = await _ran(code, limits)
    assert (ran.ok, ran.out) == (False, "")
    assert re.search(why, ran.error), ran
    assert not Path(f"/proc/{pid}").exists()
    assert not folder.exists()


@isolated
async def test_what_waits_for_the_end_of_python_does_not_run() -> None:
    """The last word was said, so nobody would read what comes after it."""
    code = (
        "import atexit, weakref\natexit.register(print, 'late')\n"
        "class Late:\n    def __del__(self): print('late')\nlate = Late()"
    )
    ran, _, _ = await _ran(code, Limits())
    assert ran == Ran(True, "")


def test_what_is_held_is_counted(tmp_path: Path) -> None:
    """Names, bytes, files without a name; of a process that is gone nothing."""
    (tmp_path / "a").write_bytes(bytes(1 << 16))
    (tmp_path / "b").touch()
    found = held(tmp_path, os.getpid(), 9)
    assert (found.files, found.hidden) == (2, False)
    with (tmp_path / "c").open("wb") as file:
        file.write(bytes(1 << 20))
        file.flush()
        (tmp_path / "c").unlink()
        assert held(tmp_path, os.getpid(), 9).disk >= found.disk + (1 << 20)
    assert held(tmp_path, os.getpid(), 1).files == 2
    assert held(tmp_path / "none", 2**22 + 1, 9).disk == 0


_DOC = ":\n    '''Say.\n\n    >>> 1\n    1\n    '''\n    return 1\n"


def test_who_reads_a_script_is_not_kept_busy_or_broken() -> None:
    """What is nested or chained too far is not kept, with the reason."""
    chain = "".join(f"def f{n}(x: int) -> int{_DOC}    f{n + 1}(x)\n" for n in range(MAX_FUNCTIONS + 1))
    assert functions(chain).tools == ()
    assert f"at most {MAX_FUNCTIONS}" in functions(chain).left[0]
    for deep in (f"x: {'int | ' * 900}int) -> int", f"x: int) -> {'list[' * 190}int{']' * 190}"):
        assert "more than 200 parts" in functions(f"def f({deep}{_DOC}").left[0]
    for bomb in ("-" * 99_000 + "1", "1+" * 49_000 + "1", "a" + ".a" * 49_000, "a" + "()" * 49_000):
        assert functions(bomb) == functions("")
    assert heading(functions(f"def f(x: int) -> int{_DOC}").tools[0]) == "f(x: int) -> int: Say."
