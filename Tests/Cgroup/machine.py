"""Runs the tests of this folder on a kernel of their own, with cgroups of version 2 alone.

    this program ── qemu ── Linux of Debian's ── first.sh ── python3 -m unittest
                            the root file system is this machine's, read-only by 9p,
                            and what is written there stays in the guest's memory

What the tests need of the system, a branch of the cgroup tree to hand out, few machines give to a
test; containers and CI give none. The guest's processor is emulated (ACCEL=tcg), which is slow and
runs everywhere; ACCEL=kvm is quick where /dev/kvm is one that takes any guest.
"""

import io
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
PARTS = ROOT + "/.build/cgroup"
# What the kernel needs to find its root file system; with what these need in turn.
DRIVERS = ["virtio_pci", "9pnet_virtio", "9p", "overlay"]
SECONDS = int(os.environ.get("SECONDS") or 900)
SENTINEL = "tests ended with status "


def files_of(package):
    """The files of a package of Debian's, by name; not installed, since this machine may have another."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # apt downloads as a user of its own
        subprocess.run(["apt-get", "download", "-qq", package], cwd=folder, check=True,
                       stderr=subprocess.DEVNULL)
        archive = subprocess.run(
            ["dpkg-deb", "--fsys-tarfile", os.path.join(folder, os.listdir(folder)[0])],
            stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return {member.name[1:]: tar.extractfile(member).read()
                for member in tar if member.isfile()}


def kernel_package():
    """The kernel that the newest of Debian's is at present."""
    told = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], capture_output=True,
                          text=True, check=True).stdout
    return re.search(r"Depends: (linux-image-\S+)", told)[1]


def with_needs(name, drivers, found):
    """Adds a driver to those found, after those that it needs."""
    needs = re.search(rb"\0depends=([^\0]*)\0", drivers[name])[1].decode()
    for need in filter(None, needs.split(",")):
        if need not in found:
            with_needs(need, drivers, found)
    found[name] = drivers[name]


def archived(files):
    """An archive as the kernel unpacks it at its start (newc, Documentation/driver-api/early-userspace)."""
    archive = bytearray()

    def pad():
        archive.extend(bytes(-len(archive) % 4))

    for number, (name, mode, data) in enumerate([*files, ("TRAILER!!!", 0, b"")], 1):
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        archive += b"070701" + b"".join(b"%08X" % field for field in fields)
        archive += name.encode() + b"\0"
        pad()
        archive += data
        pad()
    return bytes(archive)


def fetch():
    """Puts kernel, drivers and a static shell below .build, the first time."""
    if os.path.exists(PARTS + "/ready"):
        return
    os.makedirs(PARTS, exist_ok=True)
    kernel = files_of(kernel_package())
    drivers = {os.path.basename(path)[:-3].replace("-", "_"): data
               for path, data in kernel.items() if path.endswith(".ko")}
    needed = {}
    for name in DRIVERS:
        with_needs(name, drivers, needed)
    files = [(name, 0o40755, b"") for name in (
        "dev", "proc", "lower", "upper", "root", "drivers")]
    files += [("drivers/%02d.ko" % number, 0o100644, data)
              for number, data in enumerate(needed.values())]
    files.append(("busybox", 0o100755, files_of("busybox-static")["/bin/busybox"]))
    with open(PARTS + "/files", "wb") as file:
        file.write(archived(files))
    with open(PARTS + "/kernel", "wb") as file:
        file.write(next(data for path, data in kernel.items() if path.startswith("/boot/vmlinuz")))
    open(PARTS + "/ready", "w").close()


def first_files():
    """What the guest starts with; the second of two archives adds to the first."""
    with open(PARTS + "/files", "rb") as parts, open(HERE + "/first.sh", "rb") as script:
        return parts.read() + archived([("init", 0o100755, script.read())])


def run(arguments):
    """Runs the tests in the guest and prints what they say; their exit status."""
    accelerator = os.environ.get("ACCEL") or "tcg"
    if accelerator == "tcg":
        print("the tests' processor is emulated: a second takes about ten", flush=True)
    with tempfile.NamedTemporaryFile() as initial:
        initial.write(first_files())
        initial.flush()
        guest = subprocess.Popen([
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot",
            "-display", "none", "-serial", "stdio", "-smp", "2", "-m", "2048",
            "-accel", accelerator + (",thread=multi" if accelerator == "tcg" else ""),
            "-cpu", "max", "-kernel", PARTS + "/kernel", "-initrd", initial.name,
            "-append", "console=ttyS0 loglevel=1 panic=-1 cgroup_no_v1=all swapaccount=1 -- %s %s" % (
                ROOT, " ".join(arguments)),
            "-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
            "-device", "virtio-9p-pci,fsdev=root,mount_tag=root"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace")
        deadline = threading.Timer(SECONDS, guest.kill)
        deadline.start()
        status = None
        try:
            for line in guest.stdout:
                if SENTINEL in line:
                    status = int(line.split(SENTINEL)[1])
                else:
                    print(line.rstrip(), flush=True)
        finally:
            deadline.cancel()
            guest.kill()
            guest.wait()
    if status is None:
        print("the guest ended before its tests did, or ran over %d s" % SECONDS)
        return 2
    return status


if __name__ == "__main__":
    fetch()
    sys.exit(run(sys.argv[1:]))
