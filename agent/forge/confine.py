"""How a process shuts itself in for good: Landlock, seccomp, resource limits, no capabilities.

Standard library alone: this runs in the process that will run foreign code, before that code. What one layer
leaves open another closes: Landlock knows files, seccomp the calls that Landlock does not know (change of
mode and owner, signals, processes, every kind of socket), limits bound what is left. The kernel enforces all
of it; nothing here rests on what Python lets its code see. What stays visible: the names, sizes and times of
files elsewhere, to who knows their paths.

Source: Landlock (kernel.org, userspace-api/landlock), libseccomp(3).
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from errno import EPERM

SECCOMP = "libseccomp.so.2"
MACHINES = ("x86_64", "aarch64")
"""Those on which the first argument of `clone` holds its flags; there alone is the filter right."""

_CREATE, _ADD, _RESTRICT = 444, 445, 446
_WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 1, 1 << 2, 1 << 3
_REMOVE_FILE, _MAKE_REG, _TRUNCATE = 1 << 5, 1 << 8, 1 << 14
_FILES_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15}
"""How many rights on files a version of Landlock knows; from version 5 on 16."""
_NO_NEW_PRIVS, _PDEATHSIG, _SIGKILL = 38, 1, 9
_ALLOW, _EPERM = 0x7FFF0000, 0x00050000 | EPERM
_EQ = 4

_CALLS = """
read write readv writev pread64 pwrite64 preadv pwritev lseek close close_range dup dup2 dup3 fsync fdatasync
open openat access faccessat faccessat2 stat lstat fstat newfstatat fstatat64 statx statfs fstatfs readlink
readlinkat getcwd chdir getdents64 rename renameat unlink unlinkat ftruncate flock
mmap munmap mprotect mremap madvise brk msync poll ppoll select pselect6 pipe pipe2 epoll_create1 epoll_ctl
epoll_wait epoll_pwait rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending sigaltstack futex futex_waitv
set_robust_list rseq membarrier getpid gettid getppid getuid geteuid getgid getegid getpgrp getpgid getsid
getgroups getrusage getrlimit times sysinfo uname umask clock_gettime clock_getres clock_nanosleep nanosleep
gettimeofday time alarm setitimer getitimer pause restart_syscall getrandom sched_yield sched_getaffinity
exit exit_group
"""
"""All else is refused, what future kernels bring too. Not here, on purpose: whatever makes a process, a
thread, a socket, shared memory or a link; `chmod`, `chown`, `utimensat`, `setxattr`, which Landlock leaves
alone; `truncate` by path; `fallocate`, which takes a disk faster than anybody looks; signals; `ptrace` and
its kin; every call about another process."""
_FCNTL = (0, 1, 2, 3, 4, 5, 6, 7, 36, 37, 38, 1030, 1032)
"""Duplicates, flags and locks. F_SETOWN would have the kernel signal another process for us."""
_IOCTL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""Is it a terminal, how wide is it, how much can be read, blocking, close on exec."""
_NARROWED = (
    ("fcntl", 1, _FCNTL),
    ("ioctl", 1, _IOCTL),
    ("prlimit64", 0, (0,)),  # of itself
    ("renameat2", 4, (0,)),  # with a flag it makes devices
)
"""Calls that are allowed with some values of one argument: its place, those values."""


class Leak(Exception):
    """A layer cannot be put up, or does not hold."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a confined process may still do."""

    workspace: str
    """The one folder it may write to; flat, without links."""
    reads: tuple[str, ...]
    """Folders and files that it may read."""
    cpu_s: int
    memory: int
    """Bytes of address space."""
    file_size: int
    """Bytes of one file."""
    files: int
    """Open at once."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


class _Compare(ctypes.Structure):
    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("a", ctypes.c_uint64),
        ("b", ctypes.c_uint64),
    )


def lacking() -> tuple[str, ...]:
    """What this machine lacks to confine a process, each with its remedy; nothing where it can be done."""
    if sys.platform != "linux":
        return (f"the system is {sys.platform!r}: isolation needs Linux, e.g. in a virtual machine",)
    missing = []
    if platform.machine() not in MACHINES:
        missing.append(f"the processor is {platform.machine()!r}: the filter is for {', '.join(MACHINES)}")
    if _landlock_abi() < 1:
        missing.append("the kernel has no Landlock: boot Linux 5.13 or newer with lsm=landlock,…")
    try:
        ctypes.CDLL(SECCOMP)
    except OSError:
        missing.append(f"there is no {SECCOMP}: install libseccomp (Debian and Ubuntu: libseccomp2)")
    return tuple(missing)


def confine(cell: Cell) -> None:
    """Shut this process in, for good, and prove it. Raises Leak."""
    _prctl(_PDEATHSIG, _SIGKILL)
    _prctl(_NO_NEW_PRIVS, 1)
    _limit(cell)
    _drop_capabilities()
    _landlock(cell)
    _seccomp()
    open_still = [name for name, attempt in _ATTEMPTS if not _is_refused(attempt)]
    if open_still:
        raise Leak(f"does not hold: {', '.join(open_still)}")


def _is_refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (PermissionError, BlockingIOError):
        return True
    return False


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _connect() -> None:
    import _socket  # what `socket` is made of, a tenth of its price

    _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM).close()


def _read_outside() -> None:
    with open("/proc/self/environ", "rb"):  # noqa: PTH123
        pass


def _change_mode() -> None:
    """To what it is: where nothing hinders it, nothing is changed."""
    os.chmod(".", os.stat(".").st_mode & 0o7777)  # noqa: PTH101, PTH116


_ATTEMPTS: tuple[tuple[str, Callable[[], object]], ...] = (
    ("files (Landlock): /proc can be read", _read_outside),
    ("files (Landlock): / can be listed", lambda: os.listdir("/")),  # noqa: PTH208
    ("seccomp: a socket can be made", _connect),
    ("seccomp: a process can be made", _fork),
    ("seccomp: another process can be signalled", lambda: os.kill(os.getppid(), 0)),
    ("seccomp: a mode can be changed", _change_mode),
)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0):
        raise Leak(f"prctl {option}: {os.strerror(ctypes.get_errno())}")


def _limit(cell: Cell) -> None:
    limits = {
        resource.RLIMIT_CPU: cell.cpu_s,
        resource.RLIMIT_AS: cell.memory,
        resource.RLIMIT_FSIZE: cell.file_size,
        resource.RLIMIT_NOFILE: cell.files,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for which, most in limits.items():
        resource.setrlimit(which, (most, most))


def _drop_capabilities() -> None:
    """A server that runs as root must not lend its powers."""
    libc = ctypes.CDLL(None, use_errno=True)
    header, none = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capset(header, none):
        raise Leak(f"capset: {os.strerror(ctypes.get_errno())}")


def _syscall(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    done = int(libc.syscall(ctypes.c_long(number), *arguments))
    if done < 0:
        raise Leak(f"system call {number}: {os.strerror(ctypes.get_errno())}")
    return done


def _landlock_abi() -> int:
    try:
        return _syscall(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except Leak:
        return 0


def _landlock(cell: Cell) -> None:
    """No file but those named; where the kernel knows them, no TCP, signals and abstract sockets either."""
    abi = _landlock_abi()
    files = (1 << _FILES_BY_ABI.get(abi, 16)) - 1
    rules = _Ruleset(files, 0b11 if abi >= 4 else 0, 0b11 if abi >= 6 else 0)
    size = 8 if abi < 4 else 16 if abi < 6 else 24
    ruleset = _syscall(_CREATE, ctypes.byref(rules), ctypes.c_size_t(size), ctypes.c_uint32(0))
    for path in cell.reads:
        _grant(ruleset, path, _READ_FILE | _READ_DIR)
    _grant(ruleset, "/dev/null", _READ_FILE | _WRITE_FILE)
    at_work = _READ_FILE | _READ_DIR | _WRITE_FILE | _REMOVE_FILE | _MAKE_REG | _TRUNCATE
    _grant(ruleset, cell.workspace, at_work & files)
    _syscall(_RESTRICT, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    os.close(ruleset)


def _grant(ruleset: int, path: str, rights: int) -> None:
    try:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    # A rule for a file may not speak of folders.
    is_folder = os.path.isdir(path)  # noqa: PTH112 - pathlib would be one import more in here
    beneath = _Beneath(rights if is_folder else rights & ~_READ_DIR, parent)
    _syscall(_ADD, ctypes.c_int(ruleset), ctypes.c_int(1), ctypes.byref(beneath), ctypes.c_uint32(0))
    os.close(parent)


def _seccomp() -> None:
    """Refuse every call that is not named."""
    lib = ctypes.CDLL(SECCOMP)
    lib.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(lib.seccomp_init(ctypes.c_uint32(_EPERM)))
    for name in _CALLS.split():
        _allow(lib, context, name)
    for name, place, values in _NARROWED:
        for value in values:
            _allow(lib, context, name, (_Compare(place, _EQ, value, 0),))
    _allow(lib, context, "tgkill", (_Compare(0, _EQ, os.getpid(), 0),))
    if lib.seccomp_load(context):
        raise Leak("seccomp: the filter was not taken")


def _allow(lib: ctypes.CDLL, context: ctypes.c_void_p, name: str, compare: Sequence[_Compare] = ()) -> None:
    number = lib.seccomp_syscall_resolve_name(name.encode())
    if number < 0:  # not on this machine
        return
    array = (_Compare * len(compare))(*compare)
    if lib.seccomp_rule_add_array(context, ctypes.c_uint32(_ALLOW), number, len(compare), array):
        raise Leak(f"seccomp: no rule for {name}")
