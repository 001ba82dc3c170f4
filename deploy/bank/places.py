"""Branches with their districts, the products, and the rates they are measured with."""

from dataclasses import dataclass
from datetime import date

from shared.events.bank import (
    BranchDescribed,
    DistrictDescribed,
    ProductDescribed,
    RateSet,
    SourceDescribed,
)
from shared.events.fact import Fact

CURRENCY = "CNY"
SOURCE = "core-banking"

CURRENT_PERSON, CURRENT_FIRM = "CA-P", "CA-F"
TERM_PERSON, TERM_FIRM = "TD-P", "TD-F"
LOAN_HOME, LOAN_CONSUMER, LOAN_WORKING = "LN-H", "LN-C", "LN-W"
DEBIT_CARD, MOBILE_BANK = "DC", "MB"
WALLET = "WL-P"

CUSTOMERS_PER_BRANCH, MANAGERS_PER_BRANCH, BRANCHES_MAX = 200, 5, 60
MANAGER_WEIGHTS = (10, 10, 10, 10, 2)  # the fifth code is a vacant post with few customers left


@dataclass(frozen=True, slots=True)
class City:
    """One city with the district its first branch lies in (GB/T 2260 codes)."""

    code: str
    name: str
    name_en: str
    district_code: str
    district: str
    district_en: str
    branch: str
    branch_en: str
    region_code: str


CITIES = (
    City("SH", "上海", "Shanghai", "310115", "浦东新区", "Pudong", "陆家嘴", "Lujiazui", "east"),
    City("BJ", "北京", "Beijing", "110108", "海淀区", "Haidian", "中关村", "Zhongguancun", "north"),
    City("SZ", "深圳", "Shenzhen", "440305", "南山区", "Nanshan", "科技园", "Keji Park", "south"),
    City("HZ", "杭州", "Hangzhou", "330106", "西湖区", "Xihu", "文三路", "Wensan Road", "east"),
    City("CD", "成都", "Chengdu", "510107", "武侯区", "Wuhou", "天府", "Tianfu", "southwest"),
    City("GZ", "广州", "Guangzhou", "440106", "天河区", "Tianhe", "珠江新城", "Zhujiang", "south"),
    City("NJ", "南京", "Nanjing", "320106", "鼓楼区", "Gulou", "湖南路", "Hunan Road", "east"),
    City("WH", "武汉", "Wuhan", "420111", "洪山区", "Hongshan", "光谷", "Optics Valley", "central"),
    City("XA", "西安", "Xi'an", "610113", "雁塔区", "Yanta", "小寨", "Xiaozhai", "northwest"),
    City("SU", "苏州", "Suzhou", "320508", "姑苏区", "Gusu", "观前街", "Guanqian", "east"),
)


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch and its relationship managers, `RM-<branch>-<n>`."""

    code: str
    city: City
    manager_codes: tuple[str, ...]


def branches_for(customers: int, at_most: int = BRANCHES_MAX) -> tuple[Branch, ...]:
    """As many branches as a bank of this size has; the first are the same at every size."""
    count = min(max(round(customers / CUSTOMERS_PER_BRANCH), 1), at_most)
    found = []
    for index in range(count):
        city = CITIES[index % len(CITIES)]
        code = f"{city.code}{index // len(CITIES) + 1:02d}"
        codes = tuple(f"RM-{code}-{n}" for n in range(1, MANAGERS_PER_BRANCH + 1))
        found.append(Branch(code, city, codes))
    return tuple(found)


def reference_facts(branches: tuple[Branch, ...], first_on: date) -> list[Fact]:
    """What must be known before the first event: source, products, rates, districts, branches."""
    facts: list[Fact] = [SourceDescribed(source=SOURCE, closes_days=True, active_from=first_on)]
    facts += _products()
    facts += _rates(first_on)
    cities = {branch.city.code: branch.city for branch in branches}
    facts += [
        DistrictDescribed(
            district_code=city.district_code,
            names={"zh-CN": city.name + city.district, "en": f"{city.district_en}, {city.name_en}"},
            region_code=city.region_code,
        )
        for city in cities.values()
    ]
    facts += [_branch(branch) for branch in branches]
    return facts


def branch_names(branch: Branch) -> dict[str, str]:
    city, nth = branch.city, int(branch.code[2:])
    suffix, suffix_en = ("", "") if nth == 1 else (f"第{nth}", f" {nth}")
    return {
        "zh-CN": f"{city.name}{city.branch}{suffix}支行",
        "en": f"{city.name_en} {city.branch_en}{suffix_en} Branch",
    }


def _branch(branch: Branch) -> BranchDescribed:
    return BranchDescribed(
        branch_code=branch.code,
        names=branch_names(branch),
        region_code=branch.city.region_code,
        district_code=branch.city.district_code,
    )


def _products() -> list[Fact]:
    rows = (
        (CURRENT_PERSON, "个人活期存款", "Personal current account", "liability", "demand"),
        (CURRENT_FIRM, "单位活期存款", "Corporate current account", "liability", "demand"),
        (TERM_PERSON, "个人定期存款", "Personal term deposit", "liability", "fixed"),
        (TERM_FIRM, "单位定期存款", "Corporate term deposit", "liability", "fixed"),
        (LOAN_HOME, "个人住房贷款", "Home loan", "asset", "fixed"),
        (LOAN_CONSUMER, "个人消费贷款", "Consumer loan", "asset", "fixed"),
        (LOAN_WORKING, "流动资金贷款", "Working capital loan", "asset", "fixed"),
        (DEBIT_CARD, "借记卡", "Debit card", "fee", None),
        (MOBILE_BANK, "手机银行", "Mobile banking", "fee", None),
        (WALLET, "个人零钱账户", "Personal wallet", "fee", "demand"),
    )
    return [
        ProductDescribed(
            product_code=code,
            names={"zh-CN": name, "en": name_en},
            line_code=line,  # type: ignore[arg-type]  # literals of the table above
            demand_or_fixed=term,  # type: ignore[arg-type]
            purchase_like=code == WALLET,
        )
        for code, name, name_en, line, term in rows
    ]


def _rates(first_on: date) -> list[Fact]:
    """Ppm per year; a cost driver's value is minor units for each use."""
    per_product = (
        ("transfer_price", {CURRENT_PERSON: 12_000, CURRENT_FIRM: 12_500, TERM_PERSON: 19_000,
                            TERM_FIRM: 18_500, LOAN_HOME: 21_000, LOAN_CONSUMER: 20_000,
                            LOAN_WORKING: 20_000, WALLET: 12_000}),
        ("customer_rate", {CURRENT_PERSON: 1_000, CURRENT_FIRM: 1_500, TERM_PERSON: 14_500,
                           TERM_FIRM: 14_000, LOAN_HOME: 33_000, LOAN_CONSUMER: 52_000,
                           LOAN_WORKING: 38_000, WALLET: 0}),
        ("pd", {LOAN_HOME: 6_000, LOAN_CONSUMER: 22_000, LOAN_WORKING: 18_000}),
        ("lgd", {LOAN_HOME: 200_000, LOAN_CONSUMER: 600_000, LOAN_WORKING: 450_000}),
    )  # fmt: skip
    facts: list[Fact] = [
        RateSet(kind=kind, product_code=product, from_on=first_on, value=value)  # type: ignore[arg-type]
        for kind, values in per_product
        for product, value in values.items()
    ]
    drivers = {"cash_in": 620, "cash_out": 580, "card": 35, "transfer_in": 12,
               "transfer_out": 45, "account_day": 6, "contact": 320, "contact/phone": 900,
               "contact/branch": 2_600, "contact/visit": 12_000}  # fmt: skip
    facts += [
        RateSet(
            kind="cost_driver", driver_code=code, from_on=first_on, value=value, currency=CURRENCY
        )
        for code, value in drivers.items()
    ]
    return facts
