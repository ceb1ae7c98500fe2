"""Programs that the suite uses as clients, and how they get here."""

import os
import shutil
import site
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))
VENV = os.path.join(HERE, ".peers", "venv")
PYTHON = os.path.join(VENV, "bin", "python")


def need(*programs):
    """Has `setup.sh` install what is missing; an error when it is missing still."""
    if any(shutil.which(program) is None for program in programs):
        install()
    for program in programs:
        assert shutil.which(program), program + " is not here; see setup.sh"


def need_python():
    """The Python packages of requirements.txt, in a virtual environment and for import here."""
    install()
    for folder in os.listdir(os.path.join(VENV, "lib")):
        site.addsitedir(os.path.join(VENV, "lib", folder, "site-packages"))


def install():
    subprocess.run([os.path.join(HERE, "setup.sh")], check=True)
