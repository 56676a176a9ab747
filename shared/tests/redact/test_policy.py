"""The workspace's own policy: a file, for all tasks and for each."""

from __future__ import annotations

from pathlib import Path

import pytest
from protege.errors import BadInput
from protege.redact import RedactionPolicy, policy, weights
from protege.redact.policy import DEFAULT_TYPES, FILE, load_policy


def test_without_a_file_the_default_holds(tmp_path: Path) -> None:
    assert load_policy(tmp_path, "triage", key="k") == RedactionPolicy(key="k")


def test_a_file_says_what_holds_for_all_tasks_and_for_one(tmp_path: Path) -> None:
    everyone = 'types = ["PERSON"]\nallow = ["Contoso"]\n[patterns]\nN = "K-[0-9]+"\n'
    (tmp_path / FILE).write_text(f"{everyone}[tasks.triage]\ntypes = []\nmodel = false\n")
    everywhere = load_policy(tmp_path)
    assert everywhere == RedactionPolicy(frozenset({"PERSON"}), frozenset({"Contoso"}), {"N": "K-[0-9]+"})
    assert load_policy(tmp_path, "triage") == RedactionPolicy(
        frozenset(), frozenset({"Contoso"}), {"N": "K-[0-9]+"}, False
    )


@pytest.mark.parametrize(
    "text", ["types = 3", "what = 1", "= broken", 'types = ["SHOES"]', "[patterns]\nX = '('", "\udcff"]
)
def test_a_file_that_cannot_be_used_says_so(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(BadInput):
        load_policy(tmp_path)


def test_what_is_written_beside_a_data_set_holds_no_key_and_no_allowed_text() -> None:
    policy = RedactionPolicy(allow=frozenset({"Anna"}), key="secret")
    assert policy.to_record() == {"types": sorted(DEFAULT_TYPES), "patterns": {}, "keys": {}, "model": True}
    assert policy.identity != RedactionPolicy(key="secret").identity


def test_other_rules_or_another_model_make_another_policy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    identities = [RedactionPolicy().identity]
    monkeypatch.setenv(weights.FOLDER, str(tmp_path))
    identities.append(RedactionPolicy().identity)
    (tmp_path / "onnx").mkdir()
    for contents in (b"one", b"another"):
        (tmp_path / "onnx" / "model_q4.onnx").write_bytes(contents)
        identities.append(RedactionPolicy().identity)
    without = RedactionPolicy(model=False).identity
    monkeypatch.delenv(weights.FOLDER)
    assert RedactionPolicy(model=False).identity == without
    monkeypatch.setattr(policy, "RULES_VERSION", policy.RULES_VERSION + 1)
    identities += [without, RedactionPolicy().identity, RedactionPolicy(model=False).identity]
    assert len({str(identity) for identity in identities}) == len(identities)
