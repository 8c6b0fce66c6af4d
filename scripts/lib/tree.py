"""Which files an installation has, and where under its prefix they belong."""

import pathlib
import re
import shutil

from console import Failure
from manual import ask, write_pages
from toolchain import DEPS, ROOT

DOCUMENTS = pathlib.Path("share/doc/retrieval-attention")
#: Where completions are looked for by each shell, under a prefix.
COMPLETIONS = {
    "bash": pathlib.Path("share/bash-completion/completions/ra"),
    "zsh": pathlib.Path("share/zsh/site-functions/_ra"),
    "fish": pathlib.Path("share/fish/vendor_completions.d/ra.fish"),
}


def write_tree(program, folder, with_backends):
    """Writes everything into an empty folder, as it is to lie under a prefix."""
    target = folder / "bin" / "ra"
    target.parent.mkdir(parents=True)
    shutil.copyfile(program, target)
    target.chmod(0o755)
    write_pages(str(target), folder / "share" / "man" / "man1")
    for shell, path in COMPLETIONS.items():
        script = ask(str(target), "--generate-completion-script", shell)
        if not script.strip():
            raise Failure(f"{program} wrote no completions for {shell}.")
        script = re.sub(r"\A#!.*\n+", "", script)  # it is read by a shell, and no program
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(script)
    documents = folder / DOCUMENTS
    documents.mkdir(parents=True)
    for name in ("README.md", "CHANGELOG.md", "LICENSE"):
        shutil.copyfile(ROOT / name, documents / name)
    if with_backends:
        modules = sorted((DEPS / "backends").glob("libggml-*"))
        for module in modules:
            (folder / "lib" / "ra").mkdir(parents=True, exist_ok=True)
            shutil.copyfile(module, folder / "lib" / "ra" / module.name)


def files(folder):
    """The paths of all files of a tree, relative to it, in order."""
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
