"""What the scripts say and how they end: messages, progress, locks, one sentence per failure.

Everything for people goes to standard error; standard output belongs to results.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import sys
import time


class Failure(Exception):
    """A failure that its user can act on. The text is one sentence, complete as it stands."""


def say(text):
    print(text, file=sys.stderr, flush=True)


class Progress:
    """One line that is redrawn on a terminal, and a new line every few seconds elsewhere."""

    INTERVAL_TERMINAL = 0.1
    INTERVAL_LOG = 5.0

    def __init__(self):
        self.terminal = sys.stderr.isatty()
        self.interval = self.INTERVAL_TERMINAL if self.terminal else self.INTERVAL_LOG
        # A log's first line waits a whole interval: short steps then cost only their closing line.
        self.shown = 0.0 if self.terminal else time.monotonic()
        self.open_line = False

    def is_due(self):
        return time.monotonic() - self.shown >= self.interval

    def show(self, text, always=False):
        if not always and not self.is_due():
            return
        self.shown = time.monotonic()
        if self.terminal:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write("\r\033[K" + text[:width])
            sys.stderr.flush()
            self.open_line = True
        else:
            say(text)

    def close(self):
        """Leaves what is shown on a line of its own."""
        if self.open_line:
            sys.stderr.write("\n")
            sys.stderr.flush()
            self.open_line = False


class ByteProgress(Progress):
    """Progress of a download: share, megabytes, megabytes a second."""

    def __init__(self, label, total, done):
        super().__init__()
        self.label, self.total = label, total
        self.start, self.start_done = time.monotonic(), done

    def update(self, done, always=False):
        if not always and not self.is_due():
            return
        seconds = max(time.monotonic() - self.start, 1e-3)
        rate = (done - self.start_done) / seconds / 1e6
        percent = 100 * done // self.total if self.total else 100
        # 35 columns of numbers; the label gives way on a narrow terminal.
        self.show(
            f"{percent:3d} %  {done / 1e6:.1f}/{self.total / 1e6:.1f} MB  {rate:.1f} MB/s  {self.label}", always
        )


@contextlib.contextmanager
def locked(path, what):
    """Holds an exclusive lock on a file: a second run waits instead of writing into the first one's files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"waiting for another run that is {what} (it holds {path})")
            fcntl.flock(file, fcntl.LOCK_EX)
        # The lock goes with the file descriptor, so a run that is killed leaves none behind.
        yield


def require_space(folder, needed, what):
    """Fails before the work rather than in the middle of it."""
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise Failure(
            f"{what} needs about {needed / 1e6:.0f} MB in {folder}, where only {free / 1e6:.0f} MB are free."
        )


def _interrupt(signum, frame):
    # As Ctrl-C: children are ended and partial files stay as they are, ready to be resumed.
    raise KeyboardInterrupt


def run(name, main):
    """Runs `main` and turns every way to fail into one sentence and a non-zero exit status."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        sys.exit(main())
    except Failure as failure:
        say(f"{name}: {failure}")
        status = 1
    except KeyboardInterrupt:
        say(f"\n{name}: interrupted; the same command goes on from here.")
        status = 130
    except BrokenPipeError:
        status = 1
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            say(f"{name}: the disk is full{where}; free some space and run the same command again.")
        else:
            say(f"{name}: {error.strerror or error}{where}.")
        status = 1
    # Not sys.exit: nothing is left to do, and a closed standard output must not add a traceback.
    sys.stderr.flush()
    os._exit(status)
