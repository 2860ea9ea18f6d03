"""Trains the bundled `tiny` model from nothing: `python -m distill.pretrain --out agent/models/tiny`.

A Llama of about a million weights learns, over fresh sites only, to read cases and principles in its prompt,
to search when it has none, and to write down what an episode showed. Run it again to go on where it stopped.
"""

import argparse
import os
from dataclasses import asdict
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from distill.pretrain.run import Settings, pretrain


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=pretrain.__doc__)
    parser.add_argument("--out", type=Path, required=True, help="model folder to write")
    parser.add_argument("--state", type=Path, default=Path("pretrain.pt"), help="resumable state")
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    given = vars(parser.parse_args())
    out, state = given.pop("out"), given.pop("state")
    pretrain(Settings(**given), out, state)


if __name__ == "__main__":
    main()
