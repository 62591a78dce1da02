# SPDX-License-Identifier: MIT
"""Prints the directory below a prefix in which the Python that runs this looks for packages; or,
with --check, says so if that Python does not look in a directory.

    python3 tools/sitedir.py PREFIX
    python3 tools/sitedir.py --check DIRECTORY
"""

import re
import sys


def find(prefix):
    """The directory that the interpreter searches, as distributions differ: lib64, dist-packages.
    If it searches nothing below the prefix, that of a CPython built for this prefix.
    """
    pattern = re.compile(re.escape(prefix) + "/lib[^/]*/python[^/]*/(site|dist)-packages")
    for path in sys.path:
        if pattern.fullmatch(path):
            return path
    return "{}/lib/python{}.{}/site-packages".format(prefix, *sys.version_info)


def check(directory):
    if directory not in sys.path:
        print(f"{sys.executable} does not search {directory}: add it to PYTHONPATH")


if sys.argv[1] == "--check":
    check(sys.argv[2])
else:
    print(find(sys.argv[1].rstrip("/")))
