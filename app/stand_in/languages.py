"""Which language a question is in, by its script or its small words, and how to say in it that only English is read.

The rules read English. In any other language they would find nothing, and nothing found must not be told as "not in the
data".
"""

# ruff: noqa: RUF001  letters of other scripts are meant

import re
from typing import NamedTuple


class Language(NamedTuple):
    """A language: its small words, which no English question has, and what is said to who asks in it."""

    words: frozenset[str]
    refusal: str


def _language(words: str, refusal: str) -> Language:
    return Language(frozenset(words.split()), refusal)


_BY_WORDS = (
    _language(
        "wie viele hoch war unser unsere welche der die das und ist sind gibt es im für nicht wir haben hat von zu",
        "Ich lese nur Fragen auf Englisch. Stellen Sie die Frage auf Englisch, oder setzen Sie ein Sprachmodell ein.",
    ),
    _language(
        "combien quel quelle quels était notre nos les des du dans y a-t-il est sont pour avec nous le la une et il",
        "Je ne lis que les questions en anglais. Posez la question en anglais, ou utilisez un modèle de langage.",
    ),
    _language(
        "cuántos cuántas cuál cuáles qué hay fue nuestro nuestra los las el del y en por para una es son con la",
        "Solo leo preguntas en inglés. Haga la pregunta en inglés o use un modelo de lenguaje.",
    ),
    _language(
        "quanti quante quanto qual quale ci sono il gli della dei delle nel nella nostro nostra di è era per con le la",
        "Leggo solo domande in inglese. Faccia la domanda in inglese o usi un modello linguistico.",
    ),
    _language(
        "quantos quantas qual existem há foi nosso nossa os as da do dos das na no em um uma é são por para com",
        "Só leio perguntas em inglês. Faça a pergunta em inglês ou use um modelo de linguagem.",
    ),
    _language(
        "hoeveel wat welke heeft hebben was onze het een de van zijn er en voor met wij hoe hoog",
        "Ik lees alleen vragen in het Engels. Stel de vraag in het Engels of gebruik een taalmodel.",
    ),
    _language(
        "ile jaki jaka jakie jest są był była było nasz nasza nasze w na z ze i nie dla od do się",
        "Czytam tylko pytania po angielsku. Zadaj pytanie po angielsku albo użyj modelu językowego.",
    ),
    _language(
        "kolik jaký jaká jaké má je jsou byl byla bylo náš naše v ve na z ze a pro od do se",
        "Čtu jen otázky v angličtině. Položte otázku anglicky, nebo použijte jazykový model.",
    ),
    _language(
        "hur många mycket vad vilken vilka finns det är var vår våra och i på av för den ett en som",
        "Jag läser bara frågor på engelska. Ställ frågan på engelska eller använd en språkmodell.",
    ),
    _language(
        "kaç ne nedir hangi kadar var bizim ve bir bu için ile mi mı olan toplam yılında",
        "Yalnızca İngilizce soruları okurum. Soruyu İngilizce sorun ya da bir dil modeli kullanın.",
    ),
)
# The first script that a question has a letter of. Japanese has Chinese characters, too, so its own come first.
_BY_SCRIPT = (
    ("[\u3040-\u30ff]", "英語の質問しか読めません。英語で質問するか、言語モデルを使ってください。"),
    ("[\u1100-\u11ff\uac00-\ud7a3]", "영어 질문만 읽을 수 있습니다. 영어로 질문하거나 언어 모델을 사용하세요."),
    ("[\u3400-\u9fff]", "我只能读英文问题。请用英文提问，或使用语言模型。"),
    (
        "[\u0400-\u04ff]",
        "Я читаю вопросы только на английском. Спросите по-английски или подключите языковую модель.",
    ),
    ("[\u0590-\u05ff]", "אני קורא שאלות באנגלית בלבד. שאלו באנגלית או השתמשו במודל שפה."),
    ("[\u0600-\u06ff]", "أقرأ الأسئلة بالإنجليزية فقط. اطرح السؤال بالإنجليزية أو استخدم نموذجًا لغويًا."),
    ("[\u0900-\u097f]", "मैं केवल अंग्रेज़ी में प्रश्न पढ़ता हूँ। प्रश्न अंग्रेज़ी में पूछें या भाषा मॉडल का उपयोग करें।"),
)
_ENGLISH = "This stand-in reads English only: ask in English, or set a key for a language model."
_OTHER_SCRIPT = re.compile(r"[^\W\d_a-zA-Z\u00aa-\u024f\u1e00-\u1eff]")
_WORD = re.compile(r"[^\W\d_]+(?:-[^\W\d_]+)*")
_IN_ENGLISH = _language(
    "a about an and are at by did do does for from had has have how in is it many much of on or our than that the "
    "their there these this to us was we were what when where which who why with",
    "",
)


def refusal_of(question: str) -> str:
    """What to say to a question that is not in English, in its language if that is known; "" if it is in English.

    In doubt it is English: names, codes and keywords are of no language.
    """
    scripted = len(_OTHER_SCRIPT.findall(question))
    if 2 * scripted > len(re.findall(r"[^\W\d_]", question)):
        told = next((said for script, said in _BY_SCRIPT if re.search(script, question)), "")
        return f"{told} {_ENGLISH}".strip()
    words = {each.lower() for each in _WORD.findall(question)}
    nearest = max(_BY_WORDS, key=lambda each: len(each.words & words))
    is_foreign = len(nearest.words & words) >= max(2, 1 + len(_IN_ENGLISH.words & words))
    return f"{nearest.refusal} {_ENGLISH}" if is_foreign else ""
