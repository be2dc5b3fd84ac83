"""A client in a process of its own, as 3D Slicer is one: bundle → one edit on a worker; what it imported.

With "die" it ends by force as soon as there is a preview, after it has said who its worker is. That one has
not heard of a volume that was open before: its worker was killed.
"""

import json
import os
import signal
import sys

import numpy as np

from HiDiffRefineLib.runtime.worker import Worker
from HiDiffRefineLib.session.session import RefinementSession
from HiDiffRefineLib.volumes.volume import Volume


def main(bundle: str, die: bool) -> None:
    """One edit."""
    array = np.random.default_rng(0).integers(0, 1000, (24, 40, 40)).astype(np.int16)
    with Worker() as worker:
        if die:
            other = RefinementSession(Volume(array, np.eye(4)), worker.models(bundle))
            for _ in other.warming_up(wait=True):
                pass
            os.kill(worker.pid, signal.SIGKILL)
        session = RefinementSession(Volume(array, np.diag([1.0, 1, 1.5, 1])), worker.models(bundle))
        session.set_prior(array > 2000, "empty")
        session.add_click((20, 20, 18))
        previews = 0
        for _ in session.refine():
            previews += 1
            if die:
                pids = worker.pid, worker._link._process.pid
                memory = [one.engine._opened.key for one in (session, other)]
                print(json.dumps({"pids": pids, "memory": memory}), flush=True)
                os.kill(os.getpid(), signal.SIGKILL)
        print(
            json.dumps(
                {"previews": previews, "torch": "torch" in sys.modules, "monai": "monai" in sys.modules}
            )
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:] == ["die"])
