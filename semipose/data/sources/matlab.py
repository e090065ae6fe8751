"""MATLAB files, each read in a process of its own: scipy's reader is compiled code, and a damaged file can crash it."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from semipose.data.sources.reading import BRING
from semipose.utils.errors import InputError

READ = """
import json, pickle, sys
from scipy.io import loadmat

with open(sys.argv[1], "rb") as file:
    content = loadmat(file, struct_as_record=False, **json.loads(sys.argv[2]))
pickle.dump(content, sys.stdout.buffer)
"""


def read_matlab(path: Path, **options: Any) -> dict[str, Any]:
    """The variables of a .mat file by name, structs as scipy's `mat_struct`; `options` are those of scipy.io.loadmat. Raises InputError
    where the file is not there, or is no whole MATLAB file."""
    try:
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise InputError(f"{path}: not there; {BRING}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {BRING}") from None
    done = subprocess.run([sys.executable, "-c", READ, str(path), json.dumps(options)], capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said and done.returncode > 0 else "it makes the reader crash"
        raise InputError(f"{path}: not a MATLAB file, or damaged ({reason}); {BRING}")
    content: dict[str, Any] = pickle.loads(done.stdout)  # made by the lines above, not by the file
    return content
