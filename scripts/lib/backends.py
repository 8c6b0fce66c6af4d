"""ggml's back ends for GPUs and for other machines, built as modules that a program with ggml inside loads.

They lie in .deps/backends and may be copied beside any `ra` that was built with the same llama.cpp. A program without
them computes on the CPU, as if this file did not exist.
"""

import hashlib
import json
import os
import pathlib
import shlex
import shutil
import tempfile
import typing

import console
from console import Failure, say
from downloads import Downloader
from llama_source import SOURCE, unpack_folders, unpack_source
from toolchain import DEPS, LOG, MAC, ROOT, build_environment, find_cmake, find_ninja, log_run, text, works

FOLDER = DEPS / "backends"
PROJECT = pathlib.Path(__file__).resolve().parent / "backend"


class Backend(typing.NamedTuple):
    """What building one back end takes."""

    options: dict
    sources: list
    # Programs that must be on the path, and headers that must compile (with nvcc where that compiles the back end).
    programs: list
    headers: list
    advice: str
    # Built beside the module: a program, by its target's name.
    server: str = ""
    uses_nvcc: bool = False
    # What building takes, for the message.
    duration: str = "minutes"


BACKENDS = {
    "vulkan": Backend(
        {"GGML_VULKAN": "ON"},
        ["ggml/src/ggml-vulkan"],
        ["glslc"],
        ["vulkan/vulkan.hpp", "spirv/unified1/spirv.hpp"],
        "on Debian or Ubuntu 'apt-get install glslc libvulkan-dev spirv-headers', on macOS 'brew install shaderc"
        " vulkan-headers vulkan-loader spirv-headers'",
    ),
    "cuda": Backend(
        {"GGML_CUDA": "ON"},
        ["ggml/src/ggml-cuda"],
        [],
        ["cublas_v2.h", "cub/cub.cuh"],
        "install NVIDIA's CUDA toolkit and put its bin folder on the PATH, or name its folder in CUDA_PATH; without"
        " root rights \"pip install --target FOLDER 'cuda-toolkit[nvcc,cccl,cublas]==13.5.*'\" and"
        " CUDA_PATH=FOLDER/nvidia/cu13",
        uses_nvcc=True,
        duration="an hour or more on few cores",
    ),
    "metal": Backend(
        {"GGML_METAL": "ON", "GGML_METAL_EMBED_LIBRARY": "ON"},
        ["ggml/src/ggml-metal"],
        [],
        [],
        "",
    ),
    "rpc": Backend(
        {"GGML_RPC": "ON"}, ["ggml/src/ggml-rpc", "tools/rpc"], [], [], "", server="ggml-rpc-server"
    ),
}


def build_backend(name, prefix, jobs, compiler, force, cuda_architectures=None):
    """Builds one back end against the llama.cpp that is installed in `prefix`, unless that is done."""
    backend = BACKENDS[name]
    if name == "metal" and not MAC:
        raise Failure("the back end 'metal' can be built on macOS alone; for other GPUs there are vulkan and cuda.")
    nvcc = None
    if backend.uses_nvcc:
        nvcc = _find_nvcc()
        options = {"CMAKE_CUDA_COMPILER": nvcc}
        if cuda_architectures:
            options["CMAKE_CUDA_ARCHITECTURES"] = cuda_architectures
        backend = backend._replace(options={**backend.options, **options})
    files = [f"libggml-{name}.so"] + ([backend.server] if backend.server else [])
    key = json.dumps(
        {
            "source": SOURCE.sha256,
            "options": backend.options,
            "project": {
                path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(PROJECT.iterdir())
            },
            # The server has a copy of it inside.
            "llama": (prefix / ".key").read_text() if backend.server else "",
            "compiler": compiler.identity() + ([text([nvcc, "--version"])] if nvcc else []),
        },
        indent=1,
    )
    marker = FOLDER / f".key-{name}"
    is_built = marker.exists() and marker.read_text() == key and all((FOLDER / file).exists() for file in files)
    if force or not is_built:
        _check(backend, name, compiler, nvcc)
        _build(name, backend, files, prefix, jobs, compiler, key)
        marker.write_text(key)
    say(f"the back end '{name}' is ready in {FOLDER}; 'ra devices' tells what it finds")


def place_modules():
    """Links all modules into the folder of the program, where it looks for them, once that is built."""
    # Itself a link; the modules' are relative to what it points to.
    program = (ROOT / ".build" / "release").resolve()
    if not (program / "ra").exists():
        return
    for module in sorted(FOLDER.glob("libggml-*.so")):
        link = program / module.name
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(module, program))


def _find_nvcc():
    """CUDA's compiler in the toolkit that the environment names, on the path, or where NVIDIA's packages put it."""
    for variable in ("CUDAToolkit_ROOT", "CUDA_PATH", "CUDA_HOME"):
        folder = os.environ.get(variable, "").strip()
        if folder:
            program = shutil.which(os.path.join(os.path.abspath(folder), "bin", "nvcc"))
            if not program:
                raise Failure(f"{variable} is set to '{folder}', which has no bin/nvcc: {BACKENDS['cuda'].advice}.")
            return program
    return shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")


def _check(backend, name, compiler, nvcc):
    """Names everything that is missing, before minutes are spent."""
    missing = [program for program in backend.programs if not shutil.which(program)]
    command = [*compiler.cxx, "-std=c++17", "-fsyntax-only"]
    if backend.uses_nvcc:
        if not nvcc:
            raise Failure(f"building the back end '{name}' needs nvcc: {backend.advice}.")
        _check_nvcc(nvcc, "CMAKE_CUDA_ARCHITECTURES" in backend.options)
        command = [nvcc, "-x", "cu", "-E"]
    with tempfile.TemporaryDirectory() as scratch:
        source = os.path.join(scratch, "probe.cpp")
        for header in backend.headers:
            with open(source, "w") as file:
                file.write(f"#include <{header}>\n")
            if not works([*command, source]):
                missing.append(f"<{header}>")
    if missing:
        raise Failure(f"building the back end '{name}' needs {', '.join(missing)}: {backend.advice}.")


def _check_nvcc(nvcc, has_architectures):
    probe = [nvcc, "-x", "cu", "-E", "/dev/null"]
    if not works(probe):
        raise Failure(
            f"{nvcc} does not compile an empty file, '{shlex.join(probe)}' tells why; if this release of CUDA does not"
            " know the system's g++, set NVCC_CCBIN to an older one."
        )
    # Without architectures llama.cpp asks nvcc for this machine's GPUs, and if there is none gets code for old ones.
    query = shutil.which(os.path.join(os.path.dirname(os.path.realpath(nvcc)), "__nvcc_device_query"))
    if not has_architectures and query and not works([query]):
        raise Failure(
            "CUDA finds no GPU here whose architecture it could compile for: name it with --cuda-architectures, such"
            " as 89 for GeForce RTX 40 or 90 for H100, or 'all-major'."
        )


def _build(name, backend, files, prefix, jobs, compiler, key):
    console.require_space(DEPS, 600 << 20, f"building the back end '{name}'")
    downloader = Downloader()
    cmake, ninja = find_cmake(downloader), find_ninja(downloader)
    source = unpack_source(downloader)
    unpack_folders(downloader, backend.sources)
    folder = DEPS / f"build-{name}"
    marker = folder / ".key"
    # What an interrupted run has compiled is not compiled again.
    if not marker.exists() or marker.read_text() != key:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        marker.write_text(key)
    environment = build_environment(compiler, cmake, ninja)
    definitions = {
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_MAKE_PROGRAM": ninja,
        "GGML_CCACHE": "OFF",
        "GGML_OPENMP": "OFF",
        "LLAMA_SOURCE": source,
        "LLAMA_PREFIX": prefix,
        "MODULE": f"ggml-{name}",
        "RPC_SERVER": source / "tools" / "rpc" if backend.server else "",
        **({"CMAKE_OSX_DEPLOYMENT_TARGET": "15.0"} if MAC else {}),
        **backend.options,
    }
    with open(LOG, "w") as log:
        say(f"configuring the back end '{name}'")
        arguments = [f"-D{option}={value}" for option, value in definitions.items()]
        log_run([cmake, "-S", str(PROJECT), "-B", str(folder), "-G", "Ninja", *arguments], environment, log)
        say(f"building it, {jobs} {'job' if jobs == 1 else 'jobs'} at a time ({backend.duration})")
        targets = [f"ggml-{name}"] + ([backend.server] if backend.server else [])
        log_run([ninja, "-C", str(folder), "-j", str(jobs), *targets], environment, log, progress=True)
    FOLDER.mkdir(exist_ok=True)
    for file in files:
        partial = FOLDER / (file + ".partial")
        shutil.copy(folder / "bin" / file, partial)
        os.replace(partial, FOLDER / file)
    for finished in (folder, DEPS / "download"):
        shutil.rmtree(finished, ignore_errors=True)
