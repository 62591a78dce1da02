# SPDX-License-Identifier: MIT
"""Runs the tests of the source package, unpacked, in a clean virtual environment in which it is
installed together with pytest and nothing else. `make test-sdist` calls it; the arguments are
pytest's. Everything is in build/sdist.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

import dist  # noqa: E402
import project  # noqa: E402


def main():
    place = ROOT / "build" / "sdist"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    tree = dist.committed(place) if project.is_repository() else ROOT
    package = dist.sdist(tree, place)
    shutil.rmtree(place / "unpacked", ignore_errors=True)
    (place / "unpacked").mkdir()
    project.run("tar", "-xzf", package, "-C", place / "unpacked")
    (sources,) = (place / "unpacked").iterdir()
    project.run(sys.executable, "-m", "venv", place / "venv")
    python = place / "venv" / "bin" / "python"
    project.run(python, "-m", "pip", "-q", "install", "pytest>=7", package)
    print(f"test-sdist: {package.name} is installed in build/sdist/venv", flush=True)
    # Tests of the build in place build it in the unpacked sources, by GNU make, with this Python.
    make = os.environ.get("MAKE", "make")
    tests = " ".join(sys.argv[1:])
    command = [make, "-s", "check", f"PYTHON={python}", f"TESTS={tests}"]
    sys.exit(
        subprocess.run(command, cwd=sources, env=project.environment(), check=False).returncode
    )


if __name__ == "__main__":
    main()
