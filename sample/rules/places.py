"""Countries of the world and larger regions, by the names and adjectives people use.

The list is general knowledge: it tells a country that the data lacks from a word that is no country.
"""

import re
from collections.abc import Mapping

# name: other names and adjectives
_LINES = """
Afghanistan: Afghan
Albania: Albanian
Algeria: Algerian
Andorra:
Angola: Angolan
Argentina: Argentinian, Argentine
Armenia: Armenian
Australia: Australian
Austria: Austrian
Azerbaijan: Azerbaijani
Bahrain:
Bangladesh: Bangladeshi
Belarus: Belarusian
Belgium: Belgian
Bolivia: Bolivian
Bosnia and Herzegovina: Bosnia, Bosnian
Botswana:
Brazil: Brazilian
Bulgaria: Bulgarian
Cambodia: Cambodian
Cameroon:
Canada: Canadian
Chile: Chilean
China: Chinese
Colombia: Colombian
Costa Rica: Costa Rican
Croatia: Croatian
Cuba: Cuban
Cyprus: Cypriot
Czechia: Czech Republic, Czech
Denmark: Danish
Ecuador:
Egypt: Egyptian
Estonia: Estonian
Ethiopia: Ethiopian
Finland: Finnish
France: French
Georgia: Georgian
Germany: German
Ghana:
Greece: Greek
Greenland:
Guatemala:
Honduras:
Hong Kong:
Hungary: Hungarian
Iceland: Icelandic
India: Indian
Indonesia: Indonesian
Iran: Iranian
Iraq: Iraqi
Ireland: Irish
Israel: Israeli
Italy: Italian
Jamaica:
Japan: Japanese
Jordan:
Kazakhstan:
Kenya: Kenyan
Kosovo:
Kuwait:
Latvia: Latvian
Lebanon: Lebanese
Liechtenstein:
Lithuania: Lithuanian
Luxembourg:
Malaysia: Malaysian
Malta: Maltese
Mexico: Mexican
Moldova: Moldovan
Monaco:
Mongolia:
Montenegro:
Morocco: Moroccan
Nepal:
Netherlands: Dutch, Holland
New Zealand:
Nigeria: Nigerian
North Macedonia: Macedonia
Norway: Norwegian
Oman:
Pakistan: Pakistani
Panama:
Paraguay:
Peru: Peruvian
Philippines: Filipino
Poland: Polish
Portugal: Portuguese
Qatar:
Romania: Romanian
Russia: Russian
Rwanda:
Saudi Arabia: Saudi
Senegal:
Serbia: Serbian
Singapore:
Slovakia: Slovak
Slovenia: Slovenian
South Africa: South African
South Korea: Korea, Korean
Spain: Spanish
Sri Lanka:
Sweden: Swedish
Switzerland: Swiss
Syria:
Taiwan: Taiwanese
Tanzania:
Thailand: Thai
Tunisia:
Turkey: Turkish, Türkiye
Uganda:
Ukraine: Ukrainian
United Arab Emirates: UAE, Emirates
United Kingdom: UK, Britain, Great Britain, British, England, U.K.
United States: USA, US, America, American, U.S.
Uruguay:
Uzbekistan:
Venezuela:
Vietnam: Vietnamese
Zambia:
Zimbabwe:
EU: European Union, EU27, member states, member state
Europe: European
World: worldwide, global, globally, world's, the planet
Africa: African
Asia: Asian
South America: Latin America
North America:
Middle East:
"""

REGIONS = frozenset({"EU", "Europe", "World", "Africa", "Asia", "South America", "North America", "Middle East"})

GROUPS: Mapping[str, tuple[str, ...]] = {
    "Scandinavia": ("Denmark", "Norway", "Sweden"),
    "Scandinavian": ("Denmark", "Norway", "Sweden"),
    "Nordics": ("Denmark", "Finland", "Iceland", "Norway", "Sweden"),
    "Nordic": ("Denmark", "Finland", "Iceland", "Norway", "Sweden"),
    "Benelux": ("Belgium", "Luxembourg", "Netherlands"),
    "DACH": ("Austria", "Germany", "Switzerland"),
    "Iberia": ("Portugal", "Spain"),
}

# A source about one of these speaks for the region that was asked for.
SPEAKS_FOR: Mapping[str, frozenset[str]] = {
    "Europe": frozenset({"Europe", "EU"}),
    "EU": frozenset({"EU", "Europe"}),
    "World": frozenset({"World"}),
}

# Lower-case readings of these are ordinary words ("tell us", "polish").
_CASE_MATTERS = frozenset({"US", "Turkey", "Jordan", "Georgia", "Chad", "Polish", "Guinea", "Oman", "Emirates"})


def _names() -> dict[str, str]:
    names: dict[str, str] = {}
    for line in _LINES.strip().splitlines():
        name, _, others = line.partition(":")
        for each in (name, *filter(None, (other.strip() for other in others.split(",")))):
            names[each] = name
    return names


_PLACE_OF = _names()
_BY_LOWER = {name.lower(): place for name, place in _PLACE_OF.items()}
_ANY = re.compile(
    r"(?<![\w-])(?:"
    + "|".join(re.escape(name) for name in sorted([*_PLACE_OF, *GROUPS], key=len, reverse=True))
    + r")(?![\w])",
    re.IGNORECASE,
)


def places(text: str) -> list[str]:
    """Countries and regions the text names, in order, each once, by their plain names."""
    found: list[str] = []
    for match in _ANY.finditer(text):
        found += _meant(match.group())
    return list(dict.fromkeys(found))


def without_places(text: str) -> str:
    """The text with the names of places blanked."""
    return _ANY.sub(lambda match: " " if _meant(match.group()) else match.group(), text)


def same_place(value: str, place: str) -> bool:
    """Whether a value of the data ("UK") is that place ("United Kingdom")."""
    return value == place or _BY_LOWER.get(value.lower()) == place


def speaks_for(found: str, wanted: str) -> bool:
    """Whether a source about `found` answers a question about `wanted`."""
    return found in SPEAKS_FOR.get(wanted, frozenset({wanted}))


def _meant(word: str) -> tuple[str, ...]:
    if group := next((GROUPS[name] for name in GROUPS if name.lower() == word.lower()), None):
        return group
    spelled = next((name for name in _CASE_MATTERS if name.lower() == word.lower()), None)
    if spelled and word not in {spelled, spelled.upper()}:
        return ()
    return (_BY_LOWER[word.lower()],)
