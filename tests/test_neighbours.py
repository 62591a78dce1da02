# SPDX-License-Identifier: MIT
"""Libraries and servers that others wrote for asyncio run on readyq, and a notebook runs a queue.
What each does is a program in tests/neighbours.
"""

import contextlib
import glob
import os
import pwd
import re
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest
import pythons

PROGRAMS = Path(__file__).resolve().parent / "neighbours"
SOON = 60


def run(python, name, *words, **environment):
    """Runs a program and returns its output, warnings of what it leaves open included."""
    result = subprocess.run(
        [python, "-W", "always::ResourceWarning", PROGRAMS / name, *map(str, words)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=SOON,
        check=False,
    )
    return result.stdout, result.stderr


def test_aiohttp_serves_and_asks_over_tls(certificate):
    assert run(pythons.find("aiohttp"), "web.py", certificate) == ("served\n", "")


def test_tornado_reacts():
    assert run(pythons.find("tornado"), "reactor.py") == ("reacted\n", "")


def test_asyncpg_talks_to_a_postgresql_over_tls(certificate, postgresql):
    output = run(pythons.find("asyncpg"), "database.py", postgresql, certificate)
    assert output == ("stored\n", "")


@pytest.mark.parametrize("server", ["uvicorn", "hypercorn"])
def test_a_server_of_asgi_applications_serves(server):
    assert run(pythons.find(server), "asgi.py", server) == ("served\n", "")


def test_websockets_talks_over_tls(certificate):
    assert run(pythons.find("websockets"), "sockets.py", certificate) == ("talked\n", "")


def test_redis_py_talks_to_a_redis_server(redis_server):
    assert run(pythons.find("redis"), "cache.py", redis_server) == ("cached\n", "")


def test_pyzmq_delivers():
    assert run(pythons.find("zmq"), "messages.py") == ("delivered\n", "")


def test_anyio_runs_its_tasks():
    output, errors = run(pythons.find("anyio"), "tasks.py")
    # asyncio's own: a transport that is closed polls its child, for which a thread may still wait
    # (Python 3.11, BaseSubprocessTransport.close).
    polled = r"Unknown child process pid \d+, will report returncode 255\n"
    assert (output, re.sub(polled, "", errors)) == ("finished\n", "")


def test_trio_is_a_guest_of_the_loop():
    assert run(pythons.find("trio"), "guest.py") == ("hosted\n", "")


def test_twisted_reacts():
    assert run(pythons.find("twisted"), "protocols.py") == ("reacted\n", "")


def test_greenlets_of_gevent_run_beside_the_loop():
    assert run(pythons.find("gevent"), "greenlets.py") == ("switched\n", "")


def test_a_notebook_runs_a_queue_and_shows_its_table(tmp_path):
    python, home = pythons.find("ipykernel", "jupyter_client"), str(tmp_path)
    places = {"HOME": home, "IPYTHONDIR": home, "JUPYTER_RUNTIME_DIR": home}
    assert run(python, "notebook.py", **places) == ("noted\n", "")


# ------------------------------------------------------------------ a server of one's own


def unprivileged():
    """The arguments with which subprocess runs a program as another user than root, which
    PostgreSQL refuses.
    """
    if os.getuid() != 0:
        return {}
    user = pwd.getpwnam("nobody")
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def wait_for(port, server):
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        with contextlib.suppress(ConnectionError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        assert server.poll() is None, server.communicate()[0]
        time.sleep(0.02)
    raise AssertionError("the server does not listen")


@pytest.fixture
def postgresql(certificate):
    """The port of a PostgreSQL that speaks TLS and trusts its user `tester`."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin")) + os.get_exec_path()
    initdb = shutil.which("initdb", path=os.pathsep.join(programs))
    if initdb is None:
        pytest.skip("needs the server PostgreSQL (apt-get install postgresql)")
    folder = Path(subprocess.check_output(["mktemp", "-d"], text=True, **unprivileged()).strip())
    key = folder / "key.pem"
    subprocess.run(
        ["sh", "-c", f"umask 077; cat >{key}"],
        input=certificate.read_bytes(),
        check=True,
        **unprivileged(),
    )
    options = ["-D", str(folder / "data"), "-U", "tester", "-A", "trust", "-N", "--locale=C"]
    subprocess.run(
        [initdb, *options], check=True, capture_output=True, cwd=folder, **unprivileged()
    )
    port = free_port()
    settings = ["ssl=on", f"ssl_cert_file={key}", f"ssl_key_file={key}", "fsync=off"]
    settings += ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}"]
    server = subprocess.Popen(
        [Path(initdb).parent / "postgres", "-D", folder / "data", "-p", str(port)]
        + [word for setting in settings for word in ("-c", setting)],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **unprivileged(),
    )
    try:
        wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.communicate(timeout=SOON)
        shutil.rmtree(folder)


@pytest.fixture
def redis_server(tmp_path):
    """The port of a Redis that keeps nothing."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("needs the server Redis (apt-get install redis-server)")
    port = free_port()
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(tmp_path)]
    server = subprocess.Popen(
        [program, *options], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        wait_for(port, server)
        yield port
    finally:
        server.terminate()
        server.communicate(timeout=SOON)
