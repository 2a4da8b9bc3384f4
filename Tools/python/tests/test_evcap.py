"""EVCap's memory: what PyTorch and NumPy write is read, anything else is refused and nothing of it happens."""
import io
import itertools
import os
import pickle
import random
import struct
import time
import warnings
import zipfile
from typing import Any

import numpy as np

import torch_files
from capstan_convert import evcap
from capstan_convert.errors import ConversionError
from support import ConverterTests
from torch_files import Storage, Tensor, pickle_dump, tensor, torch_save, torch_save_legacy

NAMES = ["aerosol_can", "air conditioner", "café"]
FEATURES = np.random.default_rng(1).standard_normal((3, 8)).astype("float32")
QUERIES = np.random.default_rng(2).standard_normal((3, 32, 8)).astype("float32")
FORMS = {"pickle": pickle_dump, "zip": torch_save, "legacy": torch_save_legacy}


class Call:
    """Pickles as a call of anything."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


class EVCapTests(ConverterTests):
    def read(self, data: bytes, names: list[str] = NAMES) -> np.ndarray:
        rows, vectors, _ = self.convert("evcap", self.write("memory.pkl", data))
        self.assertEqual(rows, [{"text": name} for name in names])
        return vectors

    def refused(self, data: bytes) -> str:
        return self.refuse("evcap", self.write("memory.pkl", data))

    def test_reads_every_form_and_type(self) -> None:
        for (form, write), dtype in itertools.product(FORMS.items(), ("float16", "float32", "float64", "bfloat16")):
            with self.subTest(form=form, dtype=dtype):
                array = FEATURES if dtype == "bfloat16" else FEATURES.astype(dtype)
                vectors = self.read(write((tensor(array, dtype), NAMES)))
                expected = (FEATURES.view("u4") >> 16 << 16).view("f4") if dtype == "bfloat16" else array
                self.assertEqual(vectors.dtype, np.dtype("f2" if dtype == "float16" else "f4"))
                np.testing.assert_array_equal(vectors, expected.astype(vectors.dtype))

    def test_reads_every_protocol(self) -> None:
        for protocol in range(6):
            for features in (tensor(FEATURES), FEATURES, np.asfortranarray(FEATURES), FEATURES.astype(">f4")):
                with self.subTest(protocol=protocol, kind=type(features).__name__):
                    data = pickle_dump((features, tuple(NAMES)), protocol)
                    np.testing.assert_array_equal(self.read(data), FEATURES)
                    if protocol <= 3:  # as NumPy 1 wrote it
                        np.testing.assert_array_equal(
                            self.read(data.replace(b"numpy._core.", b"numpy.core.")), FEATURES)

    def test_averages_the_queries_of_an_image(self) -> None:
        for write in FORMS.values():
            for array in (QUERIES, QUERIES.astype("float16")):
                vectors = self.read(write((tensor(array), NAMES)))
                self.assertEqual(vectors.dtype, np.dtype("f4"))
                np.testing.assert_array_equal(vectors, array.astype("f8").mean(1).astype("f4"))

    def test_reads_views(self) -> None:
        base = np.arange(48, dtype="f4")
        view = Tensor(Storage(base.tobytes(), "float32", 48), 13, (3, 4), (12, 1))
        for write in FORMS.values():
            np.testing.assert_array_equal(self.read(write((view, NAMES))), base.reshape(8, 6)[2:8:2, 1:5])

    def test_reads_other_containers(self) -> None:
        whole = tensor(FEATURES)
        for value in ([whole, NAMES], {"features": whole, "names": NAMES}, ([tensor(row) for row in FEATURES], NAMES),
                      (whole, [[name] for name in NAMES]), (whole, [NAMES[:2], NAMES[2:]]), (whole, np.array(NAMES)),
                      (whole, np.array(NAMES, object)), (whole, [np.str_(name) for name in NAMES])):
            np.testing.assert_array_equal(self.read(pickle_dump(value)), FEATURES)

    def test_summary_names_the_next_command(self) -> None:
        path = self.write("memory.pkl", pickle_dump((tensor(QUERIES), NAMES)))
        rows, _, summary = self.convert("evcap", path, "--source", "lvis")
        self.assertEqual(rows[0], {"text": NAMES[0], "source": "lvis"})
        self.assertEqual((summary["rows"], summary["dim"], summary["dtype"], summary["vectors_averaged"]),
                         (3, 8, "float32", 32))
        self.assertEqual(summary["next"], f"capstan import NAME {self.output}/rows.ndjson "
                                          f"--vectors {self.output}/vectors.npy")

    def test_existing_files_are_not_replaced_without_force(self) -> None:
        path = self.write("memory.pkl", pickle_dump((tensor(FEATURES), NAMES)))
        self.convert("evcap", path)
        before = (self.output / "vectors.npy").read_bytes()
        code, _, err = self.run_command("evcap", path, "-o", self.output)
        self.assertEqual(code, 1)
        self.assertIn("--force", err)
        bad = self.write("bad.pkl", b"nonsense")
        self.assertEqual(self.run_command("evcap", bad, "-o", self.output, "--force")[0], 1)
        self.assertEqual((self.output / "vectors.npy").read_bytes(), before)
        self.assertEqual(sorted(item.name for item in self.output.iterdir()), ["rows.ndjson", "vectors.npy"])

    # Refusals

    def test_hostile_calls_are_refused_and_nothing_runs(self) -> None:
        trace = self.folder / "trace"
        command = f"touch {trace}"
        source = f"open({str(trace)!r}, 'w')"
        for call in (Call(os.system, command), Call(eval, source), Call(exec, source), Call(open, str(trace), "w"),
                     Call(__import__, "os"), Call(pickle.loads, b"")):
            for protocol in range(6):
                for value in (call, (tensor(FEATURES), [*NAMES[:2], call]), (call, NAMES)):
                    message = self.refused(pickle_dump(value, protocol))
                    self.assertIn("is neither loaded nor called", message)
                    self.assertRegex(message, r"byte \d+: ")
            self.assertIn("is neither loaded nor called", self.refused(torch_save((call, NAMES))))
            self.assertIn("is neither loaded nor called", self.refused(torch_save_legacy((call, NAMES))))
        self.assertFalse(trace.exists())

    def test_hostile_bytes_of_a_storage_are_refused(self) -> None:
        trace = self.folder / "trace"

        class Hostile:
            def __init__(self, data: bytes) -> None:
                self.data = data

            def __reduce__(self) -> Any:
                return torch_files.LOAD_FROM_BYTES, (self.data,)

        call = Call(os.system, f"touch {trace}")
        again = pickle_dump(Hostile(torch_save_legacy(Storage(b"\0" * 4, "float32", 1))))
        for data in (pickle.dumps(call), torch_save_legacy(call), torch_save(call), again, pickle.dumps([1]), b""):
            message = self.refused(pickle_dump((Tensor(Hostile(data), 0, (3, 8), (8, 1)), NAMES)))
            self.assertRegex(message, "storage")
        self.assertFalse(trace.exists())

    def test_instructions_that_data_does_not_need_are_refused(self) -> None:
        for name, data in {"INST": b"(S'x'\nios\nsystem\n.", "OBJ": b"(cos\nsystem\no.", "PERSID": b"Pos.system\n.",
                           "BINPERSID": b"K\x01Q.", "EXT1": b"\x82\x01.", "NEWOBJ": b"\x80\x02))\x81.",
                           "EMPTY_SET": b"\x80\x04\x8f.", "BUILD": b"}}b.", "REDUCE": b"K\x01)R.",
                           "STRING": b"S'x'\n.", "POP": b"NN0.", "NEXT_BUFFER": b"\x80\x05\x97."}.items():
            message = self.refused(data)
            self.assertRegex(message, name if name not in ("INST", "OBJ") else "STRING|os.system")

    def test_names_are_known_as_values_or_calls_only(self) -> None:
        for data in (b"ctorch\nFloatStorage\n)R.", b"cnumpy\nndarray\n(K\x01tR.", b"ctorch\nFloatStorage\nNb."):
            self.assertRegex(self.refused(data), "REDUCE|BUILD")

    def test_shapes_that_leave_the_storage_are_refused(self) -> None:
        storage = Storage(FEATURES.tobytes(), "float32", 24)
        for offset, shape, strides in ((0, (3, 9), (8, 1)), (1, (3, 8), (8, 1)), (0, (3, 8), (9, 1)),
                                       (0, (3, 8), (-8, 1)), (23, (3, 8), (-8, -1)), (-1, (3, 8), (8, 1)),
                                       (0, (3, -8), (8, 1)), (0, (10**12, 8), (0, 1)), (0, (2**62, 8), (8, 1)),
                                       (0, (2**64, 2**64), (2**64, 1)), (2**64, (3, 8), (8, 1)), (0, (3, 8), (8,)),
                                       (0, (3, True), (8, 1)), (0, [3, 8], (8, 1)), (0, (0, 8), (8, 1)),
                                       (0, (3,) * 40, (0,) * 40), (0.0, (3, 8), (8, 1)), (0, (24, 24), (0, 1))):
            for write in FORMS.values():
                self.assertIn("tensor", self.refused(write((Tensor(storage, offset, shape, strides), NAMES))))

    def test_storages_larger_than_the_file_are_refused(self) -> None:
        for count in (25, 10**3, 2**40, 2**62):
            storage = Storage(FEATURES.tobytes(), "float32", count)
            for write in FORMS.values():
                self.assertIn("storage", self.refused(write((Tensor(storage, 0, (3, 8), (8, 1)), NAMES))))

    def test_arrays_with_other_sizes_or_types_are_refused(self) -> None:
        good = pickle.dumps((FEATURES, NAMES), 2)
        self.assertIn("NumPy array", self.refused(good.replace(b"K\x03K\x08\x86", b"K\x03K\x09\x86")))
        self.assertIn("NumPy array", self.refused(good.replace(b"K\x03K\x08\x86", b"J\xff\xff\xff\x7fK\x08\x86")))
        for array in (FEATURES.astype("i4"), FEATURES.astype("c8"), np.zeros(3, [("a", "f4")]),
                      np.array(["x"], "S4"), np.zeros((0, 8), "f4"), FEATURES.astype("O")):
            self.assertTrue(self.refused(pickle.dumps((array, NAMES))))

    def test_texts_that_are_none_are_refused(self) -> None:
        names = pickle.dumps((FEATURES, np.array(["ab"] * 3)), 2)
        self.assertIn("not Unicode", self.refused(names.replace(b"a\x00\x00\x00", b"a\x00\x00\x7f")))

    def test_small_files_cannot_unfold_to_large_ones(self) -> None:
        started = time.monotonic()
        laughs = b"]q\x00" + b"".join(b"](" + b"h%c" % level * 200 + b"eq%c" % (level + 1) for level in range(8))
        head = pickle_dump(tensor(FEATURES))[:-1]
        self.assertIn("nested", self.refused(head + b"(" + laughs + b"t\x86."))
        text = (b"X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"r\xf1\0\0\0"
                b"X\x06\0\0\0latin1r\xf2\0\0\0")
        calls = b"c_codecs\nencode\nj\xf1\0\0\0j\xf2\0\0\0\x86R" * 100
        self.assertIn("unfolds", self.refused(text + calls + b"."))
        one = tensor(np.zeros(200_000, "f4"))
        self.assertIn("unfolds", self.refused(pickle_dump(([one] * 1000, ["x"] * 1000))))
        deep = b"(" * 100_000 + b"t" * 100_000 + b"."
        self.assertTrue(self.refused(deep))
        self.assertIn("key", self.refused(b"}" + b"(" * 50_000 + b"t" * 50_000 + b"K\x01s."))
        self.assertLess(time.monotonic() - started, 20)

    def test_truncated_files_are_refused(self) -> None:
        for form, write in FORMS.items():
            data = write((tensor(FEATURES), NAMES))
            for number in range(50):
                cut = data[:len(data) * number // 50]
                with self.subTest(form=form, bytes=len(cut)):
                    self.refused(cut)

    def test_altered_files_are_read_or_refused_in_words(self) -> None:
        random_numbers = random.Random(7)
        self.enterContext(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # of what the standard library thinks of altered texts
        for write in (*FORMS.values(), lambda value: pickle.dumps((FEATURES, NAMES))):
            data = write((tensor(FEATURES), NAMES))
            for _ in range(400):
                altered = bytearray(data)
                for _ in range(random_numbers.randint(1, 3)):
                    altered[random_numbers.randrange(len(altered))] = random_numbers.randrange(256)
                path = self.write("altered.pkl", bytes(altered))
                try:
                    evcap.read(path)
                except ConversionError:
                    pass

    def test_archives_that_torch_does_not_write_are_refused(self) -> None:
        value = (tensor(FEATURES), NAMES)
        self.assertIn("compressed", self.refused(torch_save(value, zipfile.ZIP_DEFLATED)))
        for entries in ({"a/data.pkl": b".", "b/data.pkl": b"."}, {"other.txt": b"x"}, {"a/data.pkl": b"N."},
                        {"a/data.pkl": b"N.", "a/byteorder": b"big"}):
            file = io.BytesIO()
            with zipfile.ZipFile(file, "w") as archive:
                for name, data in entries.items():
                    archive.writestr(name, data)
            self.refused(file.getvalue())

    def test_counts_and_shapes_that_do_not_fit_are_named(self) -> None:
        for value, words in (((tensor(FEATURES), NAMES[:2]), "2 names for 3 vectors"),
                             ((tensor(FEATURES), [*NAMES, "more"]), "4 names for 3 vectors"),
                             ((tensor(FEATURES), NAMES * 300), f"{300 * len(NAMES)} names for 3 vectors"),
                             ((tensor(FEATURES), [*NAMES[:2], 7]), "name 2 is a int"),
                             ((tensor(FEATURES[0]), NAMES), "expected [n, dim]"),
                             ((tensor(FEATURES), NAMES, 1), "a tuple of 3"),
                             (([tensor(FEATURES[0]), tensor(FEATURES[0, :4])], NAMES[:2]), "image 1"),
                             ((NAMES, tensor(FEATURES)), "expected a tensor"),
                             (tensor(FEATURES), "expected (features, names)")):
            self.assertIn(words, self.refused(pickle_dump(value)))
        self.assertIn("follow the pickle", self.refused(pickle_dump((tensor(FEATURES), NAMES)) + b"more"))
        self.assertIn("Git LFS", self.refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"))
        self.assertIn("capstan-convert hdf5", self.refused(b"\x89HDF\r\n\x1a\n"))
        self.assertIn("No such file", self.refuse("evcap", self.folder / "absent.pkl"))
