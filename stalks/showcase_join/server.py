#!/usr/bin/env python3
"""Serve /srv/showcase/parcels.txt over HTTP/1.0, one request after the other, for ever.

It keeps to modules that Debian's python3-minimal has; with a full Python, `http.server` does this.
"""

import os
import socket

port = int(os.environ["PORT"])
with open("/srv/showcase/parcels.txt", "rb") as file:
    body = file.read()
head = f"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(body)}\r\n\r\n"

with socket.create_server(("", port)) as server:
    print(f"listening on port {port}", flush=True)
    while True:
        connection, (client, _) = server.accept()
        with connection:
            # All of the request is read: closing a connection with some of it unread resets it.
            request = b""
            while not request.endswith(b"\r\n\r\n") and (more := connection.recv(4096)):
                request += more
            connection.sendall(head.encode() + body)
        line = request.decode("ascii", "replace").partition("\r\n")[0]
        print(f"{client}: {line}", flush=True)
