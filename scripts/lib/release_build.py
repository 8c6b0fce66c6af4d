"""Builds the program for installation, in a folder of its own: the builds of `make` and `make test` stay as they are.

On Linux, Swift's runtime and the C++ library are inside, so that it starts where neither is installed; on macOS the
system has both. Stripped, and without folders to look for libraries in.
"""

import argparse
import os
import pathlib
import shutil
import subprocess

import console
from console import Failure, say
from elf import Program
from toolchain import DEPS, MAC, ROOT, Compiler, text

#: Libraries that every Linux with the GNU C library has.
OF_THE_SYSTEM = ("libc.so.", "libm.so.", "ld-linux", "libdl.so.", "libpthread.so.", "librt.so.", "libutil.so.")


def scratch(is_portable):
    return ROOT / (".build-portable" if is_portable else ".build-install")


def program_path(is_portable):
    """The stripped program."""
    return scratch(is_portable) / "ra"


def build(is_portable, jobs=None):
    """Builds llama.cpp, if that is not done, and the program; returns the path of the stripped one."""
    swift = os.environ.get("SWIFT") or "swift"
    if not shutil.which(swift):
        raise Failure(f"Swift 6.2 or newer is needed and '{swift}' was not found: https://www.swift.org/install has it.")
    number = ["--jobs", str(jobs)] if jobs else []
    bootstrap = [str(ROOT / "scripts" / "bootstrap"), *(["--portable"] if is_portable else []), *number]
    # An installed llama.cpp would have to be where the program goes, too.
    _run(bootstrap, dict(os.environ, RA_LLAMA="bundled"), "llama.cpp could not be built")
    folder = DEPS / "portable" if is_portable else DEPS
    config = folder / "lib" / "pkgconfig"
    flags = ["-debug-info-format", "none", *_prefix_maps()]
    if not MAC:
        static = _static_parts(folder)
        config = static / "pkgconfig"
        flags += _static_flags(static)
    others = [path for path in os.environ.get("PKG_CONFIG_PATH", "").split(os.pathsep) if path]
    environment = dict(os.environ, PKG_CONFIG_PATH=os.pathsep.join([str(config), *others]))
    command = [swift, "build", "-c", "release", "--product", "ra", "--scratch-path", str(scratch(is_portable))]
    command += ["--pkg-config-path", str(config), *flags, *(["-j", str(jobs)] if jobs else [])]
    _run(command, environment, "the program could not be built")
    built = scratch(is_portable) / "release" / "ra"
    target = program_path(is_portable)
    _strip(built, target)
    check(target)
    return target


def _prefix_maps():
    """Messages and assertions name their files: without the path of this checkout."""
    flags = ["-Xswiftc", "-file-prefix-map", "-Xswiftc", f"{ROOT}=."]
    for language in ("cc", "cxx"):
        flags += [f"-X{language}", f"-ffile-prefix-map={ROOT}=."]
    return flags


def _static_flags(static):
    """What puts the runtimes of Swift and C++ into a program for Linux."""
    return [
        "--static-swift-stdlib",
        *("-Xswiftc", "-Xclang-linker", "-Xswiftc", "-static-libgcc"),
        # The linker looks there first.
        *("-Xlinker", f"-L{static}"),
        # A program with the runtime inside would show all of its names to the modules that it loads; they need ggml's,
        # which Package.swift lists.
        *("-Xlinker", "--no-export-dynamic"),
    ]


def _static_parts(folder):
    """Makes what the linker is given instead of the usual libraries; returns the folder.

    The C++ library is there alone in its static form, since Swift and llama.cpp both ask for it by its name. ggml is one
    object: the names of libraries are hidden in a program with Swift's runtime inside, and modules for GPUs need them.
    """
    static = folder / "static"
    (static / "pkgconfig").mkdir(parents=True, exist_ok=True)
    compiler, name = Compiler(), "libstdc++.a"
    path = pathlib.Path(text([*compiler.cxx, f"-print-file-name={name}"]).strip() or name)
    if not path.is_absolute() or not path.exists():
        raise Failure(f"the C++ compiler has no {name}: on Debian or Ubuntu 'apt-get install g++', on Fedora"
                      " 'dnf install libstdc++-static'.")
    if not (static / name).exists() or not os.path.samefile(static / name, path):
        (static / name).unlink(missing_ok=True)
        (static / name).symlink_to(path)
    parts = ["ggml", "ggml-cpu", "ggml-base"]
    libraries = [folder / "llama" / "lib" / f"lib{part}.a" for part in parts]
    target = static / "ggml.o"
    if not target.exists() or any(library.stat().st_mtime > target.stat().st_mtime for library in libraries):
        partial = static / "partial.o"
        flags = ["-r", "-nostdlib", "-Wl,--whole-archive", *map(str, libraries), "-o", str(partial)]
        _run([*compiler.c, *flags], dict(os.environ), "ggml could not be linked")
        os.replace(partial, target)
    for config in (folder / "lib" / "pkgconfig").glob("*.pc"):
        words = config.read_text().replace(" -lggml -lggml-cpu -lggml-base", f' -L"{static}" -l:{target.name}')
        copy = static / "pkgconfig" / config.name
        if not copy.exists() or copy.read_text() != words:
            copy.write_text(words)
    return static


def _strip(source, target):
    tool = shutil.which("strip") or shutil.which("llvm-strip")
    if not tool:
        raise Failure("'strip' is needed: on Debian or Ubuntu 'apt-get install binutils'.")
    partial = target.with_name("ra.partial")
    shutil.copy(source, partial)
    # Modules for GPUs take ggml from the program, whose names for them stay either way.
    _run([tool, *(["-x"] if MAC else ["--strip-all"]), str(partial)], dict(os.environ), "the program was not stripped")
    os.replace(partial, target)


def check(path):
    """Refuses a program that would look for something of this machine elsewhere."""
    if MAC:
        return
    program = Program(path)
    # $ORIGIN is the program's own folder, which SwiftPM always names.
    strange = [folder for folder in program.search_paths if not folder.startswith("$ORIGIN")]
    if strange:
        raise Failure(f"{path} looks for libraries in {', '.join(strange)}, which other machines lack.")
    missing = [name for name in program.libraries if not name.startswith(OF_THE_SYSTEM)]
    if missing:
        raise Failure(f"{path} needs {', '.join(missing)}, which should be inside.")


def _run(command, environment, what):
    # Output goes to standard error: standard output is for results.
    status = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=2, cwd=ROOT).returncode
    if status != 0:
        raise Failure(f"{what} (exit status {status}).")


def main():
    parser = argparse.ArgumentParser(
        prog="build-release",
        description="Builds the program for installation and prints its path.",
        epilog="SWIFT in the environment names another swift. RA_LLAMA=system builds with an installed llama.cpp.",
    )
    parser.add_argument("--portable", action="store_true", help="for all processors of the last ten years, not this one")
    parser.add_argument("--jobs", type=int, metavar="N", help="compile N files at a time (default: one per core)")
    arguments = parser.parse_args()
    if arguments.jobs is not None and arguments.jobs < 1:
        raise Failure(f"--jobs is {arguments.jobs}, but must be positive.")
    print(build(arguments.portable, arguments.jobs))
    return 0


if __name__ == "__main__":
    console.run("build-release", main)
