"""When the sources are of: what is made of the same sources is the same then, byte by byte."""

import os

from console import Failure
from toolchain import ROOT, text


def source_date():
    """Seconds since 1970: SOURCE_DATE_EPOCH, or the commit's time, or the changelog's where there is no repository."""
    given = os.environ.get("SOURCE_DATE_EPOCH", "")
    if given:
        if not given.isdigit():
            raise Failure(f"SOURCE_DATE_EPOCH is '{given}', but must be seconds since 1970.")
        return int(given)
    stamp = git("log", "-1", "--format=%ct")
    return int(stamp) if stamp.isdigit() else int((ROOT / "CHANGELOG.md").stat().st_mtime)


def git(*arguments):
    """What git says in this checkout; nothing where it is none."""
    if not (ROOT / ".git").exists():
        return ""
    return text(["git", "-C", str(ROOT), *arguments], dict(os.environ, GIT_CEILING_DIRECTORIES=str(ROOT.parent))).strip()
