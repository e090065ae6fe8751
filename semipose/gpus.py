"""Which GPU of a machine a training takes, where several trainings share the machine (the workers of `dvc queue`)."""

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []  # closed, and so given back, when the process ends, however it ends


def take(count: int) -> int:
    """The first of `count` GPUs that no other process of this user has taken, taken until this process ends; the first one of all where
    each is taken."""
    folder = Path(tempfile.gettempdir()) / f"semipose-gpus-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
    for number, name in enumerate(visible[:count]):
        file = (folder / name.strip()).open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            continue
        _held.append(file)
        return number
    return 0
