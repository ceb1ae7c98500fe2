"""Builds the package for pip (PEP 517, PEP 660) with the standard library alone: no network is needed.

pyproject.toml has the same name and extras; a test compares them. The version is the package's own.
"""

import base64
import hashlib
import io
import os
import re
import tarfile
import zipfile

NAME = "martlet"
HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, NAME, "__init__.py"), encoding="utf-8") as package:
    VERSION = re.search(r'(?m)^__version__ = "(.*)"$', package.read())[1]
INFO = "%s-%s.dist-info" % (NAME, VERSION)
METADATA = """Metadata-Version: 2.1
Name: martlet
Version: %s
Summary: Functions for a Martlet server, and the client that calls them
License: Apache-2.0
Requires-Python: >=3.9
Provides-Extra: pickle
Requires-Dist: cloudpickle>=2; extra == "pickle"
Provides-Extra: joblib
Requires-Dist: cloudpickle>=2; extra == "joblib"
Requires-Dist: joblib>=1.4; extra == "joblib"
Description-Content-Type: text/markdown

""" % VERSION
WHEEL = "Wheel-Version: 1.0\nGenerator: martlet\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
# The earliest time that a zip file can bear, so that equal sources make equal packages.
DATE = (1980, 1, 1, 0, 0, 0)


def contents(path):
    with open(os.path.join(HERE, path), "rb") as file:
        return file.read()


def modules():
    names = sorted(name for name in os.listdir(os.path.join(HERE, NAME)) if name.endswith(".py"))
    return {"%s/%s" % (NAME, name): contents("%s/%s" % (NAME, name)) for name in names}


def metadata():
    return METADATA.encode() + contents("README.md")


def write_wheel(folder, files):
    files = {**files, INFO + "/METADATA": metadata(), INFO + "/WHEEL": WHEEL.encode()}
    record = []
    for path, data in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record.append("%s,sha256=%s,%d\n" % (path, digest, len(data)))
    record.append("%s/RECORD,,\n" % INFO)
    files[INFO + "/RECORD"] = "".join(record).encode()
    name = "%s-%s-py3-none-any.whl" % (NAME, VERSION)
    with zipfile.ZipFile(os.path.join(folder, name), "w", zipfile.ZIP_DEFLATED) as wheel:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, DATE)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(entry, data)
    return name


def build_wheel(folder, config_settings=None, metadata_directory=None):
    return write_wheel(folder, modules())


def build_editable(folder, config_settings=None, metadata_directory=None):
    return write_wheel(folder, {NAME + ".pth": (HERE + "\n").encode()})


def build_sdist(folder, config_settings=None):
    root, name = "%s-%s" % (NAME, VERSION), "%s-%s.tar.gz" % (NAME, VERSION)
    files = {**modules(), "PKG-INFO": metadata()}
    for path in ("pyproject.toml", "README.md", "build_package.py"):
        files[path] = contents(path)
    with tarfile.open(os.path.join(folder, name), "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for path, data in files.items():
            entry = tarfile.TarInfo("%s/%s" % (root, path))
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))
    return name
