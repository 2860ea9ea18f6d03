"""Words that tools and people use for the same acts and things: general English, no world's names. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


READS = _words(
    "browse calculate check compare count describe download fetch find get inspect is list look lookup "
    "open peek query read recall retrieve scan search see show summarize view"
)
"""First words of the names of tools that change nothing."""
DESTROYS = _words(
    "archive cancel clear delete discard drop erase kick purge remove revoke trash unshare wipe"
)
"""First words of the names of tools whose work is hard to take back; nobody is taken to have meant them."""
MAKES = _words("add compose create draft make save schedule send write")
"""First words of the names of tools whose things are not there before."""
REACHES = _words("forward notify pay post publish reply send share transfer upload")
"""First words of the names of tools that carry something to somebody."""

_SEND = "answer contact dm email forward inform mail message notify reply respond send tell text write"
_PAY = "charge pay refund reimburse repay return settle transfer wire"
_MAKE = "add arrange build compose create draft generate invite make note open organize plan prepare put save"
_MAKE_MORE = "schedule set start store write"
_CHANGE = "adjust amend change correct edit extend fix modify move postpone rename replace reschedule"
_CHANGE_MORE = "reset set shift update"
_DELETE = "cancel clear delete discard drop erase kick purge remove trash wipe"
_BOOK = "book booking hire order rent reservation reserve"
_SHARE = "access forward give grant send share"

ASKED_BY: Mapping[str, frozenset[str]] = {
    "send": _words(f"{_SEND} {_PAY} post share"),
    "reply": _words(_SEND),
    "forward": _words(_SEND),
    "notify": _words(_SEND),
    "pay": _words(f"{_PAY} send"),
    "transfer": _words(f"{_PAY} send move"),
    "post": _words("post publish put reply share upload write"),
    "publish": _words("post publish put share upload write"),
    "upload": _words("post put save store upload"),
    "share": _words(_SHARE),
    "grant": _words(_SHARE),
    "invite": _words("add bring invite"),
    "add": _words("add append include insert invite join put"),
    "append": _words("add append extend insert put write"),
    "insert": _words("add append insert put"),
    "create": _words(f"{_MAKE} {_MAKE_MORE}"),
    "make": _words(f"{_MAKE} {_MAKE_MORE} {_BOOK}"),
    "write": _words(f"{_MAKE} {_MAKE_MORE}"),
    "save": _words(f"{_MAKE} {_MAKE_MORE}"),
    "schedule": _words("arrange book create make plan schedule set"),
    "book": _words(_BOOK),
    "reserve": _words(_BOOK),
    "order": _words("buy get order purchase"),
    "buy": _words("buy get order purchase"),
    "update": _words(f"{_CHANGE} {_CHANGE_MORE}"),
    "edit": _words(f"{_CHANGE} {_CHANGE_MORE}"),
    "modify": _words(f"{_CHANGE} {_CHANGE_MORE}"),
    "change": _words(f"{_CHANGE} {_CHANGE_MORE}"),
    "set": _words(f"{_CHANGE} {_CHANGE_MORE}"),
    "move": _words("move postpone put reschedule shift transfer"),
    "rename": _words("call change name rename"),
    "reschedule": _words("adjust change delay move postpone reschedule shift update"),
    "cancel": _words(_DELETE),
    "delete": _words(_DELETE),
    "remove": _words(_DELETE),
}
"""First word of a tool's name to the verbs that ask for it; any other is asked for by itself."""
GENERAL = _words("change create edit make modify save schedule set update write")
"""First words of the names of tools whose verbs say little: the thing has to be named too."""
BEFORE_TOLD = _words("had has have he i'll she they they'll they've we'll who will would've")
"""Words that tell what somebody does or did; the verb after them asks for nothing."""
TELLS = _words("answer give inform notify show tell")
"""Verbs that with `me` or `us` behind them ask for an answer, not for a message."""

NOUN_TOO = _words(
    "access answer book call change charge contact draft email fix forward mail message move name note order "
    "plan post put rent reply return schedule set share start store text transfer update"
)
"""Verbs that are as often nouns; they ask for nothing where the word before them makes them one."""
BEFORE_NOUN = _words(
    "a about all an any another at by each every for from her his in its last latest my new next no of on or "
    "our recent scheduled that the their these this those via which with your"
)
"""Words that make a noun of the next one."""

SAME_THING: Mapping[str, frozenset[str]] = {
    "account": _words("account address details information profile"),
    "calendar": _words("appointment calendar event meeting remind reminder"),
    "car": _words("car rental vehicle"),
    "email": _words("email mail reply"),
    "event": _words("appointment calendar dinner event lunch meeting remind reminder"),
    "file": _words("document file"),
    "info": _words("account address details information profile"),
    "money": _words("bill difference money pay payment price refund transfer"),
    "participants": _words("attendee guest invite participant people"),
    "payment": _words("bill money order payment subscription transaction transfer"),
    "transaction": _words("bill order pay payment rent subscription transaction transfer"),
    "user": _words("account address details information profile user"),
    "webpage": _words("page site url webpage website"),
}
"""A thing in a tool's name to what people call it; plurals are cut before."""

PARTIES = _words(
    "account address addressee attendee bcc cc channel contact destination email group guest host iban "
    "invitee link member number organizer owner participant payee phone receiver recipient room site target "
    "team to url user username webhook website"
)
"""Last words of the names of arguments that say who or where an act reaches."""
CONTACTS = _words("address email number phone")
"""Those of them that tell how to reach a party which another argument names."""
LOCATORS = _words("domain link path site uri url website")
"""Last words of the names of arguments that say where a text is fetched; its layout is a stranger's."""
OPEN = _words("domain link site uri url website")
"""Those of them that leave the house: asking for one tells its owner something."""
SECRETS = _words("code credential key passcode passphrase password pin secret token")
"""Names of arguments that open doors; only the user sets one."""
