"""HTTP as raw bytes."""

import socket

CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"model":"mock","messages":[{"role":"user","content":"hello"}]}'


def get(*lines, path=b"/health/live", version=b"1.1"):
    return b"GET " + path + b" HTTP/" + version + b"\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


class Wire:
    """A socket that speaks raw bytes, and an answer's parts as they came."""

    def __init__(self, port, receive_buffer=None):
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(20)
        self.socket.connect(("127.0.0.1", port))
        self.unread = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the answer came before the end of what was sent
        return self

    def more(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        self.unread += data
        return bool(data)

    def until(self, mark):
        while mark not in self.unread:
            if not self.more():
                raise AssertionError(f"the connection ended after {self.unread!r}")
        taken, self.unread = self.unread.split(mark, 1)
        return taken

    def answer(self, method="GET"):
        lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        status = int(lines[0].split()[1])
        headers = dict(line.split(": ", 1) for line in lines[1:])
        size = 0 if method == "HEAD" else int(headers.get("content-length", 0))
        while len(self.unread) < size and self.more():
            pass
        body, self.unread = self.unread[:size], self.unread[size:]
        return status, headers, body

    def rest(self):
        """What comes until the server ends the connection."""
        while self.more():
            pass
        return self.unread
