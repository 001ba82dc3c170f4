"""Codes of scoring in the reader's words: msgids, translated where they are shown."""

from shared.web.translations import N_

RULES = {
    "silence": N_("Silence"),
    "outflow": N_("Outflow of funds"),
    "no_purchase": N_("No purchase expected"),
    "collapse": N_("Collapse of activity ahead"),
    "outflow_ahead": N_("Outflow ahead"),
    "distress": N_("First distress ahead"),
    "use_falls": N_("Use falls"),
}
METHODS = {
    "linear": N_("Linear score"),
    "decayed_rate": N_("Decayed rate"),
    "bg_nbd": "BG/NBD",
    "mbg_nbd": "MBG/NBD",
}
KINDS = {
    "cash_in": N_("Cash deposit"),
    "cash_out": N_("Cash withdrawal"),
    "card": N_("Card payment"),
    "transfer_in": N_("Transfer in"),
    "transfer_out": N_("Transfer out"),
    "interest_paid": N_("Interest credited"),
    "interest_received": N_("Interest charged"),
    "fee": N_("Fee"),
    "loan_instalment": N_("Loan instalment"),
}
TYPES = {  # of the bank's events that are no transactions
    "bank.day_closed.v1": N_("Day closed"),
    "bank.account_opened.v1": N_("Account opened"),
    "bank.account_closed.v1": N_("Account closed"),
    "bank.contact_recorded.v1": N_("Contact"),
    "bank.credit_answer_received.v1": N_("Credit answer"),
}
PIECES = {
    "silent_days": N_("Days without a transaction"),
    "usual_gap": N_("Usual gap"),
    "beyond_usual": N_("Beyond the usual"),
    "mean_minor": N_("Usual balance"),
    "left": N_("Still here"),
    "gone": N_("Gone"),
    "at_stake": N_("At stake"),
    "at_risk": N_("At risk"),
    "expected_to_stay": N_("Expected to stay"),
    "score": N_("Score of the model"),
    "base": N_("Where all customers begin"),
    "purchases": N_("Number of purchases"),
    "silence": N_("Days without activity"),
    "amounts": N_("Amounts of purchases"),
    "gaps": N_("Usual gaps"),
    "tenure": N_("Time with the bank"),
    "actions": N_("What the customer does himself"),
    "cash": N_("Cash and card use"),
    "money_in": N_("Money that comes in"),
    "money_out": N_("Money that goes out"),
    "transfers_in": N_("Transfers that come in"),
    "trouble": N_("Overdrafts and penalty interest"),
    "balance": N_("Balance"),
    "season": N_("Season"),
    "lost": N_("Has left already"),
    "waits": N_("Is here but will not buy"),
}
COMPONENTS = {
    "ftp": N_("Interest margin"),
    "interest_paid": N_("Interest credited"),
    "interest_recv": N_("Interest charged"),
    "fee": N_("Fees"),
    "abc_txn": N_("Cost of transactions"),
    "abc_maint": N_("Cost of keeping accounts"),
    "contact": N_("Cost of contacts"),
    "el": N_("Expected loss"),
    "capital": N_("Cost of capital"),
    "variance": N_("Cost beyond the rates"),
    "overhead": N_("Overhead"),
    "tax": N_("Tax"),
}
DRIVERS = KINDS | {  # what the pools of actual costs are spread by
    "account_day": N_("Days of open accounts"),
    "account": N_("Open accounts"),
    "transaction": N_("Number of transactions"),
    "turnover": N_("Turnover"),
    "contact": N_("Number of contacts"),
}
NO_DRIVER = N_("No driver")
OPEN = N_("Not posted yet")
NOWHERE = {  # a leaf that has no code in a dimension
    "manager": N_("Nobody"),
    "manager_now": N_("Nobody"),
    "supervisor": N_("Nobody"),
    "branch": N_("No branch"),
    "channel": N_("No channel"),
    "branch_now": N_("No branch"),
    "region": N_("No region"),
    "line": N_("No line"),
    "product": N_("No product"),
    "bank": N_("Whole bank"),
}
CHANNELS = {  # by which accounts are opened
    "branch": N_("Branch"),
    "mobile": N_("Mobile bank"),
    "online": N_("Online bank"),
    "phone": N_("Phone"),
}
LINES = {
    "asset": N_("Assets"),
    "liability": N_("Liabilities"),
    "fee": N_("Fee business"),
}
WAYS = {  # of adding up the contribution
    "component": N_("Component"),
    "product": N_("Product"),
    "line": N_("Line"),
    "region": N_("Region"),
    "branch": N_("Branch"),
    "manager": N_("Manager"),
    "supervisor": N_("Supervisor"),
    "channel": N_("Channel"),
    "month": N_("Month"),
    "manager_now": N_("Manager today"),
    "branch_now": N_("Branch today"),
}
PLANNED = {  # whose plans there are
    "branch": N_("Branch"),
    "supervisor": N_("Supervisor"),
    "manager": N_("Manager"),
    "line": N_("Line"),
    "bank": N_("Whole bank"),
}
OUTCOMES = {
    "kept": N_("Kept"),
    "recovering": N_("Recovering"),
    "lost": N_("Lost"),
    "false_alarm": N_("False alarm"),
}
LEVELS = {"kept": "green", "recovering": "blue", "lost": "red", "false_alarm": "yellow"}
SECTIONS = {  # of the month's report, by what a line is
    "component": N_("Component"),
    "product": N_("Product"),
    "sum": N_("Sum"),
    "supervisor": N_("Supervisor"),
}
LINES_OF_ALERTS = {  # of a model of risk
    "raise_ppm": N_("begins at, in percent"),
    "clear_ppm": N_("ends below, in percent"),
    "model": N_("Model of risk"),
}
