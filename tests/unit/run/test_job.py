"""What a worker is given for one step."""

import pickle

from build import step
from stalker.run.job import Job, identity_variables


def job(**more):
    return Job(step("a"), "r/s", "id", "f1", {}, {}, "t.hjson", "/work", "run", "logs/a", **more)


def test_a_script_learns_which_work_it_is_and_which_it_comes_after():
    """What it keeps in a store under these names is never taken for something else."""
    needs = {"x:a": "f2", "y:b": "f3"}

    assert identity_variables(job(needs=needs)) == {
        "STALKER_FINGERPRINT": "f1",
        "STALKER_NEEDS": "x:a f2\ny:b f3",
    }


def test_a_job_crosses_a_process():
    assert pickle.loads(pickle.dumps(job(is_last=True))) == job(is_last=True)
