"""Runs checks one after the other, whatever became of those before, and tells of each."""


def run(tests, chosen=(), label=""):
    """The exit status: 1 if one failed. `chosen` has the names of those to run; empty: all."""
    failed = 0
    for test in tests:
        if chosen and test.__name__ not in chosen:
            continue
        try:
            test()
            print(f"passed  {label}{test.__name__}", flush=True)
        except Exception as error:
            failed += 1
            print(f"FAILED  {label}{test.__name__}: {type(error).__name__}: {str(error)[:900]}", flush=True)
    return 1 if failed else 0
