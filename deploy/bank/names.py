"""Names of people and firms: common surnames by their real share, given names by sex."""

from random import Random


def _words(text: str) -> list[str]:
    return text.split()


_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩邓冯曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢"
    "姚沈钟姜崔谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱侯江尹薛闫雷龙黎史陶贺毛段郝顾龚邵万覃武钱戴严莫孔向汤"
)
_DOUBLE_SURNAMES = ("欧阳", "上官", "司马", "诸葛", "司徒", "夏侯", "皇甫", "尉迟")
_MALE = _words(
    """
    伟 强 磊 军 勇 杰 涛 超 明 刚 平 辉 鹏 华 飞 鑫 波 斌 宇 浩 凯 健 俊 帆 旭 宁 龙 林 阳 建华
    建国 建军 志强 志伟 海涛 海波 文杰 文博 俊杰 俊峰 浩然 浩宇 宇轩 子轩 子涵 明轩 天佑 嘉豪
    晓东 晓明 永强 国强 立新 学文 泽宇 博文 思远 振华 世杰 家豪 卫东 景行 承志 书恒 亦凡 锦程
    弘毅 致远
    """
)
_FEMALE = _words(
    """
    芳 娜 敏 静 丽 艳 娟 霞 燕 玲 婷 雪 倩 颖 琳 洁 梅 莉 丹 萍 红 玉 蕾 薇 璐 欣 悦 佳 秀英
    桂英 秀兰 桂兰 淑珍 玉兰 晓燕 晓红 丽娟 丽华 雅婷 雨婷 思琪 梦瑶 欣怡 梓涵 诗涵 语嫣 若曦
    佳怡 静怡 雅琴 美玲 春梅 海燕 慧敏 婉清 书瑶 可欣 一诺 沐瑶 舒雅 清妍 知微 念慈
    """
)
_FIRM_MARKS = _words(
    """
    华信 中和 恒通 鼎盛 瑞丰 天成 宏远 金桥 东方 新锐 博雅 海纳 嘉禾 万象 云帆 同济 启明 长风
    德润 正泰 安达 凯歌 星辰 国泰 兴业源 众诚 融创达 联合众 百川 卓越 汇智 锦绣 青松 盛世 远航
    优品 蓝海 九州 融信 智联
    """
)
INDUSTRIES = (  # GB/T 4754-2017 division, words for the name, how common
    ("C39", "电子科技", 14),
    ("C34", "精密机械制造", 10),
    ("C17", "纺织", 7),
    ("C26", "新材料", 6),
    ("E48", "建设工程", 9),
    ("F51", "商贸", 16),
    ("F52", "百货零售", 9),
    ("G54", "物流", 8),
    ("H62", "餐饮管理", 6),
    ("I65", "软件技术", 10),
    ("L72", "企业管理咨询", 7),
    ("A01", "生态农业", 4),
    ("Q84", "医疗器械", 4),
)
_STREETS = _words(
    """
    人民路 中山路 解放路 建设路 和平路 新华路 文化路 学院路 科技路 滨江大道 迎宾路 长江路 黄河路
    北京路 南京路 延安路 青年路 光明路 振兴路 朝阳街 平安里 幸福巷 桂花苑 翠竹园
    """
)


def person_name(rng: Random, sex: str) -> str:
    return surname(rng) + rng.choice(_MALE if sex == "male" else _FEMALE)


def surname(rng: Random) -> str:
    if rng.random() < 0.006:
        return rng.choice(_DOUBLE_SURNAMES)
    # The list is ordered by share; squaring the draw gives the head its weight.
    return _SURNAMES[int(len(_SURNAMES) * rng.random() ** 2.2)]


def industry(rng: Random) -> tuple[str, str]:
    """Industry code and the words that a firm of it carries in its name."""
    code, words, _ = rng.choices(INDUSTRIES, weights=[share for _, _, share in INDUSTRIES])[0]
    return code, words


def firm_name(rng: Random, city: str, words: str) -> str:
    mark = rng.choice(_FIRM_MARKS)
    if rng.random() < 0.55:
        mark += rng.choice("恒源达瑞丰泰和盛佳信利安康宇杰")
    form = "股份有限公司" if rng.random() < 0.08 else "有限公司"
    return f"{city}{mark}{words}{form}"


def group_name(rng: Random, city: str) -> str:
    return f"{city}{rng.choice(_FIRM_MARKS)}{rng.choice('恒源达瑞丰泰和盛')}控股集团"


def address_line(rng: Random, city: str, district: str) -> str:
    street = f"{city}市{district}{rng.choice(_STREETS)}{rng.randrange(1, 999)}号"
    return street + f"{rng.randrange(1, 30)}幢{rng.randrange(101, 2800)}室"
