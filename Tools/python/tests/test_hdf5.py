"""HDF5 files."""
import pathlib
from typing import Any

import h5py
import numpy as np

from capstan_convert import hdf5
from support import ConverterTests

VECTORS = np.random.default_rng(4).standard_normal((9, 4)).astype("f4")
TEXTS = [f"un café, {row}" for row in range(9)]


class HDF5Tests(ConverterTests):
    def file(self, **sets: Any) -> pathlib.Path:
        path = self.folder / "memory.h5"
        with h5py.File(path, "w") as file:
            for name, value in sets.items():
                file[name.replace("__", "/")] = value
        return path

    def test_finds_the_usual_names(self) -> None:
        for vectors, texts, ids in (("features", "captions", "image_ids"), ("embeddings", "names", "ids")):
            path = self.file(**{vectors: VECTORS, texts: TEXTS, ids: np.arange(9)})
            rows, found, summary = self.convert("hdf5", path)
            self.assertEqual(rows, [{"text": text, "image_id": row} for row, text in enumerate(TEXTS)])
            np.testing.assert_array_equal(found, VECTORS)
            self.assertEqual(summary["datasets"]["vectors"], f"/{vectors}")

    def test_takes_named_sets_half_precision_and_fixed_texts(self) -> None:
        path = self.file(train__clip=VECTORS.astype("f2"), train__text=np.array([[text.encode()] for text in TEXTS]),
                         train__image=np.array([f"{row}.jpg".encode() for row in range(9)]))
        self.addCleanup(setattr, hdf5, "BYTES_AT_A_TIME", hdf5.BYTES_AT_A_TIME)
        hdf5.BYTES_AT_A_TIME = 16
        rows, found, _ = self.convert("hdf5", path, "--vectors", "/train/clip", "--texts", "train/text",
                                      "--ids", "train/image", "--source", "train")
        self.assertEqual(rows[3], {"text": TEXTS[3], "source": "train", "image_id": "3.jpg"})
        self.assertEqual(found.dtype, np.dtype("f2"))
        np.testing.assert_array_equal(found, VECTORS.astype("f2"))

    def test_lists_the_sets_when_one_is_not_found(self) -> None:
        path = self.file(a__b=VECTORS, texts=TEXTS)
        self.assertRegex(self.refuse("hdf5", path), r"features or embeddings .*\n  a/b  float32 \[9, 4\]\n  texts")
        self.assertIn("'nothing' (--texts)", self.refuse("hdf5", path, "--vectors", "a/b", "--texts", "nothing"))

    def test_differing_counts_shapes_and_types_are_refused(self) -> None:
        for sets, words in (({"captions": TEXTS[:8]}, "expected [9]"),
                            ({"captions": TEXTS, "ids": [1, 2]}, "expected [9]"),
                            ({"captions": VECTORS[:, 0]}, "expected texts"),
                            ({"captions": TEXTS, "ids": VECTORS[:, 0]}, "whole numbers"),
                            ({"captions": TEXTS, "features": VECTORS[0]}, "expected floats [n, dim]"),
                            ({"captions": TEXTS, "features": VECTORS.astype("i4")}, "expected floats"),
                            ({"captions": [b"\xff\xfe"] * 9}, "not UTF-8")):
            self.assertIn(words, self.refuse("hdf5", self.file(**({"features": VECTORS} | sets))))

    def test_data_elsewhere_is_not_read(self) -> None:
        other = self.folder / "other.h5"
        with h5py.File(other, "w") as file:
            file["features"] = VECTORS
        path = self.file(captions=TEXTS)
        with h5py.File(path, "a") as file:
            file["features"] = h5py.ExternalLink("other.h5", "features")
            layout = h5py.VirtualLayout((9, 4), "f4")
            layout[:] = h5py.VirtualSource("other.h5", "features", (9, 4))
            file.create_virtual_dataset("embeddings", layout)
            file.create_dataset("vectors", (9, 4), "f4", external=[(str(other), 0, 144)])
        for name in ("features", "embeddings", "vectors"):
            self.assertIn("no data set", self.refuse("hdf5", path, "--vectors", name))

    def test_vectors_that_were_never_written_are_refused(self) -> None:
        path = self.file(captions=TEXTS)
        with h5py.File(path, "a") as file:
            file.create_dataset("features", (9, 4), "f4", chunks=(1, 4))
        self.assertIn("nothing was ever written", self.refuse("hdf5", path))

    def test_damaged_files_are_refused(self) -> None:
        path = self.file(features=VECTORS, captions=TEXTS)
        data = path.read_bytes()
        for damaged in (b"", b"nonsense", data[:100], data[:len(data) // 2], data[:-1]):
            path.write_bytes(damaged)
            self.assertIn("memory.h5", self.refuse("hdf5", path))
        self.assertIn("cannot be read", self.refuse("hdf5", self.folder / "absent.h5"))
