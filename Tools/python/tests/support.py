"""What the tests of the converters share."""
import contextlib
import io
import json
import pathlib
import tempfile
import unittest
from typing import Any

import numpy as np

from capstan_convert.command import main

TOOLS = pathlib.Path(__file__).resolve().parent.parent


class ConverterTests(unittest.TestCase):
    """A temporary folder, and the command run in it."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.output = self.folder / "out"

    def write(self, name: str, data: bytes) -> pathlib.Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def run_command(self, *arguments: object) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main([str(argument) for argument in arguments])
        return code, out.getvalue(), err.getvalue()

    def convert(self, *arguments: object) -> tuple[list[dict[str, Any]], np.ndarray, dict[str, Any]]:
        """Rows, vectors and summary of a conversion that succeeds."""
        code, out, err = self.run_command(*arguments, "-o", self.output, "--force", "--json")
        self.assertEqual(code, 0, err)
        rows = [json.loads(line) for line in (self.output / "rows.ndjson").read_text("utf-8").splitlines()]
        vectors = np.load(self.output / "vectors.npy", allow_pickle=False)
        self.assertEqual(len(rows), len(vectors))
        self.assertTrue(vectors.flags.c_contiguous)
        return rows, vectors, json.loads(out)

    def refuse(self, *arguments: object) -> str:
        """The message of a conversion that fails, and leaves nothing behind."""
        code, out, err = self.run_command(*arguments, "-o", self.output)
        self.assertEqual((code, out), (1, ""), err)
        self.assertTrue(err.startswith("capstan-convert: "), err)
        left = list(self.output.iterdir()) if self.output.exists() else []
        self.assertEqual(left, [])
        return err
