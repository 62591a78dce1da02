# SPDX-License-Identifier: MIT
"""Releases a version: checks everything that can be checked right away, builds and checks the
packages and the site, and only then replaces dist/ and tags the commit. It does not publish
anything; RELEASING.md says how to do that. If something is wrong, it prints one line for each
problem and changes nothing.

    python3 tools/release.py VERSION [--python PYTHON]... [--check]

With --check it stops after the checks that need no build.
"""

import argparse
import datetime
import hashlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import dist
import project
import wheels
from project import ROOT, FailedError

# The Python modules in build/venv that build and check, and what each is for.
MODULES = {
    "build": "the source package",
    "check_manifest": "its list of files",
    "twine": "its description",
    "ziglang": "the wheels",
    "auditwheel": "the wheels",
    "pytest": "the packages",
    "sphinx": "the site",
}
INSTALL = "run tools/setup.sh release"
PROGRAMS = {"luarocks": "the package for Lua", "patchelf": "the wheels", "make": "the site"}


def text(path):
    return (ROOT / path).read_text(encoding="utf-8")


def wrong_version(version):
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        yield f"{version!r} is not a version like 1.2.3"
        return
    if project.version() != version:
        yield f"core/readyq.h has version {project.version()}, not {version}"
    spec = f"{project.NAME}-{version}-1.rockspec"
    if not (ROOT / spec).exists():
        yield f"there is no {spec}"
    elif f'version = "{version}-1"' not in text(spec):
        yield f"{spec} does not have version {version}-1"
    cited = project.read("CITATION.cff", r"^version: (.*)$")
    if cited != version:
        yield f"CITATION.cff has version {cited}, not {version}"
    debian = ROOT / "debian" / "changelog"
    if debian.exists() and not re.match(rf"readyq \({version}-", text("debian/changelog")):
        yield f"debian/changelog does not begin with version {version}"


def wrong_changelog(version):
    sections = re.split(r"^## ", text("CHANGELOG.md"), flags=re.MULTILINE)[1:]
    heads = [one.partition("\n")[0] for one in sections]
    bodies = [one.partition("\n")[2].strip() for one in sections]
    head = re.compile(rf"\[{re.escape(version)}\] - (\d\d\d\d-\d\d-\d\d)")
    found = [number for number, one in enumerate(heads) if head.fullmatch(one)]
    if not found:
        yield f"CHANGELOG.md has no section: ## [{version}] - {datetime.date.today()}"
        return
    if not bodies[found[0]]:
        yield f"the section of {version} in CHANGELOG.md is empty"
    if any(bodies[: found[0]]):
        yield f"CHANGELOG.md has changes above the section of {version}"
    date = head.fullmatch(heads[found[0]])[1]
    try:
        datetime.date.fromisoformat(date)
    except ValueError:
        yield f"CHANGELOG.md: {date} is not a date"
    cited = project.read("CITATION.cff", r"^date-released: (.*)$")
    if cited != date:
        yield f"CITATION.cff has the date {cited or '(none)'}, CHANGELOG.md has {date}"


def wrong_home():
    cited = project.read("CITATION.cff", r"^repository-code: (.*)$")
    if cited != project.home():
        yield f"CITATION.cff has repository-code {cited!r}, pyproject.toml home {project.home()!r}"


def wrong_tree(version):
    if not project.is_repository():
        yield "a release is made in a clone of the repository, and this is not one"
        return
    changed = project.git("status", "--porcelain").splitlines()
    if changed:
        more = f" (and {len(changed) - 1} more)" * (len(changed) > 1)
        yield f"the tree is not clean: {changed[0].strip()}{more}"
    if project.git("tag", "--list", f"v{version}"):
        yield f"the tag v{version} exists"


def missing_tools():
    for module, purpose in MODULES.items():
        if importlib.util.find_spec(module) is None:
            yield f"the Python package {module} is missing ({purpose}): {INSTALL}"
    for program, purpose in PROGRAMS.items():
        path = project.environment()["PATH"]
        if shutil.which(program, path=path) is None:
            yield f"the program {program} is missing ({purpose}): {INSTALL}"


def check(version):
    problems = [
        *wrong_version(version),
        *wrong_changelog(version),
        *wrong_home(),
        *wrong_tree(version),
        *missing_tools(),
    ]
    if problems:
        raise FailedError("\nrelease: ".join(problems))


def release(version, pythons):
    commit = project.git("rev-parse", "HEAD")
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as work:
        made = Path(work, "dist")
        dist.build(made, [wheels.named(one) for one in pythons])
        step("check-manifest", sys.executable, "-m", "check_manifest", "--no-build-isolation")
        packages = [*made.glob("*.whl"), *made.glob(f"{project.NAME}-{version}.tar.gz")]
        step("twine", sys.executable, "-m", "twine", "check", "--strict", *packages)
        variables = project.environment(READYQ_DIST=str(made))
        step("packages", sys.executable, "-m", "pytest", "-q", "tests/dist.py", env=variables)
        step("site", "make", "-s", "docs")
        if project.git("rev-parse", "HEAD") != commit or [*wrong_tree(version)]:
            raise FailedError("the tree changed while it was built")
        project.git("tag", "--annotate", "-m", f"readyq {version}", f"v{version}", commit)
        shutil.rmtree(ROOT / "dist", ignore_errors=True)
        made.rename(ROOT / "dist")
    digest = hashlib.sha256((ROOT / "dist" / "SHA256SUMS").read_bytes()).hexdigest()
    print(f"release: {version} is in dist/ and tagged v{version}; SHA256SUMS is {digest}")
    print(f"release: to publish it: git push origin v{version} (RELEASING.md)")


def step(name, *command, **options):
    print(f"release: {name}", flush=True)
    project.run(*command, cwd=ROOT, **options)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("version", nargs="?", default="")
    parser.add_argument("--python", action="append", default=[], metavar="PYTHON")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if not options.version:
        sys.exit("release: say which version: make release RELEASE=1.2.3")
    try:
        (ROOT / "build").mkdir(exist_ok=True)
        check(options.version)
        if not options.check:
            release(options.version, options.python)
    except (FailedError, subprocess.SubprocessError) as error:
        sys.exit(f"release: {error}")


if __name__ == "__main__":
    main()
