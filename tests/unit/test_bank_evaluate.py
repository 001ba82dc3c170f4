"""Signals against the truth, by hand."""

from typing import Any

from deploy.bank.evaluate import evaluate

TRUTH: dict[str, Any] = {
    "from": "2025-01-01", "until": "2025-08-31",
    "leavers": [  # the window of the last is not over
        {"customer_number": "C1", "silent_on": "2025-04-01", "fades_on": "2025-03-20"},
        {"customer_number": "C2", "silent_on": "2025-05-01", "fades_on": "2025-04-20"},
        {"customer_number": "C3", "silent_on": "2025-08-01", "fades_on": "2025-07-20"},
    ],
    "outflows": [{"customer_number": "C4", "on": "2025-04-10"}],
    "distress": [
        {"customer_number": "C5", "from_on": "2025-03-15"},  # never overdrawn
        {"customer_number": "C6", "from_on": "2025-03-15", "overdrawn_on": "2025-06-01"},
    ],
    "managers": {"C1": "RM-1", "C4": "RM-1", "C9": "RM-1"},
}  # fmt: skip


def signal(customer: str, rule: str, at: str, kind: str = "raised") -> dict[str, str]:
    return {"customer_number": customer, "rule": rule, "at": at, "kind": kind}


def judged(*signals: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {one.rule: one.document() for one in evaluate(TRUTH, signals)}


def test_a_signal_within_the_window_is_right_one_before_the_fact_is_wrong() -> None:
    found = judged(
        signal("C1", "silence", "2025-04-21"),
        signal("C1", "silence", "2025-05-21"),  # a repeat is neither right nor wrong
        signal("C2", "silence", "2025-04-30"),
        signal("C9", "silence", "2025-05-05T00:00:00Z"),
        signal("C1", "silence", "2025-04-25", kind="cleared"),
    )["silence"]
    assert (found["precision"], found["recall"]) == (1 / 3, 1 / 2)
    assert (found["repeats"], found["delay_days_median"]) == (1, 20)
    assert found["lead_days_median"] == 70


def test_signals_of_the_warm_up_are_not_judged() -> None:
    assert judged(signal("C9", "silence", "2025-02-01"))["silence"]["precision"] is None


def test_an_outflow_signal_on_a_customer_in_distress_is_right() -> None:
    found = judged(
        signal("C4", "outflow", "2025-04-10"), signal("C5", "outflow", "2025-05-20"),
        signal("C9", "outflow", "2025-04-10"),
    )["outflow"]  # fmt: skip
    assert (found["precision"], found["recall"]) == (2 / 3, 1.0)
    assert found["per_manager_day_max"] == 2


def test_a_rule_of_a_model_is_right_ahead_of_its_fact_and_leads_it() -> None:
    found = judged(
        signal("C1", "collapse", "2025-03-22"),  # ten days before
        signal("C2", "collapse", "2025-05-21"),  # twenty after: he will not come back
        signal("C9", "collapse", "2025-04-01"),
        signal("C6", "distress", "2025-05-02"),
        signal("C6", "distress", "2025-06-02"),  # he is overdrawn: nothing is ahead
        signal("C5", "distress", "2025-04-02"),
        signal("C4", "outflow_ahead", "2025-03-31"),
        signal("C2", "use_falls", "2025-04-19"),
        signal("C2", "use_falls", "2025-06-19"),
    )
    assert (found["collapse"]["precision"], found["collapse"]["recall"]) == (2 / 3, 1.0)
    assert found["collapse"]["lead_days_median"] == (10 - 20) / 2
    assert (found["distress"]["precision"], found["distress"]["recall"]) == (1 / 3, 1.0)
    assert found["distress"]["lead_days_median"] == 30
    assert found["outflow_ahead"]["lead_days_median"] == 10
    assert (found["use_falls"]["precision"], found["use_falls"]["delay_days_median"]) == (0.5, 60)
