"""Flags text in tool results that reads like instructions to a model. A tripwire, not a wall.

Flags refuse nothing: an attacker can word around patterns. The protection is the tool list, the budget and the checks
in code; a flag lowers confidence and tells the reader why.
"""

import base64
import binascii
import re
import unicodedata

# Instructions are searched for in folded text: lower case, without accents, emphasis and invisible characters, blanks
# collapsed. Every repetition is bounded, so that time is linear in the length of the text. Beside each pattern stand
# words of which every match has one: looking for those takes a hundredth of the time, and most texts have none.
_WORDS = r"(?:[\w'-]{1,20} ){0,4}"
_BEFORE = r"(?:^|[.!?:;,)\]>\"“”„»|-] ?|\b(?:please|now|must|should|shall|will|and|then|also|you|just|first) )"
_DROP = r"(?:ignore|disregard|forget|override|bypass|do not follow|don't follow|stop following|do not obey)"
_ALL = r"(?:(?:all|any|of|the|these|those|your|my|our|and|every) ){0,4}"
_EARLIER = r"(?:previous|prior|above|earlier|preceding|foregoing|former|existing|original|initial|system|developer)"
_ORDERS = r"(?:instructions?|prompts?|directives?|system messages?)"
_RULES = r"(?:rules?|guidelines?|guidance|orders?|commands?|context|constraints?|messages?|text|content|training)"
_MODEL = r"(?:ai|llm|(?:large )?language model|chatbot)"
_VERBS = "ignore|disregard|forget|override|bypass|follow|obey"  # one of them is in every _DROP
_OVERRIDE = {
    rf"(?<!who )(?<!that )(?<!which )\b{_DROP} {_ALL}{_EARLIER} (?:[\w'-]{{1,20}} ){{0,2}}{_ORDERS}\b": _VERBS,
    rf"{_BEFORE}{_DROP} {_ALL}{_EARLIER} {_RULES}\b": _VERBS,
    rf"{_BEFORE}{_DROP} {_ALL}(?:{_ORDERS}|{_RULES}) (?:above|before this|so far|you (?:were|are|have been))\b": _VERBS,
    rf"{_BEFORE}{_DROP} your (?:[\w'-]{{1,20}} )?(?:{_ORDERS}|rules|guidelines|orders|training|programming)\b": _VERBS,
    rf"{_BEFORE}{_DROP} (?:everything|anything|all|what) (?:that )?(?:(?:is |was |stands )?(?:above|before this)|"
    r"(?:you|i) (?:were|have been|was|had been) (?:told|given|asked))\b": _VERBS,
    r"\byour (?:new|real|actual|true|only) (?:task|instructions?|objective|goal|role|mission|job) (?:is|are)\b": "your",
    r"^(?:#+ )?new instructions? ?:": "new instruction",
    r"\bfrom now on,? (?:respond|answer|reply|output|write|say|act|only (?:respond|answer|write|say))\b": "from now on",
    rf"(?<!if )\byou are (?:now )?(?:an? |the )?{_WORDS}(?:ai|assistant|chatbot|language model)\b": "you are ",
    r"\byou are now (?:in )?(?:[\w-]{1,20} )?(?:mode|dan|jailbroken|unrestricted)\b": "you are now ",
    r"\b(?:reveal|print|show|repeat|output|display|leak|dump) (?:me )?(?:all )?(?:of )?"
    r"(?:the|your) (?:(?:system|initial|hidden|original|developer|secret|full) ){0,2}(?:system )?prompts?\b": "prompt",
    rf"\bif you are (?:an? )?{_MODEL}\b": "if you are ",
    rf"\b(?:attention|notes?|messages?|instructions?|orders?|warning)(?: to| for)?,?(?: all| any| the)? {_MODEL}s?"
    r"(?: (?:assistants?|agents?|models?|systems?|readers?))?(?: ?[:!,]| reading| who| that)": (
        " ai| llm|language model| chatbot"
    ),
    r"(?:忽略|无视|忘记|不要理会).{0,10}(?:之前|以上|前面|先前|上述|此前).{0,8}(?:指令|指示|说明|提示|命令|规则)": (
        "忽略|无视|忘记|不要理会"
    ),
    r"(?:以前|これまで|上記|前)の?(?:すべての|全ての)?(?:指示|命令|プロンプト|ルール)(?:を|は)?.{0,4}(?:無視|忘れ)": (
        "無視|忘れ"
    ),
}
# The same in other languages: an imperative, then, a few words apart, the stems of two other words.
_ABROAD = (
    ("ignoriere?|ignorieren sie|missachten?|vergiss|vergesst|vergessen sie|verwirf",
     "bisherig|vorherig|vorig|fruher|obig|vorangegangen|vorstehend",
     "anweisung|instruktion|befehl|vorgabe|regel|prompt"),
    ("ignore[rz]?|oublie[rz]?|neglige[rz]?", "instruction|consigne|directive|ordre",
     "precedent|anterieur|ci-dessus|recu|initial"),
    ("ignora|ignore|ignorad|olvida|olvide|descarta|descarte", "instruccion|orden|indicacion|regla|directri",
     "anterior|previa|precedent|recibid|dadas"),
    ("ignora|ignorate|ignori|dimentica|dimenticate|trascura", "istruzion|ordin|indicazion|regol|direttiv",
     "precedent|anterior|ricevut|sopra"),
    ("ignore|ignora|ignorem|esqueca|esquecam|desconsidere", "instruco|orden|regra|indicaco|diretriz",
     "anterior|previa|acima|recebid"),
    ("negeer|vergeet", "vorige|eerdere|voorgaande|bovenstaande", "instructie|opdracht|aanwijzing|regel"),
    ("z?ignoruj(?:cie)?|zapomnij(?: o)?|pomin", "poprzedni|wczesniejsz|powyzsz", "instrukcj|polecen|wskazow"),
    ("(?:про)?игнорируй(?:те)?|забудь(?:те)?", "предыдущ|прежн|прошл|вышеуказанн", "инструкц|указани|команд|правил"),
)  # fmt: skip
_ROLE_MARKER = {
    r"<\|(?:im_start|im_end|im_sep|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id)\|>": "<",
    r"\[/?inst\]": "inst]",
    r"<</?sys>>|</?(?:system|assistant|system[-_]reminder|system[-_]prompt|tool_result|function_calls?)>": "<",
    r"^(?:#+ )?\[?(?:system|developer|assistant)(?: (?:prompt|message|instructions?))?\]? ?: ?(?:you|your|ignore|"
    r"disregard|forget|please|new|from now|do |call|always|never|the following|sure|ok|important)\b": (
        "system|developer|assistant"
    ),
    r"^(?:#+ )?\[?(?:system|developer) (?:prompt|message|instructions?)\]? ?:": "prompt|message|instruction",
    r"^(?:user|human) ?: ?[^\n]{0,400}\n(?:assistant|ai) ?:": "user|human",
    r"[\"']role[\"'] ?: ?[\"'](?:system|assistant|developer|tool)[\"']": "role",
    r"</?data-[0-9a-f]{8}\b": "data-",  # the delimiters of graphs/untrusted/spotlight.py
}
_NAME = r"[a-z][a-z0-9_]{1,40}"
_USE = rf"\b(?:call|use|run|invoke|execute|trigger|query)\b [^\n.]{{0,40}}\b{_NAME}"
_NO_NAME = r"(?!(?:an?|the|by|of|for|that|which|is|was|and|or|to|in|from|with|it)\b)"
_TOOL_ORDER = {
    r"\b(?:call|invoke) (?:the |this |your |an? )?(?:mcp )?(?:tool|function)s?(?: named| called)? ?[`'\"]?"
    rf"{_NO_NAME}[a-z_]": "tool|function",
    rf"{_USE}(?:__|\.){_NAME} ?\(": "(",
    rf"{_USE}__{_NAME}\b": "__",
    r"[\"'](?:tool|tool_name|function|name)[\"'] ?: ?[\"'][\w.-]{1,60}[\"'],? ?\n? ?"
    r"[\"'](?:arguments|parameters|args|input)[\"'] ?:": "arguments|parameters|args|input",
    r"\b(?:assign|delegate|hand (?:this |it )?over|hand (?:this |it )?off) [^\n.]{0,60}\bto the [\w-]{1,20} agent\b": (
        " agent"
    ),
}
_REPORT = r"(?:your|the final) (?:report|answer|response|reply|output|summary|findings?|gaps?)\b"
_PRIVATE = (
    r"(?:conversation|chat history|(?:system )?prompt|api keys?|credentials?|passwords?|secrets?|context|"
    r"everything you know|your (?:findings|answer|report)|the user's (?:data|question|messages?))\b"
)
_ADDRESS = r"\]\(https?://[^\s)]{0,300}"
_EXFILTRATION = {
    rf"\b(?:send|post|upload|forward|submit|transmit|leak|exfiltrate|e-?mail|append|encode) [^\n]{{0,60}}{_PRIVATE}"
    r"[^\n]{0,80}(?:https?://|@)": "://|@",
    rf"\b(?:include|embed|insert|add|put|append|render|place|show|display|write) [^\n]{{0,80}}\b{_REPORT}"
    r"[^\n]{0,120}(?:https?://|!\[)": "://|![",
    rf"\b(?:in|into|to|of) {_REPORT}[^\n]{{0,80}}(?:image|link|picture|url|markdown)\b[^\n]{{0,80}}https?://": "://",
    rf"\[[^\]\n]{{0,100}}{_ADDRESS}(?:\{{\w|%7b)": "](http",
    rf"!\[[^\]\n]{{0,100}}{_ADDRESS}(?:\{{|\$|\[|<|[?&](?:data|exfil|leak|secret|stolen|payload|conversation|chat|prompt|"
    r"history|context|answer|q)=)": "](http",
}
PATTERNS = [
    (name, words.split("|"), re.compile(pattern, re.MULTILINE))
    for name, patterns in {
        "override": _OVERRIDE
        | {rf"\b(?:{verb}) {_WORDS}(?:{one})\w{{0,9}} {_WORDS}(?:{two})": two for verb, one, two in _ABROAD},
        "role_marker": _ROLE_MARKER,
        "tool_order": _TOOL_ORDER,
        "exfiltration": _EXFILTRATION,
    }.items()
    for pattern, words in patterns.items()
]
# Invisible characters that carry text: Unicode tags (except in region flags, after U+1F3F4), runs of variation
# selectors or zero-width characters; and direction overrides, which display different text.
_HIDDEN = re.compile(
    "(?<![\U0001f3f4\U000e0000-\U000e007f])[\U000e0000-\U000e007f]|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{3}"
    "|[\u200b-\u200d\u2060-\u2064\ufeff]{4}|[\u202d\u202e]"
)
_UNSEEN = re.compile(
    "(?<![\U0001f3f4\U000e0000-\U000e007f])[\U000e0000-\U000e007f]+|[\ufe00-\ufe0f\U000e0100-\U000e01ef]{3,}"
    "|[\u200b\u2060-\u2064\ufeff\u202a-\u202e\u2066-\u2069]|[\u200c\u200d]{2,}"
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)
_FORMAT = re.compile(
    "[\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0000-\U000e0fff]"
)
_TAG = re.compile("[\U000e0020-\U000e007e]")
_ACCENT = re.compile("([a-z])[\u0300-\u036f]+")
# `[*~]+|(?<!\w)_+|_+(?!\w)`, but linear, and quick because it begins with a class of characters.
_EMPHASIS = re.compile(r"[*~_](?:(?<=[*~])|(?<!\w_)_*|(?<!__)_*+(?!\w))")
_LOOKALIKES = str.maketrans("аеорсухіјѕԁһмтвнкαοειυνρτκ", "aeopcyxijsdhmtbhkaoeiuvptk")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{24,}={0,2}")


def flags_of(text: str) -> list[str]:
    """What reads like instructions: override, role_marker, tool_order, exfiltration, hidden_text, encoded_order.

    Takes time linear in the length of the text.
    """
    found = _orders(text)
    if _HIDDEN.search(text):
        found.add("hidden_text")
    if _orders(_decoded(text)):
        found.add("encoded_order")
    return sorted(found)


def visible(text: str) -> str:
    """The text without invisible characters: a model should read what a human can check."""
    return _UNSEEN.sub("", text.replace("\r\n", "\n"))


def _orders(text: str) -> set[str]:
    """The flags of the text's instructions. Unicode tags are decoded first: they are a hidden alphabet."""
    folded = _folded(_TAG.sub(lambda tag: chr(ord(tag[0]) - 0xE0000), text))
    views = {folded, folded.translate(_LOOKALIKES), folded.replace("\n", " "), _folded(text)}
    return {
        name
        for name, words, pattern in PATTERNS
        if any(any(word in view for word in words) and pattern.search(view) for view in views)
    }


def _folded(text: str) -> str:
    """The folded text. Accents are removed from Latin letters only: in other scripts they form other letters."""
    plain = text.casefold()
    if not text.isascii():
        plain = unicodedata.normalize("NFKD", _FORMAT.sub("", text)).casefold()
        plain = unicodedata.normalize("NFC", _ACCENT.sub(r"\1", plain))
    plain = _EMPHASIS.sub("", plain.replace("\u2019", "'"))
    return "\n".join(filter(None, (" ".join(line.split()) for line in plain.split("\n"))))


def _decoded(text: str) -> str:
    """The decoded Base64 in the text, its pieces joined like the lines of one block."""
    return "".join(_from_base64(match[0]) for match in _BASE64.finditer(_FORMAT.sub("", text)))


def _from_base64(word: str) -> str:
    body = word.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(body[: len(body) // 4 * 4] + _padded(body)).decode(errors="ignore")
    except binascii.Error:
        return ""


def _padded(body: str) -> str:
    rest = body[len(body) // 4 * 4 :]
    return rest + "=" * (4 - len(rest)) if len(rest) > 1 else ""
