"""Installs the program under a prefix, and removes exactly that again: what was installed is written down there."""

import argparse
import os
import pathlib
import shutil
import tempfile

import console
from console import Failure, say
from tree import files, write_tree

LIST = pathlib.Path("share/retrieval-attention/installed-files")


class Prefix:
    """A prefix, as it is seen from here: below DESTDIR, where a package is made."""

    def __init__(self, prefix, destination):
        if not prefix.startswith("/"):
            raise Failure(f"PREFIX is '{prefix}', but must be an absolute path.")
        self.name = prefix
        # A destination is put in front, and does not replace.
        root = os.path.abspath(destination) + prefix if destination else prefix
        self.folder = pathlib.Path(os.path.normpath(root))
        self.list = self.folder / LIST

    def installed(self):
        """The files that are there from an earlier installation, as far as their list tells."""
        try:
            lines = self.list.read_text().splitlines()
        except FileNotFoundError:
            return []
        paths = [pathlib.PurePosixPath(line) for line in lines if line]
        # Whoever changed the list must not make us remove anything else.
        strange = [path for path in paths if path.is_absolute() or ".." in path.parts]
        if strange:
            raise Failure(f"{self.list} names {strange[0]}, which is not under {self.folder}; nothing was changed.")
        return paths


def install(program, prefix):
    """Puts everything in its place. Each file is there whole or as it was."""
    with tempfile.TemporaryDirectory() as scratch:
        tree = pathlib.Path(scratch) / "tree"
        tree.mkdir()
        write_tree(program, tree, with_backends=True)
        new = files(tree)
        old = prefix.installed()
        size = sum((tree / path).stat().st_size for path in new)
        parent = next(folder for folder in [prefix.folder, *prefix.folder.parents] if folder.exists())
        if not os.access(parent, os.W_OK):
            raise Failure(f"{parent} cannot be written to: give another PREFIX, such as PREFIX=$HOME/.local, or run as"
                          " 'sudo make install'; what is built already is not built again.")
        console.require_space(parent, size + (8 << 20), "the installation")
        # First what will be there: 'uninstall' knows of it then, however this ends.
        _write_list(prefix, sorted({*map(str, old), *map(str, new)}))
        for path in new:
            _place(tree / path, prefix.folder / path)
    gone = {str(path) for path in old} - {str(path) for path in new}
    _remove(prefix, sorted(gone))
    _write_list(prefix, [str(path) for path in new])
    return new


def uninstall(prefix):
    """Removes what `install` put there, and folders that are empty then; returns how many files it were."""
    paths = prefix.installed()
    if not paths:
        raise Failure(f"nothing is installed under {prefix.folder}: there is no {prefix.list}.")
    removed = _remove(prefix, [str(path) for path in paths])
    prefix.list.unlink()
    _remove_empty(prefix, prefix.list.parent)
    return removed


def _place(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.copyfile(source, partial)
        partial.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def _write_list(prefix, lines):
    prefix.list.parent.mkdir(parents=True, exist_ok=True)
    partial = prefix.list.with_name(".installed-files.partial")
    partial.write_text("\n".join(lines) + "\n")
    partial.chmod(0o644)
    os.replace(partial, prefix.list)


def _remove(prefix, paths):
    removed = 0
    for path in paths:
        target = prefix.folder / path
        if target.is_symlink() or target.exists():
            target.unlink()
            removed += 1
        _remove_empty(prefix, target.parent)
    return removed


def _remove_empty(prefix, folder):
    """Folders that are empty, up to the prefix, which stays."""
    while folder != prefix.folder and prefix.folder in folder.parents:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def main():
    parser = argparse.ArgumentParser(
        prog="install-files", description="Installs a built program with its manual and completions, or removes it."
    )
    parser.add_argument("--program", help="the program to install; 'make install' builds one with scripts/build-release")
    parser.add_argument("--uninstall", action="store_true", help="remove what was installed there")
    parser.add_argument("--prefix", default="/usr/local", help="where it belongs (default: %(default)s)")
    parser.add_argument("--destdir", default="", help="a folder to put in front of the prefix, for packages")
    arguments = parser.parse_args()
    prefix = Prefix(arguments.prefix, arguments.destdir)
    if arguments.uninstall:
        say(f"{uninstall(prefix)} files were removed from {prefix.folder}")
        return 0
    if not arguments.program:
        raise Failure("--program is needed: 'make install' gives the one that scripts/build-release makes.")
    if not os.access(arguments.program, os.X_OK):
        raise Failure(f"there is no program {arguments.program}.")
    paths = install(pathlib.Path(arguments.program).resolve(), prefix)
    say(f"{len(paths)} files are under {prefix.folder}; 'make uninstall' with the same PREFIX removes them")
    folders = os.environ.get("PATH", "").split(os.pathsep)
    if not arguments.destdir and str(prefix.folder / "bin") not in folders:
        say(f"note: {prefix.folder / 'bin'} is not in the PATH")
    return 0


if __name__ == "__main__":
    console.run("install-files", main)
