"""The two forms in which llama.cpp is built here: for this machine, and for others."""

import os
import platform
import typing

from llama_source import LLAMA_COMMIT
from toolchain import DEPS, MAC

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
if MAC:
    OPTIONS["CMAKE_OSX_DEPLOYMENT_TARGET"] = "15.0"  # as Package.swift says

PREFIX = DEPS / "llama"
CONFIG = DEPS / "lib" / "pkgconfig" / "llama.pc"
STAMP = DEPS / "stamp"


class Variant(typing.NamedTuple):
    """A llama.cpp that is built here."""

    options: dict
    prefix: os.PathLike
    folder: os.PathLike  # of the build
    config: os.PathLike
    stamp: os.PathLike


NATIVE = Variant(OPTIONS, PREFIX, DEPS / "build", CONFIG, STAMP)


def portable():
    """For other machines: the instructions that processors of ten years have, and no paths of this checkout."""
    x86 = ("SSE42", "AVX", "AVX2", "BMI2", "FMA", "F16C")
    options = dict(OPTIONS, GGML_NATIVE="OFF")
    if platform.machine() in ("x86_64", "amd64"):
        options.update({f"GGML_{name}": "ON" for name in x86})
    elif MAC:
        options["GGML_CPU_ARM_ARCH"] = "armv8.2-a+dotprod+fp16"  # Apple's first, M1, and all since
    # On other Arm processors what every 64-bit one has. Assertions name their files.
    for language in ("C", "CXX"):
        flags = [os.environ.get(f"{language}FLAGS", ""), f"-ffile-prefix-map={DEPS}=llama.cpp"]
        options[f"CMAKE_{language}_FLAGS"] = " ".join(filter(None, flags))
    folder = DEPS / "portable"
    config = folder / "lib" / "pkgconfig" / "llama.pc"
    return Variant(options, folder / "llama", folder / "build", config, folder / "stamp")
