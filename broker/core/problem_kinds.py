"""Kinds of refusal: what is wrong with a request itself; ``case_problem_kinds.py`` has those of cases.

Source: contract, "Partner API"; sedex's codes are named where they have a counterpart.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemKind:
    """One kind of refusal. ``status`` is the HTTP status; ``mend`` tells the caller what to do next."""

    code: str
    status: int
    title: str
    title_zh: str
    mend: str
    mend_zh: str


READING: Final = (
    ProblemKind(
        code="json-invalid",
        status=400,
        title="The body is not acceptable JSON",
        title_zh="请求体不是可接受的 JSON",
        mend="Send UTF-8 JSON without duplicate keys, NaN, lone surrogates, numbers beyond 64 bits or nesting beyond 64 levels.",
        mend_zh="请发送 UTF-8 JSON：无重复键、无 NaN、无孤立代理项、整数不超过 64 位、嵌套不超过 64 层。",
    ),
    ProblemKind(
        code="event-invalid",
        status=400,
        title="The event lacks or misstates an attribute",
        title_zh="事件属性缺失或不合规",
        mend="Correct the attributes named in errors[].",
        mend_zh="请按 errors[] 所列逐项更正。",
    ),
    ProblemKind(
        code="header-invalid",
        status=400,
        title="A request header is missing or malformed",
        title_zh="请求头缺失或格式错误",
        mend="Correct the header named in errors[].",
        mend_zh="请更正 errors[] 中的请求头。",
    ),
    ProblemKind(
        code="parameter-invalid",
        status=400,
        title="A path or query parameter is malformed",
        title_zh="路径或查询参数错误",
        mend="Correct the parameter named in errors[].",
        mend_zh="请更正 errors[] 中的参数。",
    ),
    ProblemKind(
        code="schema-invalid",
        status=422,
        title="The data does not fit its Avro schema",
        title_zh="数据不符合其 Avro 模式",
        mend="Encode the data with the schema named in dataschema; GET /schemas/ids/{id} serves it.",
        mend_zh="请用 dataschema 所指模式编码；GET /schemas/ids/{id} 可取得该模式。",
    ),
    ProblemKind(
        code="schema-unknown",
        status=422,
        title="The schema is not registered here",
        title_zh="模式未登记",
        mend="Use a schema listed under GET /subjects.",
        mend_zh="请使用 GET /subjects 所列模式。",
    ),
    ProblemKind(
        code="type-unknown",
        status=422,
        title="The message type does not exist",
        title_zh="报文类型不存在",
        mend="Use a type of the contract's table.",
        mend_zh="请使用约定表中的报文类型。",
    ),
)
"""What was sent does not read."""

ASKING: Final = (
    ProblemKind(
        code="caller-unknown",
        status=401,
        title="The caller is not known",
        title_zh="调用方未识别",
        mend="Send tongban-partner and a token, signature or client certificate from the directory.",
        mend_zh="请携带 tongban-partner 以及名录中登记的令牌、签名或客户端证书。",
    ),
    ProblemKind(
        code="signature-invalid",
        status=401,
        title="The signature does not hold",
        title_zh="签名无效",
        mend="Sign webhook-id.webhook-timestamp.body with a key in force; the clock may differ by 5 minutes.",
        mend_zh="请以有效密钥对 webhook-id.webhook-timestamp.body 签名；时钟误差不得超过 5 分钟。",
    ),
    ProblemKind(
        code="not-allowed",
        status=403,
        title="The caller may not do this",
        title_zh="无权进行此操作",
        mend="Speak for your own partner id only.",
        mend_zh="只能以本方身份发言。",
    ),
    ProblemKind(
        code="not-found",
        status=404,
        title="There is nothing here for this caller",
        title_zh="未找到",
        mend="Check the address; what belongs to others looks the same as what does not exist.",
        mend_zh="请核对地址；属于他方的与不存在的不作区分。",
    ),
    ProblemKind(
        code="method-not-allowed",
        status=405,
        title="The method is not allowed here",
        title_zh="不支持的方法",
        mend="See the Allow header.",
        mend_zh="参见 Allow 响应头。",
    ),
    ProblemKind(
        code="request-timeout",
        status=408,
        title="The request did not arrive in time",
        title_zh="请求超时",
        mend="Send headers within 10 s and the body within 30 s.",
        mend_zh="请在 10 秒内发完请求头、30 秒内发完请求体。",
    ),
    ProblemKind(
        code="too-large",
        status=413,
        title="Too large",
        title_zh="超出大小上限",
        mend="A message has at most 1 MiB, a batch at most 1,000 messages and 8 MiB; send documents as materials.",
        mend_zh="单条不超过 1 MiB，批量不超过 1000 条且 8 MiB；文件请走材料接口。",
    ),
    ProblemKind(
        code="media-type-unsupported",
        status=415,
        title="The media type is not supported",
        title_zh="媒体类型不支持",
        mend="Send application/cloudevents+json or application/cloudevents-batch+json, plain or gzip.",
        mend_zh="请发送 application/cloudevents+json 或 application/cloudevents-batch+json（可 gzip）。",
    ),
    ProblemKind(
        code="too-many-requests",
        status=429,
        title="Too many requests",
        title_zh="请求过于频繁",
        mend="Wait for Retry-After seconds.",
        mend_zh="请等待 Retry-After 秒。",
    ),
    ProblemKind(
        code="lease-unknown",
        status=409,
        title="The message is not leased to this caller",
        title_zh="该报文不在租约内",
        mend="Pull the mailbox again and acknowledge what it returns.",
        mend_zh="请重新拉取信箱并确认所得报文。",
    ),
    ProblemKind(
        code="dossier-unknown",
        status=404,
        title="The message has no dossier on the desk",
        title_zh="该报文不在办不成事窗口",
        mend="tongban desk list names the dossiers; name the message as SOURCE/ID.",
        mend_zh="tongban desk list 列出全部卷宗；报文写作 SOURCE/ID。",
    ),
    ProblemKind(
        code="dossier-not-open",
        status=409,
        title="The dossier is not open any more",
        title_zh="卷宗已不在待办状态",
        mend="See status in this problem: somebody has decided already, or it is under way again.",
        mend_zh="参见本错误的 status：已有人处置，或正在重投。",
    ),
    ProblemKind(
        code="desk-order",
        status=409,
        title="An earlier message of the case is still on the desk",
        title_zh="同一办件尚有在先报文未处置",
        mend="Retry, return or skip the message named in first, then this one.",
        mend_zh="请先重投、退回或跳过 first 所指报文，再处置本报文。",
    ),
    ProblemKind(
        code="original-missing",
        status=409,
        title="The ledger does not show the message that is to be redriven",
        title_zh="总账上读不到待重投的原报文",
        mend="Return or skip it; the sender can say it again under a new id.",
        mend_zh="请退回或跳过；发送方可用新报文号重新发送。",
    ),
    ProblemKind(
        code="not-durable",
        status=503,
        title="The message could not be made durable",
        title_zh="报文未能持久化",
        mend="Send it again, unchanged, after Retry-After seconds: nothing was promised.",
        mend_zh="请在 Retry-After 秒后原样重发：本次未作任何承诺。",
    ),
    ProblemKind(
        code="unavailable",
        status=503,
        title="A part of the broker is away",
        title_zh="服务暂不可用",
        mend="Try again after Retry-After seconds.",
        mend_zh="请在 Retry-After 秒后重试。",
    ),
    ProblemKind(
        code="internal",
        status=500,
        title="A fault of the broker",
        title_zh="内部错误",
        mend="Send it again later; operations have been told.",
        mend_zh="请稍后重试；运维已获告警。",
    ),
)
"""The caller, the way of asking, what is asked for, or this service."""
