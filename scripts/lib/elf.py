"""What a program for Linux needs to be started: read from the file itself (System V ABI, chapters 4 and 5)."""

import struct

from console import Failure

STRTAB, RPATH, RUNPATH, NEEDED = 5, 15, 29, 1
VERNEED, VERNEEDNUM = 0x6FFFFFFE, 0x6FFFFFFF


class Program:
    """The dynamic section of a 64-bit little-endian ELF file."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            self._data = file.read()
        if self._data[:6] != b"\x7fELF\x02\x01":
            raise Failure(f"{path} is no 64-bit program of Linux.")
        try:
            self._read()
        except (struct.error, IndexError, KeyError):
            raise Failure(f"{path} is damaged.")

    def _read(self):
        (offset,) = struct.unpack_from("<Q", self._data, 32)
        size, count = struct.unpack_from("<HH", self._data, 54)
        headers = [struct.unpack_from("<IIQQQQQQ", self._data, offset + size * index) for index in range(count)]
        self._loads = [(header[3], header[5], header[2]) for header in headers if header[0] == 1]
        entries = []
        for kind, _, start, _, _, length, _, _ in headers:
            if kind == 2:
                entries = [struct.unpack_from("<qQ", self._data, start + 16 * index) for index in range(length // 16)]
        tags = dict(entries)
        self._strings = self._place(tags[STRTAB]) if entries else 0
        #: Libraries that it asks for by name.
        self.libraries = [self._string(value) for tag, value in entries if tag == NEEDED]
        #: Folders that it looks for libraries in.
        self.search_paths = [
            path for tag, value in entries if tag in (RPATH, RUNPATH) for path in self._string(value).split(":") if path
        ]
        #: Versions of a library's symbols that it needs: {library: {version}}.
        self.versions = self._versions(tags)

    def _versions(self, tags):
        found = {}
        if VERNEED not in tags:
            return found
        place = self._place(tags[VERNEED])
        for _ in range(tags[VERNEEDNUM]):
            _, count, name, first, following = struct.unpack_from("<HHIII", self._data, place)
            names, entry = found.setdefault(self._string(name), set()), place + first
            for _ in range(count):
                _, _, _, version, next_entry = struct.unpack_from("<IHHII", self._data, entry)
                names.add(self._string(version))
                entry += next_entry
            place += following
        return found

    def _place(self, address):
        """Where in the file an address is."""
        for start, length, offset in self._loads:
            if start <= address < start + length:
                return address - start + offset
        raise KeyError(address)

    def _string(self, offset):
        start = self._strings + offset
        return self._data[start : self._data.index(b"\0", start)].decode()

    def newest(self, prefix):
        """The newest version of symbols with a prefix, such as GLIBC_, as text; empty when none is needed."""
        numbers = [
            tuple(int(part) for part in version[len(prefix) :].split("."))
            for versions in self.versions.values()
            for version in versions
            if version.startswith(prefix) and version[len(prefix) :].replace(".", "").isdigit()
        ]
        return ".".join(str(part) for part in max(numbers)) if numbers else ""
