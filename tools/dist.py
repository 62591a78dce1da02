# SPDX-License-Identifier: MIT
"""Builds the packages of a commit into a folder: the source archive (all files of the commit), the
Python source package and its wheels, the package for luarocks, a list of what is in them and of the
tools that built them (an SBOM in CycloneDX's format), and the checksums of all of them. Two runs on
the same commit make the same files, byte for byte.

    build/venv/bin/python tools/dist.py [-o FOLDER] [--python PYTHON]... [--wheels FOLDER]
    python3 tools/dist.py --rock     only the package for luarocks, of this tree as it is

With --wheels no wheel is built: those in that folder, which were built on other systems, are used.
The folder (dist/) is replaced once everything is built, and stays as it is if something fails.
"""

import argparse
import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from datetime import datetime, timezone
from pathlib import Path

import project
import sbom
import wheels
from project import BUILT, NAME, ROOT, FailedError

ROCK = ["GNUmakefile", "LICENSE", "README.md", "core", "bindings", "lua", "packaging", "tools"]


def pack(tree, names, path, prefix):
    """A compressed archive of these files and folders, in which nothing is left to chance."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in sorted(files_of(tree, names)):
            entry = archive.gettarinfo(file, f"{prefix}/{file.relative_to(tree)}")
            entry.mode = 0o755 if entry.mode & 0o100 else 0o644
            entry.uid = entry.gid = 0
            entry.uname = entry.gname = ""
            entry.mtime = project.epoch()
            with open(file, "rb") as data:
                archive.addfile(entry, data)
    with open(path, "wb") as file, gzip.GzipFile("", "wb", 9, file, project.epoch()) as packed:
        packed.write(content.getvalue())
    return path


def files_of(tree, names):
    ignored = shutil.ignore_patterns(*BUILT)
    for name in names:
        if not (tree / name).is_dir():
            yield tree / name
            continue
        for folder, folders, files in os.walk(tree / name):
            left_out = ignored(folder, folders + files)
            folders[:] = [one for one in folders if one not in left_out]
            yield from (Path(folder, one) for one in files if one not in left_out)


def source(tree, folder):
    name = f"{NAME}-{project.version()}"
    names = [one.name for one in tree.iterdir()]
    return pack(tree, names, folder / f"{name}-source.tar.gz", name)


def sdist(tree, folder):
    """setuptools gives the files the machine's time and owner, so they are packed again."""
    name = f"{NAME}-{project.version()}"
    with tempfile.TemporaryDirectory() as work:
        options = ["--sdist", "--no-isolation", "-o", work]
        project.run(sys.executable, "-m", "build", *options, tree)
        project.run("tar", "-xzf", Path(work, f"{name}.tar.gz"), "-C", work)
        unpacked = Path(work, name)
        written = [*unpacked.rglob("*.egg-info/*")]
        names = [one.name for one in unpacked.iterdir()]
        names += [str(one.relative_to(unpacked)) for one in written]
        return pack(unpacked, names, folder / f"{name}.tar.gz", name)


def rockspec(tree, url, tag=""):
    """The rockspec of the tree, for sources at this address."""
    text = (tree / rockspec_name()).read_text(encoding="utf-8")
    source = 'source = { url = "."'
    if text.count(source) != 1:
        raise FailedError(f"{rockspec_name()} has no line: {source} }}")
    address = f'source = {{ url = "{url}"'
    return text.replace(source, address + (f', tag = "{tag}"' if tag else ""))


def rockspec_name():
    return f"{NAME}-{project.version()}-1.rockspec"


def rock(tree, folder):
    """What `luarocks pack` makes of a rockspec: that, and an archive of the sources. It is not
    used here, since it can fetch the sources only from a public address, and writes the time of
    day.
    """
    name = f"{NAME}-{project.version()}"
    path = folder / f"{name}-1.src.rock"
    spec = rockspec(tree, f"file://{name}.tar.gz")
    with tempfile.TemporaryDirectory() as work:
        archive = pack(tree, ROCK, Path(work, f"{name}.tar.gz"), name)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
            contents = {rockspec_name(): spec.encode(), archive.name: archive.read_bytes()}
            for inner, content in contents.items():
                time = datetime.fromtimestamp(project.epoch(), timezone.utc).timetuple()[:6]
                entry = zipfile.ZipInfo(inner, time)
                entry.external_attr = 0o100644 << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                packed.writestr(entry, content)
    return path


def checksums(folder):
    lines = []
    for path in sorted(folder.iterdir()):
        lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n")
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")


def committed(folder):
    """The files of the commit, without what was changed or built since."""
    if not project.is_repository():
        raise FailedError("packages are built from a commit: this is not a clone of the repository")
    archive = folder / "commit.tar"
    project.git("archive", "--format=tar", "-o", str(archive), "HEAD")
    tree = folder / f"{NAME}-{project.version()}"
    tree.mkdir()
    project.run("tar", "-xf", archive, "-C", tree)
    return tree


def build(folder, pythons=None, ready=None):
    """Builds everything next to the folder, and then moves it there."""
    folder = Path(folder).absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    os.umask(0o022)  # the files' permissions are in the packages
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as work:
        new = Path(work, "new")
        new.mkdir()
        tree = committed(Path(work))
        say(source(tree, new))
        packed = say(sdist(tree, new))
        say(rock(tree, new))
        if project.home():
            spec = rockspec(tree, f"git+{project.home()}", project.tag())
            (new / rockspec_name()).write_text(spec, encoding="utf-8")
        if ready is None:
            wheels.build(packed, new, pythons)
        else:
            for wheel in sorted(Path(ready).glob(f"{NAME}-{project.version()}-*.whl")):
                say(Path(shutil.copy(wheel, new)))
        sbom.write(new)
        checksums(new)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
    print(f"dist: {len(list(folder.iterdir()))} files in {folder.name}/")


def say(path):
    print(f"dist: {path.name}", flush=True)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("-o", "--output", default=ROOT / "dist", metavar="FOLDER")
    parser.add_argument("--python", action="append", default=[], metavar="PYTHON")
    parser.add_argument("--wheels", metavar="FOLDER")
    parser.add_argument("--rock", action="store_true")
    options = parser.parse_args()
    try:
        if options.rock:
            (ROOT / "build").mkdir(exist_ok=True)
            print(rock(ROOT, ROOT / "build").relative_to(ROOT))
        else:
            pythons = [wheels.named(one) for one in options.python]
            build(options.output, pythons, options.wheels)
    except (FailedError, subprocess.SubprocessError) as error:
        sys.exit(f"dist: {error}")


if __name__ == "__main__":
    main()
