"""Python programs as forks of the test's process.

A Python that begins anew takes ten seconds of a core to import torch, and four for MLflow; a fork has them already. `semipose` and
`pipeline` it imports once more, from the folder in which it runs, as `python -m` would.
"""

import os
import runpy
import shlex
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib.pyplot  # noqa: F401  with the next line: what stages import from elsewhere

import pipeline.stages.evaluate
import pipeline.stages.train  # noqa: F401


def begin(work: Callable[[], object], words: Path) -> int:
    """A process of its own, which begins `work` at once; its number. The file `words` gets what it says."""
    words.touch()
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        with words.open("a", buffering=1) as said:
            sys.stdout = sys.stderr = said
            os.dup2(said.fileno(), 1)
            os.dup2(said.fileno(), 2)
            try:
                work()
                code = 0
            except SystemExit as ended:
                code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            except BaseException:
                traceback.print_exc()
    finally:
        os._exit(code)


def ended(process: int) -> int:
    """The exit code of a process that has begun, once it has ended."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def module(folder: Path, environment: Mapping[str, str], name: str, *arguments: str) -> None:
    """What `python -m name arguments` does in a folder, in a process that is there for it alone."""
    own_code(folder, environment)
    sys.argv = [name, *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def own_code(folder: Path, environment: Mapping[str, str]) -> None:
    """From here on this process is at home in a folder, with its code."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for loaded in [name for name in sys.modules if name.partition(".")[0] in ("semipose", "pipeline")]:
        del sys.modules[loaded]
    sys.path.insert(0, str(folder))


def repro(folder: Path, environment: Mapping[str, str], words: Path) -> None:
    """`dvc repro` in a folder, in a process that is there for it alone: DVC itself, and its stages as forks of it."""
    from dvc.cli import main
    from dvc.stage import run
    from dvc.stage.exceptions import StageCmdFailedError

    def stage(executable: str, command: str, cwd: str, env: dict[str, str], **more: Any) -> None:
        python, flag, name, *arguments = shlex.split(command)
        assert (python, flag) == ("python", "-m"), command
        if code := ended(begin(partial(module, Path(cwd), env, name, *arguments), words)):
            raise StageCmdFailedError(command, code)

    own_code(folder, environment)
    run._run = stage
    sys.exit(main(["repro"]))
