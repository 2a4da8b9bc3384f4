"""The output folders of clip-retrieval."""
import pathlib

import numpy as np
import pyarrow
import pyarrow.parquet

from capstan_convert import clip_retrieval
from support import ConverterTests


class ClipRetrievalTests(ConverterTests):
    def setUp(self) -> None:
        super().setUp()
        self.source = self.folder / "embeddings"
        for name in ("text_emb", "img_emb", "metadata"):
            (self.source / name).mkdir(parents=True)
        self.vectors = np.random.default_rng(3).standard_normal((30, 4)).astype("f2")

    def write_part(self, label: str, start: int, end: int, **columns: list[object]) -> None:
        np.save(self.source / "text_emb" / f"text_emb_{label}.npy", self.vectors[start:end])
        np.save(self.source / "img_emb" / f"img_emb_{label}.npy", -self.vectors[start:end].astype("f4"))
        table = {"image_path": [f"{row}.jpg" for row in range(start, end)],
                 "caption": [f"caption {row}" for row in range(start, end)]} | columns
        pyarrow.parquet.write_table(pyarrow.table(table), self.source / "metadata" / f"metadata_{label}.parquet")

    def write_parts(self) -> None:
        """Twelve parts, whose order by name is not that by number; one is empty."""
        for number in range(10):
            self.write_part(str(number), number, number + 1)
        self.write_part("10", 10, 30)
        self.write_part("011", 30, 30)

    def test_joins_parts_in_numeric_order(self) -> None:
        self.write_parts()
        rows, vectors, summary = self.convert("clip-retrieval", self.source)
        self.assertEqual(rows, [{"text": f"caption {row}", "image_id": f"{row}.jpg"} for row in range(30)])
        self.assertEqual(vectors.dtype, np.dtype("f2"))
        np.testing.assert_array_equal(vectors, self.vectors)
        self.assertEqual((summary["parts"], summary["rows"]), (12, 30))

    def test_reads_by_pieces(self) -> None:
        self.write_part("0", 0, 30)
        self.addCleanup(setattr, clip_retrieval, "ROWS_AT_A_TIME", clip_retrieval.ROWS_AT_A_TIME)
        clip_retrieval.ROWS_AT_A_TIME = 7
        rows, vectors, _ = self.convert("clip-retrieval", self.source)
        self.assertEqual(rows[29]["text"], "caption 29")
        np.testing.assert_array_equal(vectors, self.vectors)

    def test_takes_image_vectors_and_other_columns(self) -> None:
        self.write_part("0", 0, 3, key=[7, 8, None], note=["a", None, "c"])
        rows, vectors, _ = self.convert("clip-retrieval", self.source, "--vectors", "image", "--image-id", "key",
                                        "--caption", "note", "--source", "web")
        self.assertEqual(rows, [{"text": "a", "image_id": "7", "source": "web"},
                                {"text": None, "image_id": "8", "source": "web"}, {"text": "c", "source": "web"}])
        self.assertEqual(vectors.dtype, np.dtype("f4"))
        np.testing.assert_array_equal(vectors, -self.vectors[:3].astype("f4"))

    def test_keeps_rows_that_the_import_will_reject(self) -> None:
        self.vectors[0] = np.nan
        self.vectors[1] = 0
        self.write_part("0", 0, 3)
        _, vectors, _ = self.convert("clip-retrieval", self.source)
        np.testing.assert_array_equal(vectors, self.vectors[:3])

    def test_mixed_precision_becomes_single(self) -> None:
        self.write_part("0", 0, 3)
        self.write_part("1", 3, 6)
        np.save(self.source / "text_emb/text_emb_1.npy", np.asfortranarray(self.vectors[3:6].astype("f8")))
        _, vectors, _ = self.convert("clip-retrieval", self.source)
        np.testing.assert_array_equal(vectors, self.vectors[:6].astype("f4"))

    def test_differing_counts_are_refused(self) -> None:
        self.write_parts()
        np.save(self.source / "text_emb/text_emb_3.npy", self.vectors[:2])
        self.assertIn("metadata_3.parquet has 1 rows, text_emb_3.npy 2", self.refuse("clip-retrieval", self.source))

    def test_missing_and_double_parts_are_named(self) -> None:
        self.write_parts()
        (self.source / "metadata/metadata_7.parquet").unlink()
        self.assertIn("part 7", self.refuse("clip-retrieval", self.source))
        self.write_part("7", 7, 8)
        self.write_part("07", 7, 8)
        self.assertIn("both part 7", self.refuse("clip-retrieval", self.source))

    def test_differing_dims_are_refused(self) -> None:
        self.write_parts()
        np.save(self.source / "text_emb/text_emb_3.npy", self.vectors[:1, :3])
        self.assertIn("vectors of 3 numbers, expected 4", self.refuse("clip-retrieval", self.source))

    def test_damaged_files_are_refused(self) -> None:
        self.write_part("0", 0, 30)
        for name in ("text_emb/text_emb_0.npy", "metadata/metadata_0.parquet"):
            path = self.source / name
            data = path.read_bytes()
            for damaged in (b"", data[:20], data[:len(data) // 2], data[:-1], b"x" * len(data)):
                path.write_bytes(damaged)
                self.assertIn("not a whole", self.refuse("clip-retrieval", self.source))
            path.write_bytes(data)
        np.save(self.source / "text_emb/text_emb_0.npy", np.array([{}] * 30, object), allow_pickle=True)
        self.assertIn("not a whole .npy", self.refuse("clip-retrieval", self.source))
        np.save(self.source / "text_emb/text_emb_0.npy", np.zeros((30, 4), "i4"))
        self.assertIn("got int32", self.refuse("clip-retrieval", self.source))

    def test_damaged_pages_leave_nothing_behind(self) -> None:
        self.write_part("0", 0, 30)
        path = self.source / "metadata/metadata_0.parquet"
        data = bytearray(path.read_bytes())
        data[4:200] = b"\xff" * 196
        path.write_bytes(data)
        self.assertIn("metadata_0.parquet", self.refuse("clip-retrieval", self.source))

    def test_absent_columns_and_folders_are_named(self) -> None:
        self.write_part("0", 0, 3)
        self.assertIn("it has image_path, caption", self.refuse("clip-retrieval", self.source, "--caption", "text"))
        (self.source / "text_emb/text_emb_0.npy").unlink()
        (self.source / "text_emb").rmdir()
        self.assertIn("--vectors image", self.refuse("clip-retrieval", self.source))
        self.assertIn("no folder", self.refuse("clip-retrieval", pathlib.Path(self.folder / "absent")))
