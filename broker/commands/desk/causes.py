"""Why a message lies on the 办不成事 desk, in plain words of two languages, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One cause: what happened, and what mends it."""

    en: str
    zh: str
    mend_en: str
    mend_zh: str


_CAUSES: Final = {
    "schedule-used-up": Cause(
        en="The partner could not be reached for the whole retry schedule.",
        zh="在整个重试期限内都未能送达对方系统。",
        mend_en="Ask the partner whether its system is back, then retry the lane: tongban desk retry … --lane.",
        mend_zh="请先与对方核实系统是否恢复，再按顺序整队重投：tongban desk retry … --lane。",
    ),
    "behind-a-dossier": Cause(
        en="An earlier message of the same case to this partner lies on the desk; this one keeps its place behind it.",
        zh="同一办件中更早的一份报文尚在办不成事窗口，本报文按顺序排在其后。",
        mend_en="Settle the earlier one first, or retry the whole lane in order: tongban desk retry … --lane.",
        mend_zh="请先处理更早的报文，或按顺序整队重投：tongban desk retry … --lane。",
    ),
    "expired": Cause(
        en="Its expiry time, set by the sender, passed before it could be delivered.",
        zh="发送方设定的有效期已过，报文仍未送达。",
        mend_en="A retry would find it expired again. Return it, so that the sender can say it anew.",
        mend_zh="重投仍会过期。请退回发送方，由其重新发送。",
    ),
    "record-unreadable": Cause(
        en="What is stored of it does not read: its compartment or its schema.",
        zh="所存报文无法解读（密封部分或模式有误）。",
        mend_en="Check the keys and schemas (tongban schema list), then retry; else return it.",
        mend_zh="请检查密钥与模式（tongban schema list）后重投；否则退回发送方。",
    ),
    "message-id-reused": Cause(
        en="The partner knows this message id with other content.",
        zh="对方系统中已有相同编号而内容不同的报文。",
        mend_en="Settle with both sides which content holds; then skip or return it. A retry changes nothing.",
        mend_zh="请与双方核实以何内容为准，再跳过或退回；重投无效。",
    ),
    "413": Cause(
        en="The partner says that it is too large.",
        zh="对方认为报文过大。",
        mend_en="Ask the partner to raise its limit, then retry; else return it.",
        mend_zh="请对方放宽大小限制后重投；否则退回发送方。",
    ),
    "415": Cause(
        en="The partner does not take this content type.",
        zh="对方不接受该内容类型。",
        mend_en="Check the partner's connector and mapping in the directory, then retry.",
        mend_zh="请检查目录中该伙伴的连接器与映射，然后重投。",
    ),
}

_BY_OUTCOME: Final = {
    "expired": _CAUSES["expired"],
    "undeliverable": Cause(
        en="It could not be delivered; the detail says why.",
        zh="未能送达，原因见详情。",
        mend_en="Mend what the detail names, then retry; else return it.",
        mend_zh="请按详情排除原因后重投；否则退回发送方。",
    ),
    "rejected": Cause(
        en="The partner refused it; its own code and words are below.",
        zh="对方系统拒收，其代码与说明见下。",
        mend_en="If the partner has mended its side, retry; if the message is wrong, return it to its sender.",
        mend_zh="如对方已修复，请重投；如报文有误，请退回发送方更正。",
    ),
}


def explain(cause: str, outcome: str | None) -> Cause:
    """A dossier's cause in words; a partner's own code is told by how the delivery ended."""
    return _CAUSES.get(cause) or _BY_OUTCOME.get(outcome or "", _BY_OUTCOME["rejected"])
