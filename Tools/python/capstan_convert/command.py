"""The command line of capstan-convert."""
import argparse
import importlib
import json
import pathlib
import sys
from collections.abc import Sequence

from .errors import ConversionError

DESCRIPTION = """\
Converts foreign memories into the two files that `capstan import NAME rows.ndjson --vectors vectors.npy` takes.
Nothing in a foreign file is ever executed."""

EVCAP = """\
EVCap's memory is a Python pickle of (features, names): a PyTorch tensor or a NumPy array [n, 768] or [n, 32, 768], and
n names. The 32 vectors of an image are averaged to one key. Files of torch.save with the same content are read too.

PyTorch is neither needed nor loaded, and the pickle is not executed: it is read as data, and anything in it that is
not data is refused, with its name and position."""

EVCAP_EXAMPLES = """\
examples:
  capstan-convert evcap ext_memory_lvis.pkl -o lvis
  capstan datastore create lvis --kind names --key text:768:cosine
  capstan import lvis lvis/rows.ndjson --vectors lvis/vectors.npy"""

CLIP = """\
clip-retrieval writes folders text_emb, img_emb and metadata with numbered parts. The parts are taken in the order of
their numbers, one at a time, and the counts of vectors and rows must agree in each."""

CLIP_EXAMPLES = """\
examples:
  capstan-convert clip-retrieval embeddings -o coco
  capstan-convert clip-retrieval embeddings -o coco-images --vectors image --image-id key"""

HDF5 = """\
Takes one data set of vectors [n, dim] and one of n texts from an HDF5 file. Without names it looks for features,
embeddings or vectors; captions, names or texts; image_ids or ids. When one is not found, all are listed."""

HDF5_EXAMPLES = """\
examples:
  capstan-convert hdf5 memory.h5 -o memory
  capstan-convert hdf5 memory.h5 -o memory --vectors train/clip --texts train/text --ids train/image"""


def parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(
        prog="capstan-convert", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    formats = result.add_subparsers(dest="format", required=True, metavar="FORMAT")

    def add(name: str, module: str, summary: str, description: str, examples: str) -> argparse.ArgumentParser:
        command = formats.add_parser(name, help=summary, description=description, epilog=examples,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
        command.set_defaults(module=module)
        command.add_argument("-o", "--output", type=pathlib.Path, required=True, metavar="OUTDIR",
                             help="gets rows.ndjson and vectors.npy")
        command.add_argument("--source", help="a source that every row gets")
        command.add_argument("--force", action="store_true", help="replace files that exist")
        command.add_argument("--json", action="store_true", help="print the summary as one JSON object")
        return command

    evcap = add("evcap", "evcap", "EVCap's memory: a pickle of (features, names)", EVCAP, EVCAP_EXAMPLES)
    evcap.add_argument("file", type=pathlib.Path, metavar="FILE")

    clip = add("clip-retrieval", "clip_retrieval", "the output folder of clip-retrieval", CLIP, CLIP_EXAMPLES)
    clip.add_argument("folder", type=pathlib.Path, metavar="DIR")
    clip.add_argument("--vectors", choices=("text", "image"), default="text", help="default: text")
    clip.add_argument("--caption", default="caption", metavar="COLUMN", help="default: caption")
    clip.add_argument("--image-id", metavar="COLUMN", help="default: image_path, key or url, the first there is")

    hdf5 = add("hdf5", "hdf5", "an HDF5 file of vectors and texts", HDF5, HDF5_EXAMPLES)
    hdf5.add_argument("file", type=pathlib.Path, metavar="FILE")
    for option in ("--vectors", "--texts", "--ids"):
        hdf5.add_argument(option, metavar="DATASET")
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 refused or failed, 2 usage."""
    options = parser().parse_args(arguments)
    try:
        try:
            module = importlib.import_module(f".{options.module}", __package__)
        except ModuleNotFoundError as error:
            raise ConversionError(f"Python has no {error.name}; Tools/python/setup makes an environment "
                                  "that has all that is needed") from None
        summary = {"format": options.format} | module.convert(options)
    except ConversionError as error:
        print(f"capstan-convert: {error}", file=sys.stderr)
        return 1
    except MemoryError:
        print("capstan-convert: not enough memory", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("capstan-convert: interrupted; nothing was written", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(summary))
    else:
        print(f"{summary['rows']:,} rows of {summary['dim']} numbers ({summary['dtype']}) in {options.output}")
        print(f"next: {summary['next']}")
    return 0
