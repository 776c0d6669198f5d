"""Take the safeguards away one by one, and watch a test fail for each: ``python -m tests.mutants [NAME …]``.

Each mutant is a change to one place of the product, made in a copy of the tree, and the test that must catch
it. Exit 1 when a mutant survives, 2 when the place is no longer there: then the table here is out of date.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """``before`` in ``file`` becomes ``after``; ``test`` (of pytest) must then fail."""

    name: str
    promise: str
    file: str
    before: str
    after: str
    test: str


MUTANTS = (
    Mutant(
        name="card-twice",
        promise="a card falls once: the state remembers which were issued",
        file="broker/core/clocks/cards.py",
        before="    if key in state.cards:\n        return state\n",
        after="",
        test="tests/exchange/test_cards.py",
    ),
    Mutant(
        name="terms-of-today",
        promise="a case ends under the directory that it was opened under",
        file="broker/core/case/opening.py",
        before="        directory=terms.version,\n",
        after="",
        test="tests/supervision/test_deadlines.py",
    ),
    Mutant(
        name="charged-twice",
        promise="nobody pays twice: one fee a case",
        file="broker/core/case/transitions.py",
        before="        fee_since=frozenset({Fee.NONE}),",
        after="        fee_since=frozenset({Fee.NONE, Fee.PAID}),",
        test="tests/core/test_lifecycle.py::test_a_fee_is_paid_after_its_request_and_once",
    ),
    Mutant(
        name="evidence",
        promise="what is forbidden is refused and kept on the ledger",
        file="broker/intake/submitting/gather.py",
        before="        if is_suspect(pending.message.type, refusal.code):\n            pending.refusal",
        after="        if not refusal.code:\n            pending.refusal",
        test="tests/intake/test_evidence.py",
    ),
    Mutant(
        name="secondary-suppression",
        promise="no hidden figure follows from the shown ones",
        file="broker/core/evaluation/suppression.py",
        before="yield min(shown)",
        after="continue",
        test="tests/core/test_suppression.py",
    ),
    Mutant(
        name="dedupe",
        promise="one effect for each message: a repeat on the ledger is dropped",
        file="broker/core/case/routing.py",
        before="    if known is not None:\n        # A card",
        after="    if known is not None and not known.digest:\n        # A card",
        test="tests/exchange/test_stage.py::test_a_repeat_has_no_second_effect_also_after_a_restart",
    ),
    Mutant(
        name="conditional-position",
        promise="nothing lost or doubled: state and position move only from where they stood",
        file="broker/exchange/stage.py",
        before="        fresh = [record for record in records if record.position.offset >= since]",
        after="        fresh = list(records)[:-1] if len(records) > 1 else list(records)",
        test="tests/exchange/test_stage.py",
    ),
    Mutant(
        name="kept-too-long",
        promise="the store is the truth: what a worker keeps is forgotten with every assignment and rewind",
        file="broker/exchange/stage.py",
        before="        self._kept.forget()\n        wanted =",
        after="        wanted =",
        test="tests/exchange/test_kept.py",
    ),
    Mutant(
        name="outputs-before-commit",
        promise="an accepted message is never lost: outputs are written before the position moves",
        file="broker/exchange/stage.py",
        before="            if outputs:\n                await self._writer.write(",
        after="            if outputs and False:\n                await self._writer.write(",
        test="tests/exchange/test_stage.py::test_a_submission_reaches_the_outbox_with_its_source_position_and_the_view",
    ),
    Mutant(
        name="receipt-before-offset",
        promise="a receipt for every effect",
        file="broker/core/case/routing.py",
        before="    return _settled(name=acknowledged(message), outcome=outcome, routes=routes)",
        after="    return Repeated()",
        test="tests/core/test_routing.py::test_a_receipt_settles_the_message_and_goes_to_its_sender",
    ),
    Mutant(
        name="signature",
        promise="what was signed can be shown: a forged request never passes",
        file="broker/core/signatures.py",
        before="            if _holds_v1a(signature, text, public_keys):\n",
        after="            if signature:\n",
        test="tests/core/test_signatures.py",
    ),
    Mutant(
        name="yes-before-durable",
        promise="a yes is durable: 202 only after all in-sync replicas have it",
        file="broker/intake/submitting/gather.py",
        before="        except Unreachable as fault:\n            raise NotDurable from fault\n",
        after="        except (NotDurable, Unreachable):\n            positions = [Position('tongban.exchange', 0, 0) for _ in records]\n",
        test="tests/intake/test_submissions.py",
    ),
    Mutant(
        name="same-id-other-content",
        promise="a message id stands for one content for ever",
        file="broker/core/case/routing.py",
        before="        return replace(_refused(message, reused), recorded=False)",
        after="        return Repeated()",
        test="tests/exchange/test_stage.py::test_an_id_reused_for_other_content_is_refused_and_the_first_stays",
    ),
    Mutant(
        name="sealing",
        promise="the road never opens the envelope: papers are sealed from intake to delivery",
        file="broker/log/values/compartment.py",
        before="    ciphertext = seal(_compressed(plaintext), key=key, nonce=nonce, aad=aad)",
        after="    ciphertext = _compressed(plaintext) + bytes(16 * bool(key + nonce + aad))",
        test="tests/log/test_compartment.py",
    ),
    Mutant(
        name="lanes",
        promise="order in a case: one delivery in flight for each case",
        file="broker/core/lane/lanes.py",
        before="        lane = self._lanes.get(lane_key)\n        if lane is None:\n            lane = self._lanes[lane_key] = Lane(lane_key, node)",
        after="        lane = None\n        if lane is None:\n            lane = self._lanes[lane_key] = Lane(lane_key, node)",
        test="tests/core/test_lanes.py",
    ),
    Mutant(
        name="safe-commit",
        promise="an accepted message is never lost: nothing above the lowest unfinished offset is committed",
        file="broker/core/lane/offsets.py",
        before="        return self._started[self._front] if self._pending else self._next",
        after="        return self._next",
        test="tests/core/test_offsets.py",
    ),
    Mutant(
        name="source-positions",
        promise="one effect for each message: what does not rise above its source position is a repeat",
        file="broker/delivery/assigned/tenure.py",
        before="            if self._seen.get(source.partition, -1) >= source.offset:",
        after="            if self._seen.get(source.partition, -1) > source.offset + 10**9:",
        test="tests/delivery",
    ),
    Mutant(
        name="foreign-cases",
        promise="a partner sees its own cases only",
        file="broker/intake/asking/reads.py",
        before="        if state is None or call.partner.id not in {state.opening, state.responsible}:",
        after="        if state is None:",
        test="tests/intake/test_authorisation.py",
    ),
    Mutant(
        name="masking",
        promise="no personal data in errors: what a partner answers is masked before it is kept",
        file="connectors/http_answers.py",
        before='_LONG_NUMBER: Final = re.compile(r"[0-9]{7,}[Xx]?")',
        after='_LONG_NUMBER: Final = re.compile(r"[0-9]{70,}[Xx]?")',
        test="tests/connectors/test_http.py",
    ),
)


def mutate(mutant: Mutant, folder: Path) -> bool:
    """Change the copy; False when the place is not there exactly once."""
    path = folder / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.before) != 1:
        return False
    path.write_text(text.replace(mutant.before, mutant.after), encoding="utf-8")
    return True


def caught(mutant: Mutant, folder: Path) -> bool:
    """Whether the test fails on the changed copy. A test that does not even run is no catch."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", mutant.test],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode == 1


def copies() -> Iterator[Path]:
    """One fresh copy of the tree after the other."""
    while True:
        with tempfile.TemporaryDirectory(prefix="tongban-mutant-") as folder:
            for name in ("broker", "connectors", "schemas", "deploy", "tests", "pyproject.toml"):
                source = HERE / name
                if source.is_dir():
                    shutil.copytree(source, Path(folder) / name, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    shutil.copy(source, folder)
            yield Path(folder)


def main() -> int:
    """Run the named mutants, or all; 0 when every one was caught."""
    wanted = set(sys.argv[1:])
    survived, missing = [], []
    for mutant, folder in zip(
        [each for each in MUTANTS if not wanted or each.name in wanted], copies(), strict=False
    ):
        began = time.monotonic()
        if not mutate(mutant, folder):
            missing.append(mutant.name)
            verdict = "PLACE NOT FOUND"
        elif caught(mutant, folder):
            verdict = "caught"
        else:
            survived.append(mutant.name)
            verdict = "SURVIVED"
        print(f"{verdict:16} {time.monotonic() - began:5.1f} s  {mutant.name}: {mutant.promise}", flush=True)
    return 2 if missing else int(bool(survived))


if __name__ == "__main__":
    sys.exit(main())
