"""The bank as the story needs it: who is a customer of whom, and what happens to them."""

import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from datetime import UTC, datetime
from functools import cache

import httpx
import yaml

from deploy.local.system import ORGANISATION, System


def history(system: System) -> list[dict]:
    with (system.folder / "history.jsonl").open() as lines:
        return [json.loads(line) for line in lines]


def rich_customer_of(system: System, *manager_codes: str) -> tuple[str, str, int]:
    """A customer of these managers with one account and money on it: number, account, balance."""
    owners: dict[str, str] = {}
    accounts = defaultdict(list)
    balances: dict[str, int] = defaultdict(int)
    for event in history(system):
        data = event["data"]
        if event["type"] == "bank.manager_assigned.v1" and not data.get("account_number"):
            owners[data["customer_number"]] = data["manager_code"]
        elif event["type"] == "bank.account_opened.v1":
            accounts[data["customer_number"]].append(data["account_number"])
        elif event["type"] == "bank.transaction_booked.v1":
            balances[data["account_number"]] += data["amount_minor"]
    found = [
        (balances[accounts[c][0]], c, accounts[c][0])
        for c, code in owners.items()
        if code in manager_codes and len(accounts[c]) == 1
    ]
    balance, customer, account = max(found)
    return customer, account, balance


def names(system: System) -> re.Pattern[str]:
    """Names of customers and staff: data, the same in each language."""
    staff = yaml.safe_load(ORGANISATION.read_text())["staff"]
    told = {event["data"].get("name") for event in history(system)} - {None}
    told |= {one["name"] for one in staff}
    return re.compile("|".join(map(re.escape, sorted(told, key=len, reverse=True))))


@cache  # it is good for hours, and the command costs half a second of CPU
def token(system: System) -> str:
    """A bank system's token from the running issuer, as `make token` prints it."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local.issuer", "token"],
        env={**os.environ, **system.environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return done.stdout.strip()


def send(system: System, *events: dict) -> None:
    """Over HTTP, through the gateway, as a system without Kafka does; 202 means durable."""
    answer = httpx.post(
        f"{system.url}/customer/bank-events", json=list(events), timeout=60,
        headers={
            "Authorization": f"Bearer {token(system)}",
            "content-type": "application/cloudevents-batch+json",
        },
    )  # fmt: skip
    assert answer.status_code == 202, answer.text


def product_of(system: System, account: str) -> str:
    """Of the account as it was opened: by another product it would be another account."""
    return next(
        str(event["data"]["product_code"])
        for event in history(system)
        if event["type"] == "bank.account_opened.v1"
        and event["data"]["account_number"] == account
    )


def outgoing(system: System, number: str, account: str, amount_minor: int, event_id: str) -> dict:
    """A customer takes this amount (positive) away, at the bank's hour."""
    now = system.time.now()
    day = now.astimezone(system.zone).date().isoformat()
    return {
        "specversion": "1.0", "id": event_id, "source": "branch-app",
        "type": "bank.transaction_booked.v1", "subject": number,
        "time": now.astimezone(UTC).isoformat(), "datacontenttype": "application/json",
        "businessdate": day,
        "data": {
            "transaction_id": event_id, "account_number": account, "customer_number": number,
            "product_code": product_of(system, account), "amount_minor": -amount_minor,
            "currency": "CNY", "kind": "transfer_out", "initiated_by": "customer",
            "channel_code": "mobile", "branch_code": "SH01", "booked_on": day,
        },
    }  # fmt: skip


def pay(system: System, reference: str, amount: str, customer: str) -> str:
    """The bank books an incoming payment with the order's reference."""
    done = subprocess.run(
        [sys.executable, "-m", "deploy.bank", "pay", "--reference", reference,
         "--amount", amount, "--customer", customer],
        env={**os.environ, **system.environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def stamp() -> str:
    return datetime.now(UTC).strftime("%H%M%S%f")
