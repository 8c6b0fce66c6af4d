"""Packs a release into dist/: an archive of the program, one of the sources, the list of all parts, checksums.

The same commit, compilers and time give the same archives: names in order, no owners, the commit's time everywhere.
"""

import argparse
import gzip
import io
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile

import console
import release_notes
from components import components, write_licences
from console import Failure, say
from downloads import sha256
from elf import Program
from manual import ask
from release_build import build, scratch
from sbom import document
from source_date import git, source_date
from toolchain import MAC, ROOT
from tree import DOCUMENTS, files, write_tree

NAME = "retrieval-attention"
FOLDER = ROOT / "dist"
CHECKSUMS = "SHA256SUMS"


def system():
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    return f"macos-{machine}" if MAC else f"linux-{machine}"


def stage(program, folder, version):
    """Everything that the archive has, in an empty folder."""
    write_tree(program, folder, with_backends=False)
    swift = os.environ.get("SWIFT") or "swift"
    parts = components(scratch(is_portable=True), swift)
    write_licences(parts, folder / DOCUMENTS / "licences")
    date = source_date()
    sbom = document(f"{NAME}-{version}-{system()}", version, git("rev-parse", "HEAD"), sha256(program), parts, date)
    (folder / DOCUMENTS / "sbom.spdx.json").write_text(json.dumps(sbom, indent=1, sort_keys=True) + "\n")
    (folder / "INSTALL").write_text(install_text(program, version))


def install_text(program, version):
    """What somebody reads who has unpacked the archive."""
    needs = "macOS 15 or newer"
    if not MAC:
        needs = f"Linux with the GNU C library {Program(program).newest('GLIBC_')} or newer"
        if platform.machine() in ("x86_64", "amd64"):
            needs += ", and a processor with AVX2 (Intel since 2013, AMD since 2015)"
    return f"""ra {version} needs {needs}. It runs from any folder.

With its manual pages and completions, for everybody or for you alone:

    sudo cp -R bin share /usr/local/
    cp -R bin share ~/.local/

PDF documents need pdftotext (poppler-utils), DOCX, ODT, EPUB, HTML and RTF need pandoc, ra pull needs curl. All licences are in
{DOCUMENTS}/licences, and the list of all parts, for programs, is {DOCUMENTS}/sbom.spdx.json.
"""


def pack(folder, top, archive):
    """Writes an archive of a folder, below `top` in it."""
    date = source_date()
    with open(archive, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=date) as compressed:
        with tarfile.open(fileobj=compressed, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in files(folder):
                data = (folder / path).read_bytes()
                entry = tarfile.TarInfo(f"{top}/{path}")
                entry.size, entry.mtime = len(data), date
                entry.mode = 0o755 if os.access(folder / path, os.X_OK) else 0o644
                entry.uname = entry.gname = "root"
                tar.addfile(entry, io.BytesIO(data))


def pack_sources(top, archive):
    """Writes an archive of the commit."""
    done = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=tar", f"--prefix={top}/", "HEAD"], stdout=subprocess.PIPE
    )
    if done.returncode != 0:
        raise Failure(f"git could not pack the commit (exit status {done.returncode}).")
    with open(archive, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=source_date()) as compressed:
        compressed.write(done.stdout)


def formula(version, source, address):
    """Homebrew's recipe for the archive of the sources."""
    text = (ROOT / "packaging/homebrew/retrieval-attention.rb.in").read_text()
    url = f"{address.rstrip('/')}/{source.name}" if address else (FOLDER / source.name).as_uri()
    for name, value in (("VERSION", version), ("URL", url), ("SHA256", sha256(source))):
        text = text.replace(f"@{name}@", value)
    return text


def write_checksums(folder):
    """The sums of all files of a folder, as `sha256sum --check` reads them."""
    names = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name != CHECKSUMS)
    partial = folder / (CHECKSUMS + ".partial")
    partial.write_text("".join(f"{sha256(folder / name)}  {name}\n" for name in names if not name.endswith(".partial")))
    os.replace(partial, folder / CHECKSUMS)


def check_release(version):
    """Refuses what should not have this version's name: a checkout that is not the version's tag."""
    release_notes.check_dated(version)
    changed = git("status", "--porcelain")
    if changed:
        raise Failure(f"the checkout has changes that are in no commit: {changed.splitlines()[0].strip()} ...")
    if f"v{version}" not in git("tag", "--points-at", "HEAD").split():
        raise Failure(f"the commit has no tag v{version}; docs/releasing.md tells how a version is made.")


def dist(is_release, address, jobs):
    version = release_notes.source_version()
    if is_release:
        check_release(version)
    elif git("status", "--porcelain"):
        say("note: the checkout has changes that are in no commit; the archive of the sources lacks them")
    program = build(is_portable=True, jobs=jobs)
    told = ask(str(program), "--version").strip()
    if told != version:
        raise Failure(f"{program} says that it is version {told}, and the sources have {version}.")
    top = f"{NAME}-{version}-{system()}"
    partial = FOLDER.with_name("dist.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    with tempfile.TemporaryDirectory() as scratch_folder:
        tree = pathlib.Path(scratch_folder) / top
        tree.mkdir()
        stage(program, tree, version)
        pack(tree, top, partial / f"{top}.tar.gz")
        shutil.copyfile(tree / DOCUMENTS / "sbom.spdx.json", partial / f"{top}.spdx.json")
    if git("rev-parse", "HEAD"):
        source = partial / f"{NAME}-{version}.tar.gz"
        pack_sources(f"{NAME}-{version}", source)
        (partial / "retrieval-attention.rb").write_text(formula(version, source, address))
    write_checksums(partial)
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.replace(partial, FOLDER)
    for path in sorted(FOLDER.iterdir()):
        print(path)


def main():
    parser = argparse.ArgumentParser(
        prog="dist", description="Packs the program and the sources into dist/, and prints the paths."
    )
    parser.add_argument("--release", action="store_true", help="refuse a checkout that is not the version's tag")
    parser.add_argument(
        "--source-url", default="", metavar="ADDRESS",
        help="the folder of the web that the archives will be in, for Homebrew's recipe (default: this folder)",
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="compile N files at a time (default: one per core)")
    arguments = parser.parse_args()
    if arguments.source_url and not re.match(r"https://[^\s\"#\\]+$", arguments.source_url):
        raise Failure(f"--source-url is '{arguments.source_url}', but must be an https address.")
    if arguments.jobs is not None and arguments.jobs < 1:
        raise Failure(f"--jobs is {arguments.jobs}, but must be positive.")
    dist(arguments.release, arguments.source_url, arguments.jobs)
    return 0


if __name__ == "__main__":
    console.run("dist", main)
