from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.core.lane.circuit import Circuit, CircuitPolicy, Phase

POLICY = CircuitPolicy(
    failure_ratio=0.7,
    minimum=10,
    window_s=100.0,
    probe_first_s=5.0,
    probe_max_s=30.0,
    probe_timeout_s=60.0,
    ramp_from=0.1,
    ramp_s=10.0,
)


def after(answers: str, *, now_s: float = 0.0) -> Circuit:
    """A circuit after these answers: ``+`` good, ``-`` bad."""
    circuit = Circuit(policy=POLICY)
    for answer in answers:
        circuit = circuit.succeeded(now_s) if answer == "+" else circuit.failed(now_s, "503")
    return circuit


@pytest.mark.parametrize(
    ("answers", "phase"),
    [
        ("-" * 9, Phase.CLOSED),  # too few to judge
        ("-" * 10, Phase.OPEN),  # 10 of 10
        ("+++" + "-" * 7, Phase.OPEN),  # 7 of 10 = 0.7
        ("++++" + "-" * 9, Phase.CLOSED),  # 9 of 13 = 0.69
        ("++++" + "-" * 10, Phase.OPEN),  # 10 of 14 = 0.71
        ("+" * 100 + "-" * 29, Phase.CLOSED),
        ("+" * 1000 + "-" * 30, Phase.OPEN),  # 30 in a row: nobody is there, whatever was before
    ],
)
def test_it_opens_on_the_ratio_over_the_window(answers: str, phase: Phase) -> None:
    assert after(answers).phase is phase


def test_what_is_older_than_the_window_no_longer_counts() -> None:
    circuit = after("-" * 9)
    assert circuit.failed(100.0, "503").phase is Phase.CLOSED  # a whole window later: 1 of 1
    half = circuit.succeeded(60.0)  # the next half of the window: what was counted before still does
    assert half.failed(60.0, "503").phase is Phase.OPEN  # 10 of 11
    gone = half.succeeded(120.0)  # two halves later the first nine are gone
    assert gone.failed(120.0, "503").phase is Phase.CLOSED


def test_many_good_answers_at_once_count_as_many() -> None:
    for circuit in (after("+" * 10), after("").succeeded(0.0, 10)):
        for _ in range(23):
            circuit = circuit.failed(1.0, "503")  # noqa: PLW2901 - a circuit is a value
        assert circuit.phase is Phase.CLOSED  # 23 of 33 = 0.697
        assert circuit.failed(1.0, "503").phase is Phase.OPEN  # 24 of 34


def test_one_good_answer_begins_the_row_anew() -> None:
    circuit = after("+" * 1000 + "-" * 29 + "+" + "-" * 29)
    assert circuit.phase is Phase.CLOSED
    assert circuit.failed(0.0, "503").phase is Phase.OPEN


def test_a_row_is_never_shorter_than_the_minimum() -> None:
    circuit = Circuit(policy=CircuitPolicy(minimum=50, in_a_row=30, failure_ratio=1.0))
    for _ in range(49):
        circuit = circuit.failed(0.0, "503")
    assert circuit.phase is Phase.CLOSED
    assert circuit.failed(0.0, "503").phase is Phase.OPEN


def test_a_fault_of_configuration_opens_at_once() -> None:
    circuit = Circuit(policy=POLICY).misconfigured(7.0, "401")
    assert (circuit.phase, circuit.reason) == (Phase.OPEN, "401")
    assert circuit.admits(7.0, 64) == 0
    assert not circuit.may_probe(11.9)
    assert circuit.may_probe(12.0)  # 7 + 5


def test_one_probe_at_a_time() -> None:
    circuit = after("-" * 10).probing(5.0)
    assert circuit.phase is Phase.HALF_OPEN
    assert not circuit.may_probe(64.9)
    with pytest.raises(ValueError, match="no probe"):
        circuit.probing(6.0)
    assert circuit.may_probe(65.0)  # a probe without an answer is given up: 5 + 60
    assert circuit.probing(65.0).phase is Phase.HALF_OPEN


def test_failed_probes_wait_twice_as_long_up_to_a_bound() -> None:
    circuit, now_s, waits = after("-" * 10), 0.0, []
    for _ in range(5):
        waits.append(circuit.probe_at_s - now_s)
        now_s = circuit.probe_at_s
        circuit = circuit.probing(now_s).probed(now_s, "503")
    assert waits == [5, 10, 20, 30, 30]


def test_closing_ramps_up() -> None:
    circuit = after("-" * 10).probing(5.0).probed(6.0, None)
    assert circuit.phase is Phase.CLOSED
    assert circuit.reason is None
    # 0.1 of 64 = 6.4; halfway 0.55 x 64 = 35.2
    assert [circuit.admits(6.0 + elapsed, 64) for elapsed in (0, 5, 10, 99)] == [6, 35, 64, 64]
    assert circuit.admits(6.0, 1) == 1  # never nothing
    assert Circuit(policy=POLICY).admits(0.0, 64) == 64  # a fresh one does not ramp


def test_closing_forgets_the_failures_before() -> None:
    circuit = after("-" * 10).probing(5.0).probed(6.0, None)
    for _ in range(9):
        circuit = circuit.failed(7.0, "503")
    assert circuit.phase is Phase.CLOSED
    assert circuit.failed(7.0, "503").phase is Phase.OPEN


def test_late_answers_of_before_do_not_move_an_open_circuit() -> None:
    for circuit in (after("-" * 10), after("-" * 10).probing(5.0)):
        assert circuit.succeeded(6.0) is circuit
        assert circuit.failed(6.0, "503") is circuit
    assert after("").probed(0.0, None).phase is Phase.CLOSED


def test_a_closed_endpoint_is_not_probed_until_someone_resets_it() -> None:
    circuit = after("").stopped("410")
    assert not circuit.may_probe(1e12)
    again = circuit.reset(50.0)
    assert again.may_probe(50.0)
    assert again.reason == "410"
    assert again.probing(50.0).probed(51.0, "503").probe_at_s == 56.0  # 51 + 5: the waits begin anew
    closed = after("")
    assert closed.reset(0.0) is closed


@given(st.lists(st.tuples(st.sampled_from("+-cxp"), st.floats(0, 40)), max_size=80))
def test_never_more_than_the_limit_and_always_a_way_back(steps: list[tuple[str, float]]) -> None:
    circuit, now_s = Circuit(policy=POLICY), 0.0
    for step, elapsed_s in steps:
        now_s += elapsed_s
        match step:
            case "+":
                circuit = circuit.succeeded(now_s)
            case "-":
                circuit = circuit.failed(now_s, "503")
            case "c":
                circuit = circuit.misconfigured(now_s, "404")
            case _ if circuit.may_probe(now_s):
                circuit = circuit.probing(now_s).probed(now_s, None if step == "p" else "503")
            case _:
                pass
        admitted = circuit.admits(now_s, 64)
        assert 0 <= admitted <= 64
        assert (admitted > 0) == (circuit.phase is Phase.CLOSED)
        assert circuit.phase is Phase.CLOSED or circuit.may_probe(now_s + 60.0)
