"""Write the pickles of all examples, as the installed version makes them: `python -m tests.pickles.write > 0.1.0.json`.

The file of a version that was published is never written anew: it is what users have on their disks.
"""

import base64
import json
import pickle
import sys

from tests.pickles.examples import EXAMPLES

PROTOCOLS = (0, 2, 5)


def main() -> None:
    written = {
        name: {
            str(protocol): base64.b64encode(pickle.dumps(value, protocol)).decode() for protocol in PROTOCOLS
        }
        for name, value in EXAMPLES.items()
    }
    json.dump(written, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
