"""Makes llama.cpp available to the Swift package: fetched and built, or found on the system.

Whatever way, the results are two files that Package.swift's system library targets read, llama.pc and llama-chat.pc in
.deps/lib/pkgconfig. The second one is the library of chat templates, which is built here even with --system:

    scripts/bootstrap && swift build -c release --pkg-config-path .deps/lib/pkgconfig

The source comes inside the source package of llama-cpp-python, which pins one revision of llama.cpp. A newer one is a
change of LLAMA_COMMIT and SOURCE in llama_source.py. `--backend` adds back ends for GPUs, see backends.py. `--portable`
builds a second one beside it for programs that go to other machines.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import tempfile

import console
from backends import BACKENDS, build_backend, place_modules
from chat_library import build_chat_library, write_chat_config
from console import Failure, say
from downloads import Downloader
from llama_source import LLAMA_COMMIT, LLAMA_VERSION, SOURCE, unpack_source
from toolchain import (
    DEPS, LOG, MAC, ROOT, Compiler, build_environment, find_cmake, find_ninja, log_run, text, works,
)
from variants import CONFIG, NATIVE, PREFIX, STAMP, portable

LIBRARIES = ["llama", "ggml", "ggml-cpu", "ggml-base"]  # users before what they use: static linking needs it
if MAC:
    SYSTEM_FLAGS = ["-lc++", "-framework", "Accelerate"]
else:
    SYSTEM_FLAGS = ["-lstdc++", "-lm", "-lpthread", "-ldl"]

TILE_CONFIG = ROOT / "scripts" / "lib" / "tile_config.h"

def build(variant, key, jobs, compiler):
    """Builds and installs into the variant's prefix. What an interrupted run has compiled is not compiled again."""
    console.require_space(DEPS, 300 << 20, "building llama.cpp")
    downloader = Downloader()
    cmake, ninja = find_cmake(downloader), find_ninja(downloader)
    source = unpack_source(downloader)
    folder, prefix = variant.folder, variant.prefix
    marker = folder / ".key"
    if not marker.exists() or marker.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        marker.write_text(key)
    environment = build_environment(compiler)
    flags = [environment.get("CXXFLAGS", ""), "-include", shlex.quote(str(TILE_CONFIG))]
    environment["CXXFLAGS"] = " ".join(filter(None, flags))
    partial = prefix.with_name("llama.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with open(LOG, "w") as log:
        definitions = [f"-D{name}={value}" for name, value in variant.options.items()]
        definitions += [f"-DCMAKE_MAKE_PROGRAM={ninja}", f"-DCMAKE_INSTALL_PREFIX={prefix}"]
        say("configuring llama.cpp")
        log_run([cmake, "-S", str(source), "-B", str(folder), "-G", "Ninja", *definitions], environment, log)
        say(f"building llama.cpp, {jobs} {'job' if jobs == 1 else 'jobs'} at a time (minutes)")
        log_run([ninja, "-C", str(folder), "-j", str(jobs), "llama"], environment, log, progress=True)
        log_run([cmake, "--install", str(folder), "--prefix", str(partial)], environment, log)
    shutil.rmtree(partial / "lib" / "pkgconfig", ignore_errors=True)  # ours is the complete one
    shutil.copy(source / "LICENSE", partial / "LICENSE")
    (partial / ".key").write_text(key)
    shutil.rmtree(prefix, ignore_errors=True)
    os.replace(partial, prefix)
    for finished in (folder, DEPS / "download"):
        shutil.rmtree(finished, ignore_errors=True)


def _write(path, text):
    """Replaces a file in one step, and only if it changes: a build tool may look at its date."""
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text)
    os.replace(partial, path)


def pkg_config_text(description, version, prefix, cflags, libs):
    lines = [f"# Written by scripts/bootstrap; {description}."]
    if prefix:
        lines += [f"prefix={prefix}", "libdir=${prefix}/lib", "includedir=${prefix}/include"]
    lines += [
        "",
        "Name: llama",
        "Description: llama.cpp and ggml",
        f"Version: {version}",
        f"Cflags: {cflags}",
        f"Libs: {libs}",
        "",
    ]
    return "\n".join(lines)


def bundled(arguments):
    """The default: the pinned revision, built here."""
    compiler = Compiler()
    variant = portable() if arguments.portable else NATIVE
    key = json.dumps(
        {
            "source": SOURCE.sha256,
            "options": variant.options,
            "folder": str(variant.prefix),
            "compiler": compiler.identity(),
            "tiles": TILE_CONFIG.read_text(),
            "flags": {name: os.environ.get(name, "") for name in ("CFLAGS", "CXXFLAGS", "LDFLAGS", "SDKROOT")},
        },
        indent=1,
    )
    config = pkg_config_text(
        f"llama.cpp {LLAMA_COMMIT}, built in this checkout",
        LLAMA_VERSION,
        variant.prefix,
        '-I"${includedir}"',  # quoted, since the path of the checkout may have spaces
        " ".join(['-L"${libdir}"', *(f"-l{name}" for name in LIBRARIES), *SYSTEM_FLAGS]),
    )

    def is_built():
        marker = variant.prefix / ".key"
        return (
            marker.exists()
            and marker.read_text() == key
            and all((variant.prefix / "lib" / f"lib{name}.a").exists() for name in LIBRARIES)
        )

    def is_current():
        files = [(variant.stamp, key), (variant.config, config)]
        return all(path.exists() and path.read_text() == content for path, content in files)

    if not arguments.force and is_built() and is_current():
        say(f"llama.cpp {LLAMA_COMMIT} is ready in {variant.prefix}")
        return 0
    with console.locked(DEPS / "lock", "building llama.cpp"):
        if arguments.force:
            shutil.rmtree(variant.folder, ignore_errors=True)
        if arguments.force or not is_built():
            variant.stamp.unlink(missing_ok=True)
            build(variant, key, arguments.jobs, compiler)
        _write(variant.config, config)
        _write(variant.stamp, key)
    say(f"llama.cpp {LLAMA_COMMIT} is ready in {variant.prefix}")
    return 0


# --- An installed llama.cpp -------------------------------------------------------------------------------------------

PROBE_HEADERS = "#include <llama.h>\n#include <ggml.h>\n#include <ggml-cpu.h>\n#include <ggml-backend.h>\n"
# What we use that older releases lack: a name for the message, and C that compiles and links only where it is there.
PROBES = [
    (
        "flash attention by llama_flash_attn_type",
        "struct llama_context_params p = llama_context_default_params();"
        " p.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED; use(&p);",
    ),
    (
        "kv_unified in llama_context_params",
        "struct llama_context_params p = llama_context_default_params(); p.kv_unified = true; use(&p);",
    ),
    (
        "cb_eval in llama_context_params",
        "struct llama_context_params p = llama_context_default_params(); p.cb_eval = 0; use(&p);",
    ),
    ("llama_memory_seq_rm", "llama_memory_seq_rm(llama_get_memory(0), -1, -1, -1);"),
    ("ggml_custom_4d", "use((void *) ggml_custom_4d);"),
    (
        "ggml's thread pool (ggml_threadpool in ggml-cpu.h)",
        "struct ggml_threadpool_params p = ggml_threadpool_params_default(2); struct ggml_threadpool *t ="
        " ggml_threadpool_new(&p); ggml_graph_plan(0, 2, t); llama_attach_threadpool(0, t, t);",
    ),
]


def system(arguments):
    """`--system`: an installed llama.cpp that pkg-config knows, if it is new enough and can be linked to."""
    tool = os.environ.get("PKG_CONFIG") or "pkg-config"
    if not shutil.which(tool):
        raise Failure(
            "pkg-config is needed to find an installed llama.cpp: on Debian or Ubuntu 'apt-get install pkg-config',"
            " on macOS 'brew install pkgconf'."
        )
    # Our own llama.pc must not be taken for the system's.
    folders = [folder for folder in _search_path() if os.path.realpath(folder) != os.path.realpath(CONFIG.parent)]
    environment = dict(os.environ, PKG_CONFIG_PATH=os.pathsep.join(folders))
    version = text([tool, "--modversion", "llama"], environment).strip()
    if not version:
        raise Failure(
            "pkg-config knows no package 'llama': install llama.cpp with its headers (on macOS 'brew install"
            " llama.cpp'), set PKG_CONFIG_PATH to the folder of its llama.pc, or run without --system."
        )
    compiler = Compiler()
    cflags = shlex.split(text([tool, "--cflags", "llama"], environment))
    libs = shlex.split(text([tool, "--libs", "llama"], environment))
    key = json.dumps({"system": version, "cflags": cflags, "libs": libs, "compiler": compiler.identity()}, indent=1)
    ready = f"llama.cpp {version} of the system is ready"
    if not arguments.force and STAMP.exists() and STAMP.read_text() == key and CONFIG.exists():
        say(ready)
        return 0
    places = [flag for flag in libs if not flag.startswith("-l") and flag not in SYSTEM_FLAGS]
    choices = [
        libs,
        [*libs, "-lggml-cpu"],  # the llama.pc that llama.cpp installs names no back end
        [*places, *(f"-l{name}" for name in LIBRARIES), *SYSTEM_FLAGS],  # static libraries, in linking order
    ]
    with console.locked(DEPS / "lock", "setting up llama.cpp"), tempfile.TemporaryDirectory() as scratch:
        lacking = [
            name for name, code in PROBES if not _compiles(compiler, scratch, [(name, code)], [*cflags, "-c"], [])
        ]
        if len(lacking) == len(PROBES):
            raise Failure(f"the installed llama.cpp {version} lacks headers that compile (llama.h, ggml-cpu.h).")
        if lacking:
            raise Failure(
                f"the installed llama.cpp {version} is too old, it lacks {', '.join(lacking)}: update it or run"
                " without --system."
            )
        for choice in choices:
            if _compiles(compiler, scratch, PROBES, cflags, choice):
                break
        else:
            raise Failure(
                f"the installed llama.cpp {version} can't be linked to, probably because its CPU back end is a plug-in"
                " (no libggml-cpu to link): run without --system."
            )
        quoted = ['"' + flag + '"' if " " in flag else flag for flag in cflags + [""] + choice]
        split = quoted.index("")
        _write(
            CONFIG,
            pkg_config_text(
                "llama.cpp as installed on the system",
                version,
                None,
                " ".join(quoted[:split]),
                " ".join(quoted[split + 1 :]),
            ),
        )
        _write(STAMP, key)
    say(ready)
    return 0


def _search_path():
    return [folder for folder in os.environ.get("PKG_CONFIG_PATH", "").split(os.pathsep) if folder]


def warn_of_others():
    """SwiftPM looks into PKG_CONFIG_PATH before it looks where --pkg-config-path says."""
    for folder in _search_path():
        if os.path.realpath(folder) == os.path.realpath(CONFIG.parent):
            return
        if os.path.exists(os.path.join(folder, "llama.pc")):
            say(
                f"note: 'swift build' will take {folder}/llama.pc, since PKG_CONFIG_PATH names that folder; 'make' puts"
                f" {CONFIG.parent} before it."
            )
            return


def _compiles(compiler, scratch, probes, cflags, libs):
    source = os.path.join(scratch, "probe.c")
    body = "\n".join(f"  {{ {code} }}" for _, code in probes)
    with open(source, "w") as file:
        file.write(f"{PROBE_HEADERS}void use(void *p) {{ (void) p; }}\nint main(void) {{\n{body}\n  return 0;\n}}\n")
    flags = ["-std=c11", "-Werror=implicit-function-declaration"]
    return works([*compiler.c, *flags, *cflags, source, "-o", os.path.join(scratch, "probe"), *libs])


# --- The command ------------------------------------------------------------------------------------------------------


def _jobs(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_jobs.__name__ = "number of jobs"


def _architectures(text):
    values = re.split("[,;]", text)
    if not all(re.fullmatch(r"native|all|all-major|\d+[af]?(-real|-virtual)?", value) for value in values):
        raise ValueError
    return ";".join(values)


_architectures.__name__ = "list of CUDA architectures"


def main():
    parser = argparse.ArgumentParser(
        prog="bootstrap",
        description="Fetches and builds llama.cpp into .deps, so that the Swift package can be built.",
        epilog="RA_LLAMA=system in the environment means --system. CC and CXX choose the compilers. Packages come from"
        " the index that pip is set up to use; a folder named by pip's find-links (PIP_FIND_LINKS) is looked at first.",
    )
    parser.add_argument("--force", action="store_true", help="build anew although everything is there")
    parser.add_argument("--jobs", type=_jobs, metavar="N", help="compile N files at a time (default: one per core)")
    parser.add_argument(
        "--backend",
        action="append",
        choices=sorted(BACKENDS),
        default=[],
        help="build this back end of ggml too, as a module that ra loads; may be given several times. rpc comes with the"
        " server for other machines, ggml-rpc-server",
    )
    parser.add_argument(
        "--cuda-architectures",
        type=_architectures,
        metavar="LIST",
        help="compile the back end cuda for these, such as 89 or 80,90 (CMAKE_CUDA_ARCHITECTURES; default: the GPUs of"
        " this machine)",
    )
    parser.add_argument("--portable", action="store_true", help="build for all processors of the last ten years instead of"
        " this one, into .deps/portable, for programs that go to other machines")
    parser.add_argument("--system", action="store_true", help="use an installed llama.cpp, found by pkg-config; the"
        " library of chat templates, which installations lack, is built all the same")
    arguments = parser.parse_args()
    if arguments.jobs is None:
        affinity = getattr(os, "sched_getaffinity", None)
        arguments.jobs = len(affinity(0)) if affinity else os.cpu_count() or 2
    if re.search(r"[\"'\\$#\n\t]", str(ROOT)):
        raise Failure(
            f"the path of this checkout ({ROOT}) has a quote, backslash, '$', '#' or tab, which pkg-config files can't"
            " express; move the checkout."
        )
    choice = os.environ.get("RA_LLAMA", "")
    if choice not in ("", "system", "bundled"):
        raise Failure(f"RA_LLAMA is '{choice}'; it may be 'system' or 'bundled'.")
    if arguments.cuda_architectures and "cuda" not in arguments.backend:
        raise Failure("--cuda-architectures is for --backend cuda.")
    if arguments.portable and (arguments.backend or arguments.system):
        raise Failure("--portable is of the bundled llama.cpp alone: leave out --backend and --system.")
    if arguments.system or (choice == "system" and not arguments.portable):
        if arguments.backend:
            raise Failure("--backend builds for the bundled llama.cpp; an installed one brings its own back ends.")
        status = system(arguments)
    else:
        status = bundled(arguments)
        for name in arguments.backend:
            with console.locked(DEPS / "lock", f"building the back end '{name}'"):
                build_backend(name, PREFIX, arguments.jobs, Compiler(), arguments.force, arguments.cuda_architectures)
        place_modules()
    build_chat_library(arguments.jobs, Compiler(), arguments.force and not arguments.portable, _write)
    if arguments.portable:
        write_chat_config(portable().config.parent, _write)
    warn_of_others()
    return status


console.run("bootstrap", main)
