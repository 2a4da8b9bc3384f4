"""The command as a user starts it."""
import subprocess
import sys

import h5py
import numpy as np

from capstan_convert.output import encoded, npy_header
from support import TOOLS, ConverterTests


class CommandTests(ConverterTests):
    def test_help_has_examples_and_needs_no_packages(self) -> None:
        for arguments in (["--help"], ["evcap", "--help"], ["clip-retrieval", "--help"], ["hdf5", "--help"]):
            done = subprocess.run([sys.executable, "-S", "-c", f"import sys; sys.path.insert(0, {str(TOOLS)!r}); "
                                   "from capstan_convert.command import main; main()", *arguments],
                                  capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            if len(arguments) == 2:
                self.assertIn("examples:\n  capstan-convert", done.stdout)

    def test_launcher_finds_its_environment(self) -> None:
        done = subprocess.run([TOOLS / "capstan-convert", "hdf5", self.folder / "absent.h5", "-o", self.output],
                              capture_output=True, text=True, cwd=self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot be read as HDF5", done.stderr)
        self.assertEqual(subprocess.run([TOOLS / "capstan-convert"], capture_output=True).returncode, 2)

    def test_folders_that_cannot_be_written_are_named(self) -> None:
        source = self.folder / "a.h5"
        with h5py.File(source, "w") as file:
            file["features"] = np.ones((2, 2), "f4")
            file["captions"] = ["a", "b"]
        code, _, err = self.run_command("hdf5", source, "-o", source / "below")
        self.assertEqual(code, 1)
        self.assertIn("cannot write to", err)

    def test_header_has_one_length(self) -> None:
        for rows in (0, 1, 10**9):
            header = npy_header(np.dtype("<f4"), rows, 768)
            self.assertEqual(len(header), 128)
            self.assertTrue(header.endswith(b"\n"))

    def test_halves_of_surrogate_pairs_are_escaped(self) -> None:
        self.assertEqual(encoded({"text": "\ud800é"}), b'{"text": "\\ud800\\u00e9"}\n')
        self.assertEqual(encoded({"text": "é"}), '{"text": "é"}\n'.encode())
