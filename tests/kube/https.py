"""A server of https with the control plane's own certificate, as what the API server calls."""

from __future__ import annotations

import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.kube.control_plane import ControlPlane


class Answering(BaseHTTPRequestHandler):
    """Answers with what is given, and says nothing on the terminal."""

    def answer(self, status: int, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


def https_server(plane: ControlPlane, handler: type[Answering]) -> ThreadingHTTPServer:
    """On a free port of this machine; whoever asks for it starts and ends it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificates = plane.directory / "certs"
    context.load_cert_chain(certificates / "apiserver.crt", certificates / "apiserver.key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server
