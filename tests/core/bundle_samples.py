"""Two bundles for tests, as 衡阳 has them: a newborn's six items, and oversize transport along a route."""

from __future__ import annotations

from broker.core.bundle.bundles import BundleState, expand
from broker.core.catalogue.items import Bundle, BundlePart
from broker.core.ids import CaseId, PartnerId

PARENT = CaseId("430423/20260302-0001")
BORN = PartnerId("430400-weijian")
NAMES = {
    "chusheng-yixue-zhengming": "出生医学证明",
    "yufang-jiezhong-zheng": "预防接种证",
    "xinshenger-luohu": "新生儿落户登记",
    "jumin-yibao-canbao": "城乡居民医保参保登记",
    "yibao-jiaofei": "医保缴费",
    "shebaoka-shenling": "社保卡申领",
}


def part(name: str, item: str, authority: str, *after: str) -> BundlePart:
    return BundlePart(name=name, item=item, authority=PartnerId(f"430400-{authority}"), after=after)


NEWBORN = Bundle(
    code="xinshenger-yijianshi",
    name="新生儿出生一件事",
    lead=PartnerId("430400-weijian"),
    parts=(
        part("chusheng", "chusheng-yixue-zhengming", "weijian"),
        part("jiezhong", "yufang-jiezhong-zheng", "jikong", "chusheng"),
        part("luohu", "xinshenger-luohu", "gongan", "chusheng"),
        part("canbao", "jumin-yibao-canbao", "yibao", "luohu"),
        part("jiaofei", "yibao-jiaofei", "shuiwu", "canbao"),
        part("shebaoka", "shebaoka-shenling", "renshe", "luohu"),
    ),
)
TRANSPORT = Bundle(
    code="dajian-yunshu",
    name="大件运输一件事",
    lead=PartnerId("430400-jiaotong"),
    answer="lead",
    route_item="chaoxian-yunshu-xuke",
)
ROUTE = ("430400-jiaotong", "360300-jiaotong", "450300-jiaotong")


def state(bundle: Bundle = NEWBORN, route: tuple[str, ...] = ()) -> BundleState:
    made = expand(bundle, route, case=PARENT)
    assert isinstance(made, BundleState), made
    return made
