"""What the manual page of ra tells that its commands do not say of themselves: mdoc(7) of ra(1)."""

ENVIRONMENT = [
    ("RA_MODEL", "The model where no option names one."),
    ("RA_MODELS", "The folder where models are looked for, in place of\n.Pa .models\nand the user\\(aqs own."),
    ("RA_BACKENDS", "The folder of modules of ggml for GPUs and other machines, in place of the\nprogram\\(aqs."),
    ("RA_SIMD_LEVEL", "The kernels to compute with:\n.Cm scalar , neon , avx2\nor\n.Cm avx512 ."),
    (
        "XDG_CONFIG_HOME , XDG_DATA_HOME , XDG_CACHE_HOME , XDG_STATE_HOME",
        "Where the files below are, in place of\n.Pa \\(ti/.config , \\(ti/.local/share , \\(ti/.cache\nand\n"
        ".Pa \\(ti/.local/state .",
    ),
]

FILES = [
    (
        "\\(ti/.config/ra/config",
        "Lines of\n.Ql key = value :\n.Cm model , threads , session-cache\nand\n.Cm history ;\na\n.Ql #\n"
        "begins a comment.",
    ),
    ("\\(ti/.local/share/ra/models", "The user\\(aqs models."),
    ("\\(ti/.local/share/retrieval-attention/sessions", "Sessions that have names."),
    (
        "\\(ti/.cache/ra/sessions",
        "Sessions that\n.Xr ra-ask 1\nand\n.Xr ra-chat 1\nhave made of documents; what was not used for longest is removed.",
    ),
    ("\\(ti/.local/state/ra", "What was written to\n.Xr ra-chat 1 ."),
]

STATUS = [
    ("0", "What was asked for is done."),
    ("1", "It failed, and a sentence on standard error says why."),
    ("64", "The command line has a mistake; nothing was done."),
    ("128+n", "A signal of this number ended it: 130 after Ctrl\\-C."),
]

PROGRAMS = [
    "PDF documents are read by\n.Xr pdftotext 1\n(of poppler-utils), and DOCX, ODT, EPUB, HTML and RTF by\n.Xr pandoc 1 .",
    "Both have to be installed for documents of these kinds alone.",
]


def _list(items, macro):
    lines = [".Bl -tag -width indent"]
    for name, text in items:
        lines += [f".It {macro} {name}", *text.split("\n")]
    return [*lines, ".El"]


SECTIONS = [
    *[".Sh ENVIRONMENT", *_list(ENVIRONMENT, "Ev")],
    *[".Sh FILES", *_list(FILES, "Pa")],
    *[".Sh EXIT STATUS", *_list(STATUS, "Li")],
    *[".Sh NOTES", *"\n".join(PROGRAMS).split("\n")],
]
