# SPDX-License-Identifier: MIT
"""A Jupyter kernel runs cells: `%gui readyq` keeps a queue running between them, `%gui` stops it,
and a queue at the end of a cell is shown as a table.
"""

import subprocess
import time

from jupyter_client.manager import KernelManager

SOON = 30


def until(client, is_it):
    """The first message of the kernel that matches."""
    end = time.monotonic() + SOON
    while time.monotonic() < end:
        message = client.get_iopub_msg(timeout=SOON)
        assert message["msg_type"] != "error", message["content"]
        if is_it(message["msg_type"], message["content"]):
            return message["content"]
    raise AssertionError("no such message")


def execute(client, code):
    """Runs a cell to its end."""
    asked = client.execute(code)
    reply = client.get_shell_msg(timeout=SOON)
    while reply["parent_header"]["msg_id"] != asked:
        reply = client.get_shell_msg(timeout=SOON)
    assert reply["content"]["status"] == "ok", reply["content"]


def prints(text):
    return lambda kind, content: kind == "stream" and text in content["text"]


def use(client):
    execute(client, "%load_ext readyq\n%gui readyq")
    execute(client, "w = q.add_timer(0.2, data=lambda w: print('tick', 6 * 7))")
    until(client, prints("tick 42"))

    execute(client, "mail = q.add_trigger(data=lambda w: print('mail', w.count))\nmail.fire()\nq")
    shown = until(client, lambda kind, content: kind == "execute_result")["data"]
    assert "<td>trigger</td>" in shown["text/html"]
    assert "readyq.Queue" in shown["text/plain"]
    until(client, prints("mail 1"))

    execute(client, "bad = q.add_timer(0, data=lambda w: 1 / 0)")
    until(client, prints("ZeroDivisionError"))

    execute(client, "lone = q.add_trigger()\nlone.fire()")
    until(client, prints("ready: <readyq.Watch trigger, ready FIRED>"))

    execute(client, "%gui")
    execute(
        client,
        "import asyncio\nmail.fire()\nawait asyncio.sleep(0.3)\nprint('by hand', q.dispatch(0))",
    )
    until(client, prints("by hand 1"))

    execute(client, "q.close()\nq")
    shown = until(client, lambda kind, content: kind == "execute_result")["data"]
    assert shown["text/html"] == "<pre>&lt;readyq.Queue closed&gt;</pre>"
    execute(client, "%gui readyq")
    until(client, prints("%gui readyq: the queue is closed, so there is nothing to run"))


def main():
    manager = KernelManager()
    manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=SOON)
        use(client)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    print("noted")


main()
