"""llama.cpp's source: one pinned revision inside another package, of which only what a build reads is unpacked."""

import os
import re
import shutil
import tarfile

from console import say
from downloads import Pin
from toolchain import DEPS

LLAMA_COMMIT = "0c1e57098"
LLAMA_VERSION = "0.5.0"
SOURCE = Pin(
    "llama-cpp-python",
    "llama_cpp_python-0.3.36.tar.gz",
    76589250,
    "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
)
SOURCE_PREFIX = "llama_cpp_python-0.3.36/vendor/llama.cpp/"
FOLDER = DEPS / "source"

# What the builds read. Of ggml's back ends only the CPU's; of vendor/ what its CMakeLists.txt asks for; of common/ what
# fills in chat templates.
WANTED = re.compile(
    r"""(CMakeLists\.txt | LICENSE | cmake/.* | include/.* | src/.*
      | ggml/(?!src/ggml-(?!cpu/)[^/]*/).* | vendor/(.*/)?CMakeLists\.txt | vendor/hash/.*
      | common/((jinja|parsers)/.* | (json|unicode|chat|chat-.*|peg-parser|json-schema.*|trie)\.(cpp|h) | (common|log)\.h)
      | vendor/nlohmann/.* | licenses/LICENSE-jsonhpp)$""",
    re.VERBOSE,
)


def unpack_source(downloader):
    """Returns the folder of the source; fetches and unpacks it unless an earlier run did."""
    marker = FOLDER / ".key"
    key = SOURCE.sha256 + "\n" + WANTED.pattern
    if marker.exists() and marker.read_text() == key:
        return FOLDER
    partial = FOLDER.with_name("source.partial")
    for old in (partial, FOLDER):
        shutil.rmtree(old, ignore_errors=True)
    _extract(downloader, WANTED, partial)
    (partial / ".key").write_text(key)
    os.replace(partial, FOLDER)
    return FOLDER


def unpack_folders(downloader, names):
    """Adds folders that the source was unpacked without, such as ggml/src/ggml-vulkan."""
    missing = [name for name in names if not (FOLDER / name).exists()]
    if not missing:
        return
    partial = FOLDER.with_name("folders.partial")
    shutil.rmtree(partial, ignore_errors=True)
    _extract(downloader, re.compile("(" + "|".join(map(re.escape, missing)) + ")/.*$"), partial)
    for name in missing:
        (FOLDER / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(partial / name, FOLDER / name)
    shutil.rmtree(partial, ignore_errors=True)


def _extract(downloader, wanted, folder):
    """Writes the files that a regular expression picks, by their path in llama.cpp, below a folder."""
    archive_path = downloader.fetch(SOURCE, DEPS / "download", f"llama.cpp {LLAMA_COMMIT}")
    say("unpacking the source")
    # Read as a stream, member by member: only plain files whose names the pattern knows are written.
    with tarfile.open(archive_path, "r|gz") as archive:
        for member in archive:
            name = member.name[len(SOURCE_PREFIX) :]
            if not member.isfile() or not member.name.startswith(SOURCE_PREFIX) or not wanted.match(name):
                continue
            if ".." in name.split("/"):
                continue
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.extractfile(member) as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file)
    archive_path.unlink()
