"""MATLAB files, each read in its own process: scipy's reader is compiled code, and a damaged file can crash it."""

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from semipose.data.sources.reading import BRING
from semipose.utils.errors import InputError
from semipose.utils.files import read_bytes

READ = """
import io, json, pickle, sys
from scipy.io import loadmat

content = loadmat(io.BytesIO(sys.stdin.buffer.read()), struct_as_record=False, **json.loads(sys.argv[1]))
pickle.dump(content, sys.stdout.buffer)
"""


def read_matlab(path: Path, **options: Any) -> dict[str, Any]:
    """Read the variables of a .mat file by name, structs as scipy's `mat_struct`.

    Args:
        path: The file.
        options: Those of scipy.io.loadmat.

    Raises:
        InputError: The file is missing or damaged, or is not a MATLAB file.
    """
    command = [sys.executable, "-c", READ, json.dumps(options)]
    done = subprocess.run(command, input=read_bytes(path, BRING), capture_output=True, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        reason = said[-1] if said and done.returncode > 0 else "it makes the reader crash"
        raise InputError(f"{path}: not a MATLAB file, or damaged ({reason}); {BRING}")
    content: dict[str, Any] = pickle.loads(done.stdout)  # made by the lines above, not by the file
    return content
