"""A disk that loses power, fills up and fails, under the real SQLite: an apsw VFS in memory.

Fault model. A write is in the file at once and on the disk only after `xSync`. When power is lost,
each 512-byte sector of each unsynced write is kept or lost on its own (torn writes), and so is each
truncation; with `garbage` a sector that was being written may also hold anything. Files created and
deleted since the last sync come and go in the order in which they were: some first of these
operations are kept. From the loss on every call fails, until the disk is started again. One
operation can be made to fail in two ways, *not done* or *done but reported failed*; a full disk
refuses writes that make a file longer.

Handles from before a loss stay dead, so that a forgotten connection cannot write into the next
life. One connection at a time: there are no locks and no shared memory (exclusive locking mode).
Tests and torture only. Source: SQLite's testing page (crash tests); reliability targets.
"""

import random
from collections.abc import Callable, Mapping
from enum import Enum, auto
from itertools import count
from typing import Any, Final, NamedTuple

import apsw

SECTOR_BYTES: Final = 512


_NUMBERS: Final = count()


class Fault(Enum):
    """How an operation fails."""

    NOT_DONE = auto()
    DONE_BUT_FAILED = auto()


class _Write(NamedTuple):
    """An unsynced change of a file: bytes at an offset, or (None) a truncation to it."""

    offset: int
    data: bytes | None


class _Content:
    """A file's bytes as programs see them, as they are on the disk, and what lies between."""

    def __init__(self) -> None:
        self.now = bytearray()
        self.durable = bytearray()
        self.unsynced: list[_Write] = []

    def change(self, write: _Write) -> None:
        _apply(self.now, write)
        self.unsynced.append(write)

    def sync(self) -> None:
        for write in self.unsynced:
            _apply(self.durable, write)
        self.unsynced.clear()

    def lose_power(self, draw: random.Random, *, garbage: bool) -> None:
        for offset, data in self.unsynced:
            if data is None:
                if draw.random() < 0.5:
                    _apply(self.durable, _Write(offset, None))
                continue
            at = offset
            while at < offset + len(data):
                end = min(offset + len(data), at - at % SECTOR_BYTES + SECTOR_BYTES)
                fate = draw.random()
                if fate < 0.5:
                    _apply(self.durable, _Write(at, data[at - offset : end - offset]))
                elif garbage and fate < 0.6:
                    start = at - at % SECTOR_BYTES
                    _apply(self.durable, _Write(start, draw.randbytes(SECTOR_BYTES)))
                at = end
        self.unsynced.clear()
        self.now = bytearray(self.durable)


def _apply(image: bytearray, write: _Write) -> None:
    if write.data is None:
        del image[write.offset :]
        return
    if len(image) < write.offset:
        image.extend(bytes(write.offset - len(image)))
    image[write.offset : write.offset + len(write.data)] = write.data


class Disk:
    """Files in memory, and everything that can happen to them."""

    def __init__(self, *, garbage: bool = False) -> None:
        """Make an empty disk; with `garbage` a torn sector may hold anything."""
        self.garbage = garbage
        self.files: dict[str, _Content] = {}
        self.operations = 0
        """Writes, truncations, syncs and deletions so far."""
        self.life = 0
        self.dead = False
        self.bytes_max: int | None = None
        self._durable: dict[str, _Content] = {}
        self._renamings: list[tuple[str, _Content | None]] = []
        self._power_until: int | None = None
        self._mounts: list[PowerLossVFS] = []
        self._fault: tuple[int, Fault] | None = None

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(len(content.now) for content in self.files.values())

    @classmethod
    def holding(cls, image: Mapping[str, bytes], *, garbage: bool = False) -> "Disk":
        """Make a disk that has these files, durable."""
        disk = cls(garbage=garbage)
        disk.restore(image)
        return disk

    def image(self) -> dict[str, bytes]:
        """Return a copy of every file as programs see it: a backup, or what another disk begins with."""
        return {name: bytes(content.now) for name, content in self.files.items()}

    def restore(self, image: Mapping[str, bytes]) -> None:
        """Hold these files and no others, durable; whoever had a file open has lost it."""
        self._renamings.clear()
        self.files = {}
        for name, data in image.items():
            content = self.files[name] = _Content()
            content.now = bytearray(data)
            content.durable = bytearray(data)
        self._durable = dict(self.files)
        self.reopen()
        self.dead = False

    def mount(self) -> str:
        """Return the name of a `vfs` for connections of this life."""
        if not self._mounts or self._mounts[-1].life != self.life:
            self._mounts.append(PowerLossVFS(self, f"power-loss-{next(_NUMBERS)}"))
        return self._mounts[-1].mount_name

    def cut_power_after(self, operations: int) -> None:
        """Lose power at the operation that comes `operations` from now (0: the next)."""
        self._power_until = self.operations + operations

    def fail_after(self, operations: int, fault: Fault) -> None:
        """Let one operation fail, `operations` from now (0: the next)."""
        self._fault = (self.operations + operations, fault)

    def restart(self, draw: random.Random) -> None:
        """Decide what the disk still holds after the loss, and start it again."""
        kept = draw.randrange(len(self._renamings) + 1)
        for name, content in self._renamings[:kept]:
            _rename(self._durable, name, content)
        self._renamings.clear()
        self.files = dict(self._durable)
        for name in sorted(self.files):
            self.files[name].lose_power(draw, garbage=self.garbage)
        self.mend()
        self.life += 1
        self.dead = False

    def reopen(self) -> None:
        """Let the processes that had files open be gone; the disk itself goes on."""
        self.mend()
        self.life += 1

    def mend(self) -> None:
        """Forget every loss and fault that has not happened yet."""
        self._power_until = self._fault = self.bytes_max = None

    def alive(self, life: int) -> None:
        """Raise unless a handle of `life` may still be used."""
        if self.dead or life != self.life:
            raise apsw.IOError("the power is lost")

    def operate(self, life: int, work: Callable[[], None], *, grows_to: int = 0) -> None:
        """Do one operation that changes the disk, or let it fail as was ordered."""
        self.alive(life)
        number = self.operations
        self.operations += 1
        if self._power_until is not None and number >= self._power_until:
            self.dead = True
            work()  # It may have begun; how much of it is kept is drawn at the restart.
            raise apsw.IOError("the power is lost")
        if self.bytes_max is not None and self.size + grows_to > self.bytes_max:
            raise apsw.FullError("the disk is full")
        if self._fault is not None and number == self._fault[0]:
            if self._fault[1] is Fault.DONE_BUT_FAILED:
                work()
            raise apsw.IOError("this operation was made to fail")
        work()

    def open(self, name: str) -> _Content:
        """Return a file's content; a new file is on the disk once it is synced."""
        if name not in self.files:
            content = _Content()
            self.files[name] = content
            self._renamings.append((name, content))
        return self.files[name]

    def delete(self, name: str, *, sync: bool) -> None:
        """Remove a file; on the disk only after a sync."""
        del self.files[name]
        self._renamings.append((name, None))
        if sync:
            self.sync_names()

    def sync_names(self) -> None:
        """Make every creation and deletion so far durable."""
        for name, content in self._renamings:
            _rename(self._durable, name, content)
        self._renamings.clear()


def _rename(names: dict[str, _Content], name: str, content: _Content | None) -> None:
    if content is None:
        names.pop(name, None)
    else:
        names[name] = content


class PowerLossVFS(apsw.VFS):
    """SQLite's file system on one life of a `Disk`."""

    def __init__(self, disk: Disk, name: str) -> None:
        """Register the file system under `name`; a connection names it as its `vfs`."""
        self.disk = disk
        self.life = disk.life
        self.mount_name = name
        super().__init__(name, "", maxpathname=1_024)

    # apsw asks for an object with these methods, its types for one that opens a real file.
    def xOpen(self, name: object, flags: list[int]) -> Any:  # noqa: N802
        """Open or create a file."""
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self.disk.alive(self.life)
        flags[1] = flags[0]
        return _File(self.disk, path)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802
        """Delete a file."""
        if filename not in self.disk.files:
            error = apsw.IOError("there is no such file")
            setattr(error, "extendedresult", apsw.SQLITE_IOERR_DELETE_NOENT)  # noqa: B010 - not in its types
            raise error
        disk = self.disk
        disk.operate(self.life, lambda: disk.delete(filename, sync=syncdir))

    def xAccess(self, pathname: str, flags: int) -> bool:  # noqa: N802, ARG002
        """Tell whether a file is there and not empty."""
        content = self.disk.files.get(pathname)
        return content is not None and len(content.now) > 0

    def xFullPathname(self, name: str) -> str:  # noqa: N802
        """Every name is a full one."""
        return name


class _File:
    """One open file of one life of the disk."""

    def __init__(self, disk: Disk, path: str) -> None:
        self._disk = disk
        self._life = disk.life
        self._content = disk.open(path)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        self._disk.alive(self._life)
        return bytes(self._content.now[offset : offset + amount])

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802
        growth = max(0, offset + len(data) - len(self._content.now))
        write = _Write(offset, bytes(data))
        self._disk.operate(self._life, lambda: self._content.change(write), grows_to=growth)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802
        self._disk.operate(self._life, lambda: self._content.change(_Write(newsize, None)))

    def xSync(self, flags: int) -> None:  # noqa: N802, ARG002
        def sync() -> None:
            if not self._disk.dead:  # A sync that the loss interrupted promises nothing.
                self._content.sync()
                self._disk.sync_names()

        self._disk.operate(self._life, sync)

    def xFileSize(self) -> int:  # noqa: N802
        self._disk.alive(self._life)
        return len(self._content.now)

    def xClose(self) -> None:  # noqa: N802
        """Nothing to do: a file's life does not end with its handle."""

    def xLock(self, level: int) -> None:  # noqa: N802
        """One connection at a time: nobody to keep out."""

    def xUnlock(self, level: int) -> None:  # noqa: N802
        """See `xLock`."""

    def xCheckReservedLock(self) -> bool:  # noqa: N802
        return False

    def xFileControl(self, op: int, ptr: int) -> bool:  # noqa: N802, ARG002
        return False

    def xSectorSize(self) -> int:  # noqa: N802
        return SECTOR_BYTES

    def xDeviceCharacteristics(self) -> int:  # noqa: N802
        # As on a real disk, SQLite may trust that bytes beside a write stay; not with garbage.
        return 0 if self._disk.garbage else apsw.SQLITE_IOCAP_POWERSAFE_OVERWRITE
