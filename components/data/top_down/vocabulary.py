"""Closed lists of words by which facts are recognised, in English and Chinese."""


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


COLOURS_EN = frozenset(
    _words(
        "red orange yellow green blue purple pink brown black white grey gray golden silver violet turquoise beige "
        "crimson scarlet magenta cyan"
    )
)
COLOURS_ZH = {
    "red": "红色",
    "orange": "橙色",
    "yellow": "黄色",
    "green": "绿色",
    "blue": "蓝色",
    "purple": "紫色",
    "pink": "粉色",
    "brown": "棕色",
    "black": "黑色",
    "white": "白色",
    "grey": "灰色",
    "golden": "金色",
    "silver": "银色",
}
NUMBERS_EN = frozenset(
    _words(
        "one two three four five six seven eight nine ten eleven twelve twenty thirty hundred thousand first second "
        "third fourth fifth pair dozen half double triple several many"
    )
)
NUMBERS_ZH = _words("零 一 二 两 三 四 五 六 七 八 九 十 百 千 双 半 几 多")
NEGATIONS_EN = frozenset(_words("no not without never none non cannot don't doesn't isn't"))
NEGATIONS_ZH = _words("禁止 没有 不 无 非 勿 未 别 没 禁")
GENERAL_STYLES = (
    *("photorealistic", "photographic", "photo", "photograph", "watercolour", "watercolor", "oil painting", "anime"),
    *("manga", "cartoon", "pixel art", "line art", "sketch", "3d", "realistic", "vintage", "minimalist", "cyberpunk"),
    *_words("水彩 油画 动漫 卡通 像素 素描 写实 照片 复古 水墨"),
)
# Words of the request and not of the picture. A word of these lists states nothing, in metadata as in prompts.
FRAME_EN = frozenset(
    _words(
        "a an the of in on at to for with and or that is are be it its this there as from by into i i'd i'm me my we "
        "you your can could would will please need want like make made create draw drawn design produce give show "
        "showing shows have use using render generate let let's hi hello thanks image images picture pictures style "
        "styles subject theme themes related ideas mind keep around about say says saying read reads reading text "
        "words write written lettering letters letter ground background colour colours color colors composition main "
        "requested specification format exactly spelled should must do"
    )
)
FRAME_ZH = tuple(
    sorted(
        _words(
            "请 帮我 给我 我想要 我要 我需要 需要 能不能 可以 吗 吧 画 绘制 制作 生成 设计 一幅 一张 一个 "
            "图片 图像 图画 图 风格 主体 主题 相关 关于 围绕 体现 文字 文字内容 写着 写有 内容 底色 背景 颜色 "
            "为 是 的 要求 采用 使用 以 并 和 与 及 上面 上 其中 逐字 规格 构图 谢谢 来 它 带有 关键词"
        ),
        key=len,
        reverse=True,
    )
)
