"""A trial that only takes arguments and prints: it knows nothing of any tuner."""

import argparse
import sys

parser = argparse.ArgumentParser()
parser.add_argument("--x", type=float, required=True)
parser.add_argument("--layers", type=int, required=True)
given = parser.parse_args()
print("starting")
for epoch in range(3):
    loss = (given.x - 1.0) ** 2 + given.layers + 2 - epoch
    print(f"epoch={epoch} loss={loss!r}", file=sys.stderr if epoch % 2 else sys.stdout)
    print(f"accuracy={1 / (1 + loss)!r}")
