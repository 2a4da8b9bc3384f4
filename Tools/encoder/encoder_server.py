"""A small text encoder for this machine: all-MiniLM-L6-v2 behind the form of OpenAI's embeddings API.

    POST /v1/embeddings   {"model", "input": text or [texts], "encoding_format"?: "float" or "base64"}
    GET  /v1/models       the one model, with its revision, its dimensions and its limits
    GET  /health

It listens on loopback only. Vectors have unit length; base64 is of little-endian 32-bit floats. A text of more than
256 tokens is cut there, as the model's own limit says. Requests are computed one at a time, each on all threads.
"""
import argparse
import base64
import json
import os
import pathlib
import signal
import socketserver
import sys
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minilm import Encoder

MAX_INPUTS = 256
MAX_BODY_BYTES = 4 << 20
MAX_WAITING = 64
HOST = "127.0.0.1"


@dataclass
class RequestError(Exception):
    """What is wrong with a request, in the fields of OpenAI's error object."""

    status: HTTPStatus
    message: str
    param: str | None = None
    code: str | None = None

    def body(self) -> dict[str, Any]:
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


def bad_request(message: str, param: str | None = None, code: str | None = None) -> RequestError:
    return RequestError(HTTPStatus.BAD_REQUEST, message, param, code)


@dataclass(frozen=True)
class EmbeddingRequest:
    """A checked body of `POST /v1/embeddings`."""

    texts: list[str]
    as_base64: bool

    @classmethod
    def parse(cls, body: bytes, model: str, dim: int) -> "EmbeddingRequest":
        """Raises RequestError that names the field at fault."""
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise bad_request(f"The body is not JSON: {error}", code="invalid_json") from None
        if not isinstance(fields, dict):
            raise bad_request("The body must be a JSON object", code="invalid_json")
        modality = fields.get("modality")
        if "messages" in fields or modality not in (None, "text"):
            raise bad_request("This encoder takes text only: it has no model for images or other media",
                              "messages" if "messages" in fields else "modality", "text_only")
        wanted = fields.get("model")
        if not isinstance(wanted, str):
            raise bad_request(f"Expected a string, such as {model!r}", "model")
        if wanted != model:
            raise RequestError(HTTPStatus.NOT_FOUND, f"The model {wanted[:200]!r} does not exist; there is {model!r}",
                               "model", "model_not_found")
        encoding = fields.get("encoding_format") or "float"
        if encoding not in ("float", "base64"):
            raise bad_request("Expected 'float' or 'base64'", "encoding_format")
        if fields.get("dimensions") not in (None, dim):
            raise bad_request(f"Vectors of this model have {dim} numbers and cannot be shortened", "dimensions")
        return cls(cls.texts_of(fields.get("input")), encoding == "base64")

    @staticmethod
    def texts_of(given: object) -> list[str]:
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not texts:
            raise bad_request("Expected a text or a list of texts that is not empty", "input")
        if len(texts) > MAX_INPUTS:
            raise bad_request(f"Got {len(texts)} texts, expected at most {MAX_INPUTS}", "input", "too_many_inputs")
        for position, text in enumerate(texts):
            if not isinstance(text, str):
                raise bad_request(f"Expected a text at position {position}; tokens and objects are not taken", "input")
            if not text.strip():
                raise bad_request(f"The text at position {position} is empty", "input")
            if any("\ud800" <= character <= "\udfff" for character in text):
                raise bad_request(f"The text at position {position} is not valid Unicode", "input")
        return texts


class EncoderServer(ThreadingHTTPServer):
    """The listening socket and what the handlers share."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, encoder: "Encoder", model: str, revision: str) -> None:
        super().__init__((HOST, port), Handler)
        self.encoder = encoder
        self.model = model
        self.revision = revision
        self.one_at_a_time = threading.Lock()
        self.waiting = threading.BoundedSemaphore(MAX_WAITING)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's own would look up a name for the address
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), OSError):  # a client that left is none of our faults
            super().handle_error(request, client_address)

    @property
    def description(self) -> dict[str, Any]:
        return {"id": self.model, "object": "model", "created": 0, "owned_by": "sentence-transformers",
                "revision": self.revision, "dimensions": self.encoder.dim, "modalities": ["text"],
                "max_inputs": MAX_INPUTS}

    def embed(self, request: EmbeddingRequest) -> dict[str, Any]:
        if not self.waiting.acquire(blocking=False):
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests are waiting; try again", code="busy")
        try:
            with self.one_at_a_time:
                vectors, tokens = self.encoder.encode(request.texts)
        finally:
            self.waiting.release()
        data = [{"object": "embedding", "index": index, "embedding":
                 base64.b64encode(vector.astype("<f4").tobytes()).decode() if request.as_base64 else vector.tolist()}
                for index, vector in enumerate(vectors)]
        return {"object": "list", "model": self.model, "revision": self.revision, "data": data,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens}}


class Handler(BaseHTTPRequestHandler):
    """One connection, kept open between requests."""

    server: EncoderServer
    protocol_version = "HTTP/1.1"
    server_version = "capstan-encoder"
    sys_version = ""
    timeout = 120  # seconds without a byte
    wbufsize = -1  # head and body leave together
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self.answer(self.get)

    def do_POST(self) -> None:
        self.answer(self.post)

    def get(self) -> dict[str, Any]:
        self.read_body()
        path = self.path.partition("?")[0]
        description = self.server.description
        if path == "/health":
            return {"status": "ok", "model": self.server.model, "revision": self.server.revision}
        if path == "/v1/models":
            return {"object": "list", "data": [description]}
        if path == f"/v1/models/{self.server.model}":
            return description
        raise self.unknown_path("POST", {"/v1/embeddings"})

    def post(self) -> dict[str, Any]:
        body = self.read_body()
        if self.path.partition("?")[0] == "/v1/embeddings":
            return self.server.embed(EmbeddingRequest.parse(body, self.server.model, self.server.encoder.dim))
        raise self.unknown_path("GET", {"/health", "/v1/models", f"/v1/models/{self.server.model}"})

    def unknown_path(self, method: str, paths: set[str]) -> RequestError:
        path = self.path.partition("?")[0]
        if path in paths:
            return RequestError(HTTPStatus.METHOD_NOT_ALLOWED, f"{path} takes {method} only", code="method_not_allowed")
        return RequestError(HTTPStatus.NOT_FOUND, f"There is no {path[:200]}", code="unknown_url")

    def read_body(self) -> bytes:
        """The body, whole. Where its end cannot be known, the connection ends with the answer."""
        length = self.headers.get("Content-Length")
        if length is None and self.command == "GET" and "Transfer-Encoding" not in self.headers:
            return b""
        self.close_connection = True
        if length is None or "Transfer-Encoding" in self.headers:
            raise RequestError(HTTPStatus.LENGTH_REQUIRED, "Expected a Content-Length; chunked bodies are not taken")
        if not (length.isascii() and length.isdigit()) or len(self.headers.get_all("Content-Length", [])) != 1:
            raise bad_request(f"Content-Length: got {length[:40]!r}, expected a number of bytes")
        if len(length) > 12 or int(length) > MAX_BODY_BYTES:
            raise RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                               f"The body is larger than {MAX_BODY_BYTES} bytes", code="body_too_large")
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            raise bad_request(f"The body ended after {len(body)} of {length} bytes")
        self.close_connection = self.headers.get("Connection", "").lower() == "close"
        return body

    def answer(self, compute: Any) -> None:
        try:
            self.send_json(HTTPStatus.OK, compute())
        except RequestError as error:
            self.send_json(error.status, error.body())
        except (ConnectionError, TimeoutError):
            self.close_connection = True
        except Exception as error:  # the server outlives a fault of its own
            print(f"encoder: {self.command} {self.path[:200]}: {error!r}", file=sys.stderr)
            self.send_json(HTTPStatus.INTERNAL_SERVER_ERROR,
                           RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "The encoder failed").body())

    def send_json(self, status: HTTPStatus, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if status == HTTPStatus.SERVICE_UNAVAILABLE:
            self.send_header("Retry-After", "1")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What the base class refuses by itself (an unknown method, a malformed head), in our form."""
        status = HTTPStatus(code)
        self.close_connection = True
        self.send_json(status, RequestError(status, message or status.phrase).body())

    def log_message(self, format: str, *arguments: object) -> None:
        pass


def write_ready_file(path: pathlib.Path, text: str) -> None:
    """Whoever sees the file sees all of it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text)
    aside.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="Tools/encoder/serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=7412, help="0 takes a free one (default: 7412)")
    parser.add_argument("--ready-file", type=pathlib.Path, help="gets host:port once the server answers")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: one for each processor")
    options = parser.parse_args()
    if not 0 <= options.port <= 65535:
        parser.error(f"--port: got {options.port}, expected 0 to 65535")
    if not 1 <= options.threads <= 256:
        parser.error(f"--threads: got {options.threads}, expected 1 to 256")

    # Read by the libraries when they are loaded, so before that.
    os.environ |= {"HF_HUB_OFFLINE": "1", "OPENBLAS_NUM_THREADS": "1", "RAYON_NUM_THREADS": str(options.threads)}
    import minilm

    encoder = minilm.Encoder(options.threads)
    encoder.encode(["a first text, so that no request waits for it"])
    try:
        server = EncoderServer(options.port, encoder, minilm.MODEL, minilm.REVISION)
    except OSError as error:
        print(f"encoder: cannot listen on {HOST}:{options.port}: {error.strerror}", file=sys.stderr)
        return 1

    def stop(*_: object) -> None:
        threading.Thread(target=server.shutdown).start()

    # A parent may have blocked them, and then they would never arrive.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    address = f"{HOST}:{server.server_port}"
    print(f"encoder: {minilm.MODEL} ({minilm.REVISION}) answers at http://{address}, {options.threads} threads",
          file=sys.stderr)
    if options.ready_file:
        write_ready_file(options.ready_file, address + "\n")
    try:
        server.serve_forever(poll_interval=0.1)
    finally:
        if options.ready_file:
            options.ready_file.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
