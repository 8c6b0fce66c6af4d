"""Makes a package for Debian and Ubuntu of the archive that scripts/dist made: the same program, other places."""

import argparse
import email.utils
import gzip
import hashlib
import os
import pathlib
import platform
import re
import shutil
import subprocess
import tarfile
import tempfile
import time

import console
import release_notes
from console import Failure, say
from dist import FOLDER, NAME, system, write_checksums
from elf import Program
from source_date import git, source_date
from tree import COMPLETIONS, DOCUMENTS

ARCHITECTURES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
#: Debian has a folder of its own for zsh.
PLACES = {str(COMPLETIONS["zsh"]): "share/zsh/vendor-completions/_ra"}

CONTROL = """Package: {name}
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {size}
Depends: {depends}
Recommends: ca-certificates, curl, pandoc, poppler-utils
Section: science
Priority: optional
Description: long contexts for local language models
 Asks a local language model about documents that are longer than the machine
 can bear. All keys and values stay in main memory, and each generated token
 looks up what matters in a vector index (RetrievalAttention).
 .
 PDF documents are read by pdftotext of poppler-utils, and DOCX, ODT, EPUB,
 HTML and RTF by pandoc.
"""

COPYRIGHT = """Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: RetrievalAttention
Comment:
 The program has parts of other authors inside. They are listed in
 licences/README beside this file, with the texts of their licences in the
 folders there, and in sbom.spdx.json.

Files: *
Copyright: {year} the RetrievalAttention contributors
License: Apache-2.0
 On Debian systems, the text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
"""


def unpack(archive, folder):
    """Unpacks an archive of ours, and returns the folder in it."""
    with tarfile.open(archive) as tar:
        for member in tar:
            if not member.isfile() or member.name.startswith("/") or ".." in member.name.split("/"):
                raise Failure(f"{archive} has {member.name}, which 'make dist' does not write; run it again.")
            target = folder / member.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with tar.extractfile(member) as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file)
            target.chmod(0o755 if member.mode & 0o100 else 0o644)
    return next(folder.iterdir())


def arrange(tree, root, version, maintainer):
    """Puts a release's files where Debian has them."""
    for path in sorted(path for part in ("bin", "share") for path in (tree / part).rglob("*") if path.is_file()):
        name = str(path.relative_to(tree))
        place = root / "usr" / PLACES.get(name, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        if name.startswith("share/man/"):
            compress(place.with_name(place.name + ".gz"), path.read_bytes())
        elif path.name == "CHANGELOG.md":
            compress(place.with_name("changelog.gz"), path.read_bytes())
        elif name != str(DOCUMENTS / "LICENSE"):  # which is in common-licenses
            shutil.copy(path, place)
    documents = root / "usr" / DOCUMENTS
    (documents / "copyright").write_text(COPYRIGHT.format(year=time.gmtime(source_date()).tm_year))
    date = email.utils.formatdate(source_date())
    entry = f"{NAME} ({version}) unstable; urgency=medium\n\n  * What changed: changelog.gz.\n\n -- {maintainer}  {date}\n"
    compress(documents / "changelog.Debian.gz", entry.encode())


def compress(path, data):
    path.write_bytes(gzip.compress(data, 9, mtime=0))


def control(root, version, architecture, maintainer):
    """The package's description, its needs read from the program."""
    program = Program(root / "usr/bin/ra")
    depends = [f"libc6 (>= {program.newest('GLIBC_')})"]
    if any(name.startswith("libgcc_s") for name in program.libraries):
        depends.append("libgcc-s1")
    if any(name.startswith("libstdc++") for name in program.libraries):
        depends.append("libstdc++6")
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    size = sum((path.stat().st_size + 1023) // 1024 for path in paths)
    folder = root / "DEBIAN"
    folder.mkdir()
    (folder / "control").write_text(CONTROL.format(
        name=NAME, version=version, architecture=architecture, maintainer=maintainer, size=size,
        depends=", ".join(depends)))
    sums = (f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in paths)
    (folder / "md5sums").write_text("".join(sums))


def default_maintainer():
    name, address = os.environ.get("DEBFULLNAME"), os.environ.get("DEBEMAIL")
    return f"{name} <{address}>" if name and address else git("log", "-1", "--format=%an <%ae>")


def build(revision, maintainer):
    if not shutil.which("dpkg-deb"):
        raise Failure("dpkg-deb is needed, which Debian and Ubuntu have: the package 'dpkg'.")
    if not re.fullmatch(r"[^<>\n]+ <[^<>@\s]+@[^<>@\s]+>", maintainer):
        raise Failure(f"the maintainer is '{maintainer}', but must be 'Name <address>': --maintainer gives one.")
    architecture = ARCHITECTURES.get(platform.machine())
    if not architecture:
        raise Failure(f"Debian's name of this machine's architecture, {platform.machine()}, is not known here.")
    upstream = release_notes.source_version()
    archive = FOLDER / f"{NAME}-{upstream}-{system()}.tar.gz"
    if not archive.exists():
        raise Failure(f"there is no {archive}: run 'make dist' first.")
    # A tilde sorts before everything: 1.0.0~beta comes before 1.0.0.
    version = f"{upstream.replace('-', '~')}-{revision}"
    package = FOLDER / f"{NAME}_{version}_{architecture}.deb"
    with tempfile.TemporaryDirectory() as scratch:
        tree = unpack(archive, pathlib.Path(scratch) / "tree")
        root = pathlib.Path(scratch) / "root"
        root.mkdir(mode=0o755)
        arrange(tree, root, version, maintainer)
        control(root, version, architecture, maintainer)
        for folder in [root, *(path for path in root.rglob("*") if path.is_dir())]:
            folder.chmod(0o755)
        partial = package.with_suffix(".deb.partial")
        environment = dict(os.environ, SOURCE_DATE_EPOCH=str(source_date()))
        command = ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(root), str(partial)]
        done = subprocess.run(command, env=environment, stdout=subprocess.DEVNULL)
        if done.returncode != 0:
            partial.unlink(missing_ok=True)
            raise Failure(f"dpkg-deb failed (exit status {done.returncode}).")
        os.replace(partial, package)
    write_checksums(FOLDER)
    return package


def main():
    parser = argparse.ArgumentParser(
        prog="build-deb", description="Makes a package for Debian and Ubuntu of dist/, and prints its path."
    )
    parser.add_argument("--revision", default="1", help="of the package, for the same version (default: %(default)s)")
    parser.add_argument(
        "--maintainer", default="", metavar="'NAME <ADDRESS>'",
        help="who makes the package (default: DEBFULLNAME and DEBEMAIL, or the commit's author)",
    )
    arguments = parser.parse_args()
    if not re.fullmatch(r"[0-9][A-Za-z0-9.+~]*", arguments.revision):
        raise Failure(f"--revision is '{arguments.revision}', but must be a number such as 1.")
    package = build(arguments.revision, arguments.maintainer or default_maintainer())
    print(package)
    say(f"'sudo apt install {package}' installs it")
    return 0


if __name__ == "__main__":
    console.run("build-deb", main)
