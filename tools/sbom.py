# SPDX-License-Identifier: MIT
"""Writes what a folder of packages contains and was built with, in CycloneDX's format: the files
with their checksums, the licence, and the versions of the tools. readyq contains no code of others
and depends on none but the C library and the interpreter, so there is nothing else to list.
"""

import contextlib
import hashlib
import json
import sys
import uuid
from datetime import datetime, timezone
from importlib import metadata

import project
import wheels
from project import NAME, SUMMARY

TOOLS = ("build", "setuptools", "auditwheel", "ziglang")
LICENSE = [{"license": {"id": "MIT"}}]


def write(folder):
    version = project.version()
    files = [describe(path) for path in sorted(folder.iterdir())]
    main = {
        "type": "library",
        "bom-ref": NAME,
        "name": NAME,
        "version": version,
        "description": SUMMARY,
        "licenses": LICENSE,
        "purl": f"pkg:pypi/{NAME}@{version}",
    }
    if project.home():
        main["externalReferences"] = [{"type": "vcs", "url": project.home()}]
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{identity(files)}",
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(project.epoch(), timezone.utc).isoformat(),
            "tools": {"components": list(tools())},
            "component": main,
        },
        "components": files,
        "dependencies": [{"ref": NAME, "dependsOn": []}],
    }
    path = folder / f"{NAME}-{version}.cdx.json"
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return path


def describe(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return {
        "type": "file",
        "bom-ref": path.name,
        "name": path.name,
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "licenses": LICENSE,
    }


def identity(files):
    """An identifier that is the same for the same files."""
    return uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(files))


def tools():
    yield tool("CPython", "{}.{}.{}".format(*sys.version_info))
    for name in TOOLS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            yield tool(name, metadata.version(name))
    name, _, version = wheels.SETUPTOOLS.partition("==")
    yield {**tool(name, version), "description": "for the wheels"}


def tool(name, version):
    return {"type": "application", "name": name, "version": version}
