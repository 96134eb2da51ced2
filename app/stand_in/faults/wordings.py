"""One request for clarification in ever new words.

The four lists have lengths without a common factor. So sentence `n` takes part `n mod length` of each, all 118,864
combinations come before the first one returns, and two sentences fewer than 272 apart share at most one part.
"""

OPENERS = (
    "Please clarify", "Could you spell out", "Kindly determine", "Ask again", "Establish beforehand",
    "Somebody has to explain", "Nobody here knows", "Decide jointly", "Confirm once more", "It stays unclear",
    "Find agreement over", "Report back", "Double-check", "Negotiate", "Write down", "Let us hear", "Look up first",
)  # fmt: skip
QUESTIONS = (
    "which revenue definition applies", "whose figures count", "what period is meant", "how returns are treated",
    "where the boundary lies", "if rebates matter", "who owns these accounts", "why two totals differ",
    "whether tax belongs inside", "what currency rate holds", "how many models qualify", "which list is authoritative",
    "when orders become sales", "what exactly should be measured", "how customers get grouped", "whose forecast wins",
    "which baseline year serves", "how bundles were split", "what rounding everybody uses",
)  # fmt: skip
SCOPES = (
    "for domestic buyers", "across neighbouring borders", "within online retail", "among fleet operators",
    "regarding wholesale partners", "under last season's contracts", "before discounts", "after refunds",
    "outside subsidised schemes", "throughout pilot regions", "beside installer networks", "at household level",
    "per delivery address", "despite currency swings", "during promotional weeks", "inside framework agreements",
)  # fmt: skip
REASONS = (
    "since my counterpart saw it differently", "otherwise nothing can begin", "as earlier notes contradict this",
    "because definitions moved meanwhile", "so that both sides align", "given conflicting instructions",
    "lest we compute nonsense", "until then I must wait", "while keeping prior remarks open",
    "considering an ambiguous brief", "for consistency's sake", "now that assumptions changed",
    "unless someone already settled it", "to avoid duplicate effort", "though yesterday's reply was vague",
    "in view of missing context", "with reference to your message", "prior to any calculation",
    "following our last exchange", "on account of unclear wording", "hoping for a sharper mandate",
    "once responsibilities are known", "rather than guess myself",
)  # fmt: skip


SHORTEST = 60  # characters of any sentence, or more


def wording(number: int) -> str:
    """Sentence `number`, from 0 on; at most 160 characters."""
    opener, question, scope, reason = (parts[number % len(parts)] for parts in (OPENERS, QUESTIONS, SCOPES, REASONS))
    return f"{opener} {question} {scope}, {reason}."
