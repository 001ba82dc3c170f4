"""The bank's own codes in words: purposes, channels, topics, features, places, sizes, industries.

The codes of the simulated bank and of the data sets are all here, and a test holds them against
this table. A code of another bank that is not here is shown as that bank wrote it.
"""

from shared.web.translations import N_

PURPOSES = {
    "account_keeping": N_("Account keeping"),
    "brought_forward": N_("Brought forward"),
    "dining": N_("Dining"),
    "wallet": N_("Wallet filled up"),
    "early_withdrawal": N_("Term deposit broken"),
    "first_deposit": N_("First deposit"),
    "groceries": N_("Groceries"),
    "household": N_("Household bills"),
    "insurance": N_("Insurance"),
    "interest": N_("Interest"),
    "leasing": N_("Leasing"),
    "loan": N_("Loan"),
    "loan_payout": N_("Loan paid out"),
    "medical": N_("Medical"),
    "message_service": N_("Text message service"),
    "order_payment": N_("Payment of an order"),
    "penalty_interest": N_("Penalty interest"),
    "pension": N_("Pension"),
    "purchase": N_("Payment for goods"),
    "rent": N_("Rent"),
    "salary": N_("Salary"),
    "sales": N_("Proceeds of sales"),
    "shopping": N_("Shopping"),
    "social_insurance": N_("Social insurance"),
    "statement_fee": N_("Fee for statements"),
    "to_other_bank": N_("To another bank"),
    "transfer": N_("Transfer"),
    "transport": N_("Transport"),
    "travel": N_("Travel"),
    "utilities": N_("Utilities"),
    "wages": N_("Wages paid"),
}
CHANNELS = {
    "app_chat": N_("App chat"),
    "atm": N_("Cash machine"),
    "bank": N_("Booked by the bank"),
    "branch": N_("Branch"),
    "card": N_("Card"),
    "counter": N_("Counter"),
    "email": N_("E-mail"),
    "mobile": N_("Mobile bank"),
    "online": N_("Online bank"),
    "payroll": N_("Payroll"),
    "phone": N_("Phone"),
    "pos": N_("Card terminal"),
    "standing_order": N_("Standing order"),
    "transfer": N_("Transfer"),
    "visit": N_("Visit"),
    "wechat": N_("WeChat"),
}
TOPICS = {
    "app": N_("Mobile bank"),
    "balance_question": N_("Question on a balance"),
    "card": N_("Card"),
    "card_service": N_("Card service"),
    "data_change": N_("Change of personal data"),
    "fee": N_("Fee"),
    "loan": N_("Loan"),
    "loan_question": N_("Question on a loan"),
    "product_advice": N_("Advice on products"),
    "rate": N_("Interest rate"),
    "service": N_("Quality of service"),
    "transfer_failed": N_("Failed transfer"),
    "transfer_help": N_("Help with a transfer"),
    "waiting_time": N_("Waiting time"),
}
OUTCOMES = {
    "answered": N_("answered"),
    "apologised": N_("apologised"),
    "follow_up": N_("to be followed up"),
    "open": N_("open"),
    "refunded": N_("refunded"),
    "sold": N_("sold"),
}
DIRECTIONS = {"inbound": N_("from the customer"), "outbound": N_("from the bank")}
FEATURES = {
    "balance_view": N_("Looked at the balance"),
    "branch_search": N_("Looked for a branch"),
    "limit_change": N_("Changed a limit"),
    "login": N_("Signed in"),
    "rate_view": N_("Looked at rates"),
    "statement_view": N_("Looked at statements"),
    "wealth_browse": N_("Looked at wealth products"),
}
LOAN_STATES = {
    "ended_unpaid": N_("ended unpaid"),
    "in_debt": N_("in arrears"),
    "paid": N_("paid"),
    "repaid": N_("repaid"),
    "running": N_("running"),
}
SOURCES = {
    "berka": N_("Czech data set"),
    "core": N_("Core banking"),
    "core-banking": N_("Core banking"),
    "guanxi/customer": N_("Guanxi"),
}
REASONS = {"first_assignment": N_("first assignment")}
REGIONS = {
    "central": N_("Central China"),
    "east": N_("East China"),
    "north": N_("North China"),
    "northwest": N_("Northwest China"),
    "south": N_("South China"),
    "southwest": N_("Southwest China"),
}
SEGMENTS = {
    "corporate": N_("Corporate"),
    "group": N_("Group"),
    "retail": N_("Retail"),
    "small_business": N_("Small business"),
}
SIZES = {
    "large": N_("Large"),
    "medium": N_("Medium"),
    "micro": N_("Micro"),
    "small": N_("Small"),
}
INDUSTRIES = {  # GB/T 4754, the first three characters
    "A01": N_("Farming"),
    "C17": N_("Textiles"),
    "C26": N_("Chemical materials and products"),
    "C34": N_("General machinery"),
    "C39": N_("Electronics"),
    "E48": N_("Civil engineering"),
    "F51": N_("Wholesale trade"),
    "F52": N_("Retail trade"),
    "G54": N_("Road transport"),
    "H62": N_("Restaurants"),
    "I65": N_("Software and IT services"),
    "L72": N_("Business services"),
    "Q84": N_("Health care"),
}
