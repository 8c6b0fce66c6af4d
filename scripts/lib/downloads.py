"""Downloads pinned files: resumed where they stopped, retried, checked, and only then given their name."""

import hashlib
import http.client
import os
import shutil
import ssl
import time
import typing
import urllib.error

from console import ByteProgress, Failure, require_space, say
from packages import Index, host, reason

ATTEMPTS = 5  # in a row without a single byte gained; pauses of 1, 2, 4 and 8 seconds between them
CHUNK = 1 << 18


class Pin(typing.NamedTuple):
    """A file of a package, by everything that identifies it."""

    package: str
    name: str
    size: int
    sha256: str


class Downloader:
    """Fetches pins into a folder. The caller holds a lock on the folder."""

    def __init__(self):
        self._index = Index()

    def fetch(self, pin, folder, label=None):
        """Returns the path of the checked file. `NAME.part` beside it holds what has arrived so far."""
        label = label or pin.name
        path = folder / pin.name
        part = folder / (pin.name + ".part")
        folder.mkdir(parents=True, exist_ok=True)
        if path.exists():
            os.replace(path, part)  # checked like any other part
        done = part.stat().st_size if part.exists() else 0
        if done < pin.size:
            done = self._copy_local(pin, part) or done
        if done < pin.size:
            require_space(folder, pin.size - done + (16 << 20), f"downloading {pin.name}")
            self._download(pin, part, label)
        _check(pin, part)
        os.replace(part, path)
        return path

    def _copy_local(self, pin, part):
        source = self._index.local_file(pin.name)
        if source is None or source.stat().st_size != pin.size:
            return 0
        say(f"copying {source}")
        shutil.copyfile(source, part)
        return pin.size

    def _download(self, pin, part, label):
        failures = 0
        address = None
        while True:
            before = part.stat().st_size if part.exists() else 0
            where = host(address or self._index.main_address())
            try:
                if address is None:
                    address = self._index.file_address(pin.package, pin.name)
                    where = host(address)
                self._receive(pin, address, part, label)
                if part.stat().st_size >= pin.size:
                    return
                error = http.client.IncompleteRead(b"")
                why = "the connection closed early"
            except urllib.error.HTTPError as caught:
                # 4xx stay as they are however often one asks, but for "too slow" and "too many".
                if caught.code < 500 and caught.code not in (408, 425, 429):
                    raise Failure(f"{pin.name} can't be downloaded from {where}: {reason(caught)}.")
                error, why = caught, reason(caught)
            except _Broken as caught:
                error, why = caught.cause, reason(caught.cause)
            except (urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as caught:
                error, why = caught, reason(caught)
            gained = part.exists() and part.stat().st_size > before
            failures = 1 if gained else failures + 1
            if failures >= ATTEMPTS or isinstance(getattr(error, "reason", None), ssl.SSLCertVerificationError):
                raise Failure(
                    f"{pin.name} can't be downloaded from {where} ({why}): check the network, the proxy"
                    " (HTTPS_PROXY) and the index that 'python3 -m pip config list' shows; what has arrived is kept."
                )
            pause = 1 << (failures - 1)
            say(f"{where}: {why}; trying again in {pause} s")
            time.sleep(pause)

    def _receive(self, pin, address, part, label):
        """Appends to the part what the server still has to send; returns when the connection ends."""
        done = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={done}-"} if done else {}
        with self._index.open(address, headers) as response, open(part, "ab") as file:
            resumed = response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
            if done and not resumed:
                done = 0  # this server sends the whole file or nothing
                file.truncate(0)
            progress = ByteProgress(label, pin.size, done)
            try:
                while done <= pin.size:
                    try:
                        chunk = response.read(CHUNK)
                    except (OSError, http.client.HTTPException) as error:
                        raise _Broken(error)
                    if not chunk:
                        break
                    file.write(chunk)
                    done += len(chunk)
                    progress.update(done)
                progress.update(done, always=done >= pin.size)
            finally:
                progress.close()


class _Broken(Exception):
    """A connection that broke while reading; told apart from a disk that failed while writing."""

    def __init__(self, cause):
        self.cause = cause


def _check(pin, part):
    size = part.stat().st_size
    actual = sha256(part)
    if actual != pin.sha256:
        part.unlink()
        raise Failure(
            f"{pin.name} has the SHA-256 {actual} ({size} bytes) where {pin.sha256} ({pin.size} bytes) is expected;"
            " it was deleted, and running the same command again downloads it anew."
        )


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for chunk in iter(lambda: file.read(1 << 20), b""):
            digest.update(chunk)
    return digest.hexdigest()
