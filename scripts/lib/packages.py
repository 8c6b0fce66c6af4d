"""Finds files of Python packages in whatever package index this machine's pip uses.

No address is written down here. pip's own settings (environment, configuration files, built-in default)
say where the index is, which certificate to trust and which proxy to take, so a machine with an index of its
own needs no settings but those it already has. Nothing is installed: a file is found by package and file name, and its
pinned SHA-256 makes it trustworthy, wherever it came from.
"""

import ast
import base64
import glob
import html.parser
import os
import pathlib
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request

from console import Failure

TIMEOUT = 60  # seconds without a byte before a connection is given up
PIP_MISSING = (
    "pip is needed to find the package index and this Python has none: on Debian or Ubuntu"
    " 'apt-get install python3-pip', on macOS 'python3 -m ensurepip --user'; or set PIP_INDEX_URL"
    " to the address of an index."
)


class Pip:
    """Asks pip questions, in a process of its own. Uses the installed one or else the one ensurepip bundles."""

    def __init__(self):
        self._environment = None

    def _run(self, *arguments):
        if self._environment is None:
            self._environment = self._find()
        if not self._environment:
            return None
        return _output([sys.executable, *arguments], self._environment)

    @staticmethod
    def _find():
        installed = dict(os.environ)
        if _output([sys.executable, "-c", "import pip._internal"], installed) is not None:
            return installed
        import sysconfig

        folders = [sysconfig.get_config_var("WHEEL_PKG_DIR"), "/usr/share/python-wheels"]
        try:
            import ensurepip

            folders.insert(0, os.path.join(os.path.dirname(ensurepip.__file__), "_bundled"))
        except ImportError:
            pass
        for folder in filter(None, folders):
            for wheel in sorted(glob.glob(os.path.join(glob.escape(folder), "pip-*.whl")), reverse=True):
                bundled = dict(os.environ, PYTHONPATH=wheel)  # a wheel is a zip file, which Python imports from
                if _output([sys.executable, "-c", "import pip._internal"], bundled) is not None:
                    return bundled
        return {}

    def configuration(self):
        """pip's settings by key, without the section: environment before `download` before `global`."""
        values = {}
        listing = self._run("-m", "pip", "config", "list") or ""
        for section in ("global.", "download.", ":env:."):
            for line in listing.splitlines():
                key, separator, value = line.partition("=")
                if separator and key.startswith(section):
                    try:
                        values[key[len(section) :]] = str(ast.literal_eval(value))
                    except (SyntaxError, ValueError):
                        values[key[len(section) :]] = value
        return values

    def default_index(self):
        code = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
        return (self._run("-c", code) or "").strip()

    def certificates(self):
        """The certificates that pip brings along, as PEM text."""
        return self._run("-c", "from pip._vendor import certifi; print(certifi.contents())")


def _output(command, environment):
    try:
        result = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            timeout=120,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return result.stdout.decode("utf-8", "replace") if result.returncode == 0 else None


class Index:
    """The package index of this machine. Asks pip only when something has to be downloaded."""

    def __init__(self):
        self._pip = Pip()
        self._settings = None
        self._opener = None
        self._uses_pips_certificates = False
        self._pages = {}
        self._authorizations = {}

    @property
    def settings(self):
        if self._settings is None:
            self._settings = self._pip.configuration()
            # Without pip, its environment variables still count.
            for name, value in os.environ.items():
                if name.startswith("PIP_") and value:
                    self._settings.setdefault(name[4:].lower().replace("_", "-"), value)
        return self._settings

    def _addresses(self):
        main = self.settings.get("index" "-url") or self._pip.default_index()
        if not main:
            raise Failure(PIP_MISSING)
        extra = self.settings.get("extra-index" "-url", "").split()
        return [address.rstrip("/") for address in main.split()[:1] + extra]

    def main_address(self):
        return self._addresses()[0]

    def local_file(self, name):
        """The file in a folder that pip's `find-links` names, or nothing."""
        for place in self.settings.get("find-links", "").split():
            folder = urllib.parse.unquote(place[7:]) if place.startswith("file://") else place
            path = pathlib.Path(folder).expanduser() / name
            if "://" not in folder and path.is_file():
                return path
        return None

    def file_address(self, package, name):
        """The address of the file called `name` of a package; raises Failure when the index lacks it."""
        addresses = self._addresses()
        for address in addresses:
            if (address, package) not in self._pages:
                self._pages[address, package] = self._links(f"{address}/{package}/")
            if name in self._pages[address, package]:
                return self._pages[address, package][name]
        hosts = " and ".join(host(address) for address in addresses)
        raise Failure(
            f"the package index {hosts} has no file {name} of the package {package}: it may hold only some packages,"
            " or the file may have been withdrawn."
        )

    def _links(self, address):
        try:
            with self.open(address, {"Accept": "text/html"}) as response:
                parser = _LinkParser()
                parser.feed(response.read().decode("utf-8", "replace"))
                base = response.url
        except urllib.error.HTTPError as error:
            if error.code in (404, 410):
                return {}
            raise
        links = {}
        for link in parser.links:
            link = urllib.parse.urldefrag(urllib.parse.urljoin(base, link)).url
            links[urllib.parse.unquote(urllib.parse.urlsplit(link).path.rsplit("/", 1)[-1])] = link
        return links

    def open(self, address, headers):
        """Opens an address with this machine's proxy and certificates."""
        address, authorization = _split_user(address)
        place = host(address)
        if authorization:
            self._authorizations[place] = authorization  # the links of a page need it too, and lack it
        request = urllib.request.Request(address, headers={"User-Agent": "retrieval-attention", **headers})
        if place in self._authorizations:
            # No other host gets to see it.
            request.add_unredirected_header("Authorization", self._authorizations[place])
        if self._opener is None:
            self._opener = self._make_opener(self._certificates())
        try:
            return self._opener.open(request, timeout=TIMEOUT)
        except urllib.error.URLError as error:
            # The system's store is unusable or empty (a Python from python.org on macOS): pip's may do.
            unusable = isinstance(error.reason, ssl.SSLCertVerificationError)
            if not unusable or self._uses_pips_certificates or self.settings.get("cert"):
                raise
            self._uses_pips_certificates = True
            pem = self._pip.certificates()
            if not pem:
                raise
            self._opener = self._make_opener(ssl.create_default_context(cadata=pem))
            return self._opener.open(request, timeout=TIMEOUT)

    def _certificates(self):
        named = self.settings.get("cert")
        if not named:
            return ssl.create_default_context()
        place = os.path.expanduser(named)
        try:
            if os.path.isdir(place):
                return ssl.create_default_context(capath=place)
            return ssl.create_default_context(cafile=place)
        except (OSError, ssl.SSLError) as error:
            raise Failure(f"pip's settings name the certificate file {named}, which can't be used ({error}).")

    def _make_opener(self, context):
        handlers = [urllib.request.HTTPSHandler(context=context)]
        proxy = self.settings.get("proxy")
        if proxy:
            handlers.append(urllib.request.ProxyHandler({"http": proxy, "https": proxy}))
        return urllib.request.build_opener(*handlers)


class _LinkParser(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.links = []

    def handle_starttag(self, tag, attributes):
        link = dict(attributes).get("href") if tag == "a" else None
        if link:
            self.links.append(link)


def _split_user(address):
    """Takes user and password out of an address; returns what remains and the header they stand for."""
    parts = urllib.parse.urlsplit(address)
    user, separator, place = parts.netloc.rpartition("@")
    if not separator:
        return address, None
    token = base64.b64encode(urllib.parse.unquote(user).encode()).decode()
    return urllib.parse.urlunsplit(parts._replace(netloc=place)), f"Basic {token}"


def host(address):
    """The host of an address, without user and password: fit to be printed."""
    return urllib.parse.urlsplit(address).netloc.rpartition("@")[2] or address


def reason(error):
    """A short text for what went wrong with a connection."""
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answered {error.code} {error.reason}"
    cause = getattr(error, "reason", error)
    if isinstance(cause, socket.gaierror):
        return "its name can't be resolved"
    if isinstance(cause, (socket.timeout, TimeoutError)):
        return "it did not answer in time"
    if isinstance(cause, OSError) and cause.strerror:
        return cause.strerror.lower()
    return str(cause) or type(cause).__name__
