# SPDX-License-Identifier: MIT
"""Echo servers that share a port, like c/worker.c: `worker.py exclusive|plain FD...`, with a thread
and a queue for each listening socket.
"""

import os
import socket
import sys
import threading

import readyq

ROOM = 16384


class Worker:
    def __init__(self, fd, interest):
        self.listener = socket.socket(fileno=fd)
        self.accepted = 0
        self.queue = readyq.Queue()
        self.queue.add(self.listener, interest)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        queue, wait, accept = self.queue, self.queue.wait, self.accept
        while True:
            for watch in wait():
                client = watch.data
                if client is None:
                    accept(queue)
                elif data := client.recv(ROOM):
                    client.send(data)
                else:
                    watch.remove()
                    client.close()

    def accept(self, queue):
        try:
            client, _ = self.listener.accept()
        except BlockingIOError:  # another worker was faster
            return
        self.accepted += 1
        queue.add(client, data=client)


extra = readyq.EXCLUSIVE if sys.argv[1] == "exclusive" else 0
workers = [Worker(int(fd), readyq.READ | extra) for fd in sys.argv[2:]]
for _ in sys.stdin:
    print(*(one.accepted for one in workers), flush=True)
os._exit(0)  # the threads do not end
