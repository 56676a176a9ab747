"""Protégé: an agent's repeated calls become small models that answer them.

The nouns are `Call`, `Task` and `Specialist`, and a `Workspace` holds them. A script needs little more:

    import protege

    workspace = protege.Workspace(".protege")
    protege.collect.collect(workspace, ["calls.jsonl"])  # import recorded calls, or
    protege.drain(workspace)                             # take in what agents have recorded
    for improvement in protege.improve(workspace, settings=protege.Settings(epsilon=0.05)):
        print(improvement.task_id, improvement.decision, improvement.reason)
    protege.report.write_report(protege.report.gather(workspace), "report.html")

`protege.adapter` is for adapters of agent frameworks, `protege.testing` for their tests. Names load their module at
first use: importing this package does no I/O and loads no model library.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
