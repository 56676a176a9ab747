"""What redaction costs a specialist: one tuned on the calls as they were recorded, one on the same calls redacted.

    python tests/bench/redacted_tuning.py CALLS.jsonl[.gz] [--steps N] [--task NAME]

Both are asked the same calls that neither was taught, as they were recorded. Prints how many of them each answers as
the teacher did, and how many only one of the two.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from protege import Workspace
from protege.collect import collect
from protege.common.progress import Silent
from protege.curate import CurateSettings
from protege.evaluate import answer_all
from protege.loop.run import Run
from protege.loop.settings import Settings
from protege.loop.steps import curate, place, select, tune
from protege.loop.tasks import choose, find_tasks
from protege.redact.policy import FILE
from protege.serve import Replicas, open_engines
from protege.tune import TuneSettings

AS_RECORDED = "types = []\nmodel = false\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--steps", type=int, default=TuneSettings().steps)
    parser.add_argument("--task", help="the largest one where it is not named")
    options = parser.parse_args()
    agreed = {name: agreements(options, policy) for name, policy in (("raw", AS_RECORDED), ("redacted", ""))}
    assert agreed["raw"].keys() == agreed["redacted"].keys()
    calls = len(agreed["raw"])
    for name, found in agreed.items():
        print(
            f"{name:<9} {sum(found.values())} of {calls} unseen calls as the teacher: {sum(found.values()) / calls:.3f}"
        )
    differ = {call: found for call, found in agreed["raw"].items() if found != agreed["redacted"][call]}
    print(f"only raw {sum(differ.values())}, only redacted {len(differ) - sum(differ.values())}")


def agreements(options: argparse.Namespace, policy: str) -> dict[str, bool]:
    """Whether each test call is answered as the teacher did, by id."""
    settings = Settings(
        engine="embedded",
        compete=False,
        curate=CurateSettings(test=0.28, calibration=0.1, min_calibration=1),
        tune=TuneSettings(steps=options.steps),
    )
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(folder)
        (Path(folder) / FILE).write_text(policy)
        collect(workspace, [options.path])
        tasks = find_tasks(workspace)
        task = choose(tasks, [options.task])[0] if options.task else tasks[0]
        run = Run(workspace, task, settings, Silent())
        curated = curate(run)
        counts, redacted = curated.provenance["counts"], curated.provenance["redacted"]
        print(f"{task.name}: {counts['train']} train, {counts['test']} test; replaced {redacted}", flush=True)
        base, _, _ = select(run, curated)
        assert base is not None
        specialist = place(run, tune(run, curated, base))
        with open_engines(workspace, specialist) as engines:
            assert isinstance(engines, Replicas)
            judged = answer_all(engines, specialist, task, curated.examples("test"), parallel=engines.count)
        workspace.close()
        return dict(zip(curated.test["id"], (bool(one.agreed) for one in judged), strict=True))


if __name__ == "__main__":
    main()
