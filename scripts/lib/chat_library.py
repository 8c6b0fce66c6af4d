"""llama.cpp's chat library, which fills in chat templates: built from the pinned source, whatever llama.cpp is used.

Installations of llama.cpp leave it out. It is made of files that know nothing of models, so it goes with any version.
"""

import hashlib
import json
import os
import pathlib
import shutil

import console
from console import say
from downloads import Downloader
from llama_source import LLAMA_COMMIT, LLAMA_VERSION, SOURCE, unpack_source
from toolchain import DEPS, LOG, MAC, build_environment, find_cmake, find_ninja, log_run

PROJECT = pathlib.Path(__file__).resolve().parent / "chat"
PREFIX = DEPS / "chat"
CONFIG = DEPS / "lib" / "pkgconfig" / "llama-chat.pc"
LIBRARY = PREFIX / "lib" / "libllama-chat.a"


def build_chat_library(jobs, compiler, force, write):
    """Builds and installs it into .deps/chat, unless that is done; `write` replaces a file if its text changes."""
    key = json.dumps(
        {
            "source": SOURCE.sha256,
            "project": {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(PROJECT.iterdir())
            },
            "compiler": compiler.identity(),
            "flags": {name: os.environ.get(name, "") for name in ("CXXFLAGS", "LDFLAGS", "SDKROOT")},
        },
        indent=1,
    )
    marker = PREFIX / ".key"
    with console.locked(DEPS / "lock", "building the chat library"):
        if force or not (LIBRARY.exists() and marker.exists() and marker.read_text() == key):
            _build(jobs, compiler)
            marker.write_text(key)
        write(CONFIG, _config())
    say(f"llama.cpp's chat library is ready in {PREFIX}")


def write_chat_config(folder, write):
    """Names the library in another folder of pkg-config too; it is the same for all variants of llama.cpp."""
    write(folder / CONFIG.name, _config())


def _config():
    return "\n".join(
        [
            f"# Written by scripts/bootstrap; the chat library of llama.cpp {LLAMA_COMMIT}, built in this checkout.",
            f"prefix={PREFIX}",
            "libdir=${prefix}/lib",
            "includedir=${prefix}/include",
            "",
            "Name: llama-chat",
            "Description: llama.cpp's chat templates",
            f"Version: {LLAMA_VERSION}",
            'Cflags: -I"${includedir}"',
            'Libs: -L"${libdir}" -lllama-chat ' + ("-lc++" if MAC else "-lstdc++"),
            "",
        ]
    )


def _build(jobs, compiler):
    console.require_space(DEPS, 100 << 20, "building the chat library")
    downloader = Downloader()
    cmake, ninja = find_cmake(downloader), find_ninja(downloader)
    source = unpack_source(downloader)
    folder = DEPS / "build-chat"
    shutil.rmtree(folder, ignore_errors=True)
    partial = PREFIX.with_name("chat.partial")
    shutil.rmtree(partial, ignore_errors=True)
    environment = build_environment(compiler, cmake, ninja)
    definitions = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_MAKE_PROGRAM": ninja,
        "LLAMA_SOURCE": source,
        **({"CMAKE_OSX_DEPLOYMENT_TARGET": "15.0"} if MAC else {}),
    }
    with open(LOG, "w") as log:
        arguments = [f"-D{option}={value}" for option, value in definitions.items()]
        log_run([cmake, "-S", str(PROJECT), "-B", str(folder), "-G", "Ninja", *arguments], environment, log)
        say("building llama.cpp's chat library (a minute)")
        log_run([ninja, "-C", str(folder), "-j", str(jobs)], environment, log, progress=True)
        log_run([cmake, "--install", str(folder), "--prefix", str(partial)], environment, log)
    shutil.copy(source / "LICENSE", partial / "LICENSE")
    shutil.copy(source / "licenses" / "LICENSE-jsonhpp", partial / "LICENSE-jsonhpp")
    shutil.rmtree(PREFIX, ignore_errors=True)
    os.replace(partial, PREFIX)
    for finished in (folder, DEPS / "download"):
        shutil.rmtree(finished, ignore_errors=True)
