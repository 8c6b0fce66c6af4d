# Sourced by the scripts beside this folder: finds a Python that is new enough and hands over to it.
# POSIX shell and built-ins only, since this part has to work where next to nothing is installed.

# run_python FILE [ARGUMENT...] replaces the shell by Python running FILE.
run_python() {
  for candidate in "${PYTHON:-python3}" /usr/bin/python3 python3.14 python3.13 python3.12 python3.11 \
    python3.10 python3.9; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 9))' </dev/null >/dev/null 2>&1; then
      # -B: the checkout may be read-only, and a __pycache__ beside the scripts helps nobody.
      exec "$candidate" -B "$@"
    fi
  done
  echo "${0##*/}: Python 3.9 or newer is needed and no python3 was found that runs: on Debian or Ubuntu" \
    "'apt-get install python3', on macOS 'xcode-select --install' or 'brew install python3'." >&2
  exit 1
}
