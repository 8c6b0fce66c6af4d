"""Makes llama.cpp available to the Swift package: fetched and built, or found on the system.

Whatever way, the result is one file, .deps/lib/pkgconfig/llama.pc, which Package.swift's system library target reads:

    scripts/bootstrap && swift build -c release --pkg-config-path .deps/lib/pkgconfig

The source comes inside the source package of llama-cpp-python, which pins one revision of llama.cpp. A newer one is a
change of LLAMA_COMMIT and SOURCE below.
"""

import argparse
import hashlib
import json
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

import console
from console import Failure, say
from downloads import Downloader, Pin

LLAMA_COMMIT = "0c1e57098"
LLAMA_VERSION = "0.5.0"
SOURCE = Pin(
    "llama-cpp-python",
    "llama_cpp_python-0.3.36.tar.gz",
    76589250,
    "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
)
SOURCE_PREFIX = "llama_cpp_python-0.3.36/vendor/llama.cpp/"

# What the build reads. Of ggml's back ends only the CPU's; of vendor/ what its CMakeLists.txt asks for.
WANTED = re.compile(
    r"""(CMakeLists\.txt | LICENSE | cmake/.* | include/.* | src/.*
      | ggml/(?!src/ggml-(?!cpu/)[^/]*/).* | vendor/(.*/)?CMakeLists\.txt | vendor/hash/.*)$""",
    re.VERBOSE,
)

OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "CMAKE_POSITION_INDEPENDENT_CODE": "ON",
    "CMAKE_INSTALL_LIBDIR": "lib",
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_NATIVE": "ON",
    "GGML_CCACHE": "OFF",
    "GGML_OPENMP": "OFF",  # our work runs on ggml's own thread pool; a second one would fight it for the cores
    "GGML_METAL": "OFF",
    "GGML_BLAS": "OFF",
    "GGML_BUILD_TESTS": "OFF",
    "GGML_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_COMMON": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_TOOLS": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_SERVER": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_UI": "OFF",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_BUILD_COMMIT": LLAMA_COMMIT,
    "LLAMA_BUILD_NUMBER": "0",
}
LIBRARIES = ["llama", "ggml", "ggml-cpu", "ggml-base"]  # users before what they use: static linking needs it
MAC = sys.platform == "darwin"
if MAC:
    OPTIONS["CMAKE_OSX_DEPLOYMENT_TARGET"] = "15.0"  # as Package.swift says
    SYSTEM_FLAGS = ["-lc++", "-framework", "Accelerate"]
else:
    SYSTEM_FLAGS = ["-lstdc++", "-lm", "-lpthread", "-ldl"]

CMAKE_MINIMUM = (3, 18)
# Wheels of tools for machines that lack them: a wheel is a zip file with the program inside.
CMAKE_WHEELS = {
    "linux-x86_64": Pin(
        "cmake",
        "cmake-4.4.4-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        30245729,
        "f773a0544c66370408f451acd487c2c643b0dfebb48c5d64f3638bc1bb820238",
    ),
    "linux-aarch64": Pin(
        "cmake",
        "cmake-4.4.4-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
        30300845,
        "b3029f586853e01ddf2824c1ff124a1c5284f8ae897994758e9c4eeb45903b58",
    ),
    "darwin": Pin(
        "cmake",
        "cmake-4.4.4-py3-none-macosx_10_10_universal2.whl",
        54404900,
        "883962a72b1b3a16ff445427f24c8caca9797dd9e563bbe208cbcd89e877f9d3",
    ),
}
NINJA_WHEELS = {
    "linux-x86_64": Pin(
        "ninja",
        "ninja-1.13.0-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl",
        180716,
        "fb46acf6b93b8dd0322adc3a4945452a4e774b75b91293bafcc7b7f8e6517dfa",
    ),
    "linux-aarch64": Pin(
        "ninja",
        "ninja-1.13.0-py3-none-manylinux2014_aarch64.manylinux_2_17_aarch64.whl",
        177467,
        "3d00c692fb717fd511abeb44b8c5d00340c36938c12d6538ba989fe764e79630",
    ),
    "darwin": Pin(
        "ninja",
        "ninja-1.13.0-py3-none-macosx_10_9_universal2.whl",
        310125,
        "fa2a8bfc62e31b08f83127d1613d10821775a0eb334197154c4d6067b7068ff1",
    ),
}

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPS = ROOT / ".deps"
PREFIX = DEPS / "llama"
CONFIG = DEPS / "lib" / "pkgconfig" / "llama.pc"
STAMP = DEPS / "stamp"
LOG = DEPS / "log"


# --- The compiler ----------------------------------------------------------------------------------------------------


class Compiler:
    """The C and C++ compilers, each a command with possible arguments, as CC and CXX may have them."""

    def __init__(self):
        self.c = self._find("CC", ["cc", "clang", "gcc"])
        self.cxx = self._find("CXX", ["c++", "clang++", "g++"])

    @staticmethod
    def _find(variable, names):
        value = os.environ.get(variable, "").strip()
        if value:
            command = shlex.split(value)
            if not shutil.which(command[0]):
                raise Failure(f"{variable} is set to '{value}', which is not there; unset it or set it to a compiler.")
            return command
        for name in names:
            path = shutil.which(name)
            if path and _works([path, "--version"]):
                return [path]
        language = "C++" if variable == "CXX" else "C"
        raise Failure(
            f"a {language} compiler is needed and none of {', '.join(names)} was found: on Debian or Ubuntu"
            " 'apt-get install g++', on macOS 'xcode-select --install'; or set CC and CXX."
        )

    def identity(self):
        """Version and target of both compilers and what 'native' means to them on this CPU."""
        texts = []
        for command in (self.c, self.cxx):
            texts.append(shlex.join(command))
            texts.append(_text([*command, "--version"]).partition("\n")[0])
        for flag in ("-march=native", "-mcpu=native"):
            # The predefined macros name every instruction set in use, so a library built for another CPU is noticed.
            macros = _text([*self.c, flag, "-dM", "-E", "-x", "c", "/dev/null"])
            if macros:
                digest = hashlib.sha256("\n".join(sorted(macros.splitlines())).encode()).hexdigest()
                texts.append(f"{flag} {digest[:16]}")
                break
        return texts


def _works(command):
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _text(command, environment=None):
    """Standard output of a command, or nothing when it fails."""
    try:
        result = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return result.stdout.decode("utf-8", "replace") if result.returncode == 0 else ""


# --- Tools -----------------------------------------------------------------------------------------------------------


def _platform():
    if MAC:
        return "darwin"
    machine = {"amd64": "x86_64", "arm64": "aarch64"}.get(platform.machine(), platform.machine())
    # The wheels are linked to glibc.
    return f"linux-{machine}" if sys.platform == "linux" and platform.libc_ver()[0] == "glibc" else None


def find_cmake(downloader):
    path = shutil.which("cmake")
    version = re.search(r"version (\d+)\.(\d+)", _text([path, "--version"])) if path else None
    if version and (int(version[1]), int(version[2])) >= CMAKE_MINIMUM:
        return path
    return _unpack_tool(downloader, CMAKE_WHEELS, r"cmake/data/((bin/cmake|share/cmake-[^/]*/.*)$)", "bin/cmake")


def find_ninja(downloader):
    for name in ("ninja", "ninja-build"):
        path = shutil.which(name)
        if path and _works([path, "--version"]):
            return path
    return _unpack_tool(downloader, NINJA_WHEELS, r"ninja-[^/]*\.data/scripts/(ninja$)", "ninja")


def _unpack_tool(downloader, wheels, wanted, program):
    """Unpacks what a regular expression picks from a tool's wheel; its first group is the path to unpack to."""
    pin = wheels.get(_platform())
    if pin is None:
        raise Failure(
            "cmake 3.18 or newer and ninja are needed and this system has no ready-made ones: on Debian or Ubuntu"
            " 'apt-get install cmake ninja-build', on Alpine 'apk add cmake samurai'."
        )
    folder = DEPS / "tools" / "-".join(pin.name.split("-")[:2])
    if not (folder / program).exists():
        wheel = downloader.fetch(pin, DEPS / "download")
        partial = folder.with_name(folder.name + ".partial")
        shutil.rmtree(partial, ignore_errors=True)
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                match = re.match(wanted, member.filename)
                if not match or member.is_dir():
                    continue
                target = partial / match[1]
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, open(target, "wb") as file:
                    shutil.copyfileobj(source, file)
                if match[1] == program:
                    target.chmod(0o755)
        os.replace(partial, folder)
        wheel.unlink()
    return str(folder / program)


# --- Source, build, installation -------------------------------------------------------------------------------------


def unpack_source(downloader):
    """Returns the folder of the source; fetches and unpacks it unless an earlier run did."""
    folder = DEPS / "source"
    marker = folder / ".sha256"
    if marker.exists() and marker.read_text() == SOURCE.sha256:
        return folder
    archive_path = downloader.fetch(SOURCE, DEPS / "download", f"llama.cpp {LLAMA_COMMIT}")
    partial = folder.with_name("source.partial")
    for old in (partial, folder):
        shutil.rmtree(old, ignore_errors=True)
    say("unpacking the source")
    # Read as a stream, member by member: only plain files whose names the pattern knows are written.
    with tarfile.open(archive_path, "r|gz") as archive:
        for member in archive:
            name = member.name[len(SOURCE_PREFIX) :]
            if not member.isfile() or not member.name.startswith(SOURCE_PREFIX) or not WANTED.match(name):
                continue
            if ".." in name.split("/"):
                continue
            target = partial / name
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.extractfile(member) as source, open(target, "wb") as file:
                shutil.copyfileobj(source, file)
    (partial / ".sha256").write_text(SOURCE.sha256)
    os.replace(partial, folder)
    archive_path.unlink()
    return folder


def build(key, jobs, compiler):
    """Builds and installs into .deps/llama. What an interrupted run has compiled is not compiled again."""
    console.require_space(DEPS, 300 << 20, "building llama.cpp")
    downloader = Downloader()
    cmake, ninja = find_cmake(downloader), find_ninja(downloader)
    source = unpack_source(downloader)
    folder = DEPS / "build"
    marker = folder / ".key"
    if not marker.exists() or marker.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        marker.write_text(key)
    environment = dict(os.environ)
    environment.update(
        CC=shlex.join(compiler.c),
        CXX=shlex.join(compiler.cxx),
        NINJA_STATUS="[%f/%t] ",
        # The build asks git for a version; it should not find this checkout's.
        GIT_CEILING_DIRECTORIES=str(ROOT),
    )
    for name in ("DESTDIR", "CMAKE_GENERATOR", "CMAKE_TOOLCHAIN_FILE", "CMAKE_BUILD_TYPE", "CMAKE_INSTALL_PREFIX"):
        environment.pop(name, None)
    partial = PREFIX.with_name("llama.partial")
    shutil.rmtree(partial, ignore_errors=True)
    with open(LOG, "w") as log:
        definitions = [f"-D{name}={value}" for name, value in OPTIONS.items()]
        definitions += [f"-DCMAKE_MAKE_PROGRAM={ninja}", f"-DCMAKE_INSTALL_PREFIX={PREFIX}"]
        say("configuring llama.cpp")
        _log_run([cmake, "-S", str(source), "-B", str(folder), "-G", "Ninja", *definitions], environment, log)
        say(f"building llama.cpp, {jobs} {'job' if jobs == 1 else 'jobs'} at a time (minutes)")
        _log_run([ninja, "-C", str(folder), "-j", str(jobs), "llama"], environment, log, progress=True)
        _log_run([cmake, "--install", str(folder), "--prefix", str(partial)], environment, log)
    shutil.rmtree(partial / "lib" / "pkgconfig", ignore_errors=True)  # ours is the complete one
    shutil.copy(source / "LICENSE", partial / "LICENSE")
    (partial / ".key").write_text(key)
    shutil.rmtree(PREFIX, ignore_errors=True)
    os.replace(partial, PREFIX)
    for finished in (folder, DEPS / "download"):
        shutil.rmtree(finished, ignore_errors=True)


def _log_run(command, environment, log, progress=False):
    """Runs one step of the build with its output in the log; shows its end when the step fails."""
    line = console.Progress()
    log.write(f"$ {shlex.join(command)}\n")
    log.flush()
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        encoding="utf-8", errors="replace",
    )
    try:
        for text in process.stdout:
            log.write(text)
            if progress and text.startswith("["):
                line.show(text.strip())
        status = process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise
    finally:
        line.close()
    if status != 0:
        log.flush()
        for text in LOG.read_text(errors="replace").splitlines()[-20:]:
            say(f"  {text}")
        raise Failure(f"building llama.cpp failed; the last lines of {LOG} are above.")


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
    key = json.dumps(
        {
            "source": SOURCE.sha256,
            "options": OPTIONS,
            "folder": str(PREFIX),
            "compiler": compiler.identity(),
            "flags": {name: os.environ.get(name, "") for name in ("CFLAGS", "CXXFLAGS", "LDFLAGS", "SDKROOT")},
        },
        indent=1,
    )
    config = pkg_config_text(
        f"llama.cpp {LLAMA_COMMIT}, built in this checkout",
        LLAMA_VERSION,
        PREFIX,
        '-I"${includedir}"',  # quoted, since the path of the checkout may have spaces
        " ".join(['-L"${libdir}"', *(f"-l{name}" for name in LIBRARIES), *SYSTEM_FLAGS]),
    )

    def is_built():
        marker = PREFIX / ".key"
        return (
            marker.exists()
            and marker.read_text() == key
            and all((PREFIX / "lib" / f"lib{name}.a").exists() for name in LIBRARIES)
        )

    if not arguments.force and is_built() and _is_current(key, config):
        say(f"llama.cpp {LLAMA_COMMIT} is ready in {PREFIX}")
        return 0
    with console.locked(DEPS / "lock", "building llama.cpp"):
        if arguments.force:
            shutil.rmtree(DEPS / "build", ignore_errors=True)
        if arguments.force or not is_built():
            STAMP.unlink(missing_ok=True)
            build(key, arguments.jobs, compiler)
        _write(CONFIG, config)
        _write(STAMP, key)
    say(f"llama.cpp {LLAMA_COMMIT} is ready in {PREFIX}")
    return 0


def _is_current(key, config):
    return STAMP.exists() and STAMP.read_text() == key and CONFIG.exists() and CONFIG.read_text() == config


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
    version = _text([tool, "--modversion", "llama"], environment).strip()
    if not version:
        raise Failure(
            "pkg-config knows no package 'llama': install llama.cpp with its headers (on macOS 'brew install"
            " llama.cpp'), set PKG_CONFIG_PATH to the folder of its llama.pc, or run without --system."
        )
    compiler = Compiler()
    cflags = shlex.split(_text([tool, "--cflags", "llama"], environment))
    libs = shlex.split(_text([tool, "--libs", "llama"], environment))
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
    return _works([*compiler.c, *flags, *cflags, source, "-o", os.path.join(scratch, "probe"), *libs])


# --- The command ------------------------------------------------------------------------------------------------------


def _jobs(text):
    number = int(text)
    if number < 1:
        raise ValueError
    return number


_jobs.__name__ = "number of jobs"


def main():
    parser = argparse.ArgumentParser(
        prog="bootstrap",
        description="Fetches and builds llama.cpp into .deps, so that the Swift package can be built.",
        epilog="RA_LLAMA=system in the environment means --system. CC and CXX choose the compilers. Packages come from"
        " the index that pip is set up to use; a folder named by pip's find-links (PIP_FIND_LINKS) is looked at first.",
    )
    parser.add_argument("--force", action="store_true", help="build anew although everything is there")
    parser.add_argument("--jobs", type=_jobs, metavar="N", help="compile N files at a time (default: one per core)")
    parser.add_argument("--system", action="store_true", help="use an installed llama.cpp, found by pkg-config")
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
    status = system(arguments) if arguments.system or choice == "system" else bundled(arguments)
    warn_of_others()
    return status


console.run("bootstrap", main)
