"""Puts a function of ours in the place of one that SQLite imports from libc, in this process alone.

No compiler, no privilege and no second file system are needed: the loader has written the address of each
imported function into a slot of the library, and the slot can be written again (ELF, 64 bits).
"""

import ctypes
import ctypes.util
import errno
import mmap
import os
from collections.abc import Callable, Iterator
from typing import Final

Decide = Callable[[], int]
"""Says with which errno a call fails; 0: it does what it always does."""

_DT_PLTRELSZ, _DT_STRTAB, _DT_SYMTAB, _DT_RELA, _DT_RELASZ, _DT_JMPREL = 2, 5, 6, 7, 8, 23
_RELA_SIZE: Final = 24
_SYMBOL_SIZE: Final = 24
_JOURNAL: Final = "outbox.db"

_LIBC: Final = ctypes.CDLL(None, use_errno=True)
_Call = ctypes.CFUNCTYPE(
    ctypes.c_ssize_t, ctypes.c_int, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_size_t, use_errno=True
)
_kept: list[object] = []
"""Callbacks must outlive the library that calls them."""


class _LinkMap(ctypes.Structure):
    """One loaded object, as the loader lists it."""


_LinkMap._fields_ = [
    ("address", ctypes.c_size_t),
    ("name", ctypes.c_char_p),
    ("dynamic", ctypes.c_void_p),
    ("next", ctypes.c_void_p),
    ("previous", ctypes.c_void_p),
]


def interpose(name: str, decide: Decide) -> int:
    """Ask `decide` before each call of this on a file of the journal; return how many imports changed."""
    original = _Call(ctypes.cast(getattr(_LIBC, name), ctypes.c_void_p).value or 0)

    def ours(descriptor: int, first: int, second: int, third: int) -> int:
        error = decide() if _is_of_journal(descriptor) else 0
        if error:
            ctypes.set_errno(error)
            return -1
        return int(original(descriptor, first, second, third))

    callback = _Call(ours)
    _kept.append(callback)
    address = ctypes.cast(callback, ctypes.c_void_p).value or 0
    slots = [slot for loaded in _objects() for slot in _slots(loaded, name.encode())]
    for slot in slots:
        _write(slot, address)
    return len(slots)


def _is_of_journal(descriptor: int) -> bool:
    try:
        return os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")).startswith(_JOURNAL)  # noqa: PTH115, PTH119 - on each write: cheap
    except OSError:
        return False


def _objects() -> list[_LinkMap]:
    """Return the loaded objects that hold SQLite: its own library and Python's module, else Python itself.

    Python's own imports are left alone wherever they can be: its signal handler calls `write` too, and a
    signal that comes while a thread waits for the interpreter would then deadlock or crash it.
    """
    import _sqlite3  # noqa: PLC0415 - loads the library that is to be changed

    del _sqlite3
    loaded = dict(_loaded())
    return [link for name, link in loaded.items() if b"sqlite" in name] or [
        link for name, link in loaded.items() if not name or b"python" in name
    ]


def _loaded() -> Iterator[tuple[bytes, _LinkMap]]:
    at = _LIBC._handle
    while at:
        link = ctypes.cast(ctypes.c_void_p(at), ctypes.POINTER(_LinkMap))
        yield os.path.basename(link.contents.name or b""), link.contents  # noqa: PTH119 - bytes
        at = link.contents.next


def _slots(loaded: _LinkMap, name: bytes) -> Iterator[int]:
    """Yield the addresses at which this object keeps its import of a name."""
    table = _dynamic(loaded)
    for start, size in ((_DT_RELA, _DT_RELASZ), (_DT_JMPREL, _DT_PLTRELSZ)):
        for place in range(table.get(start, 0), table.get(start, 0) + table.get(size, 0), _RELA_SIZE):
            offset, info = (ctypes.c_uint64.from_address(place + at).value for at in (0, 8))
            if info >> 32 and _symbol(table, info >> 32) == name:
                yield loaded.address + offset


def _dynamic(loaded: _LinkMap) -> dict[int, int]:
    """Read the object's table of tables; glibc has made its pointers absolute, musl has not."""
    table: dict[int, int] = {}
    place = loaded.dynamic or 0
    while place and (tag := ctypes.c_int64.from_address(place).value):
        table[tag] = ctypes.c_uint64.from_address(place + 8).value
        place += 16
    for tag in (_DT_STRTAB, _DT_SYMTAB, _DT_RELA, _DT_JMPREL):
        if 0 < table.get(tag, 0) < loaded.address:
            table[tag] += loaded.address
    return table


def _symbol(table: dict[int, int], index: int) -> bytes:
    entry = table[_DT_SYMTAB] + index * _SYMBOL_SIZE
    return ctypes.string_at(table[_DT_STRTAB] + ctypes.c_uint32.from_address(entry).value)


def _write(slot: int, address: int) -> None:
    page = slot & ~(mmap.PAGESIZE - 1)
    writable = mmap.PROT_READ | mmap.PROT_WRITE
    if _LIBC.mprotect(ctypes.c_void_p(page), ctypes.c_size_t(mmap.PAGESIZE), writable):
        raise OSError(ctypes.get_errno(), errno.errorcode[ctypes.get_errno()])
    ctypes.c_size_t.from_address(slot).value = address
