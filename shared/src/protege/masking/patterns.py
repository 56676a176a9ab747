"""Patterns of secrets for RE2: tokens are known by their prefix, other secrets by what comes before them."""

from __future__ import annotations

from ..common.linear import Linear

TOKENS = {
    "anthropic_key": r"sk-ant-[A-Za-z0-9_-]{20,}",
    "openai_key": r"sk-[A-Za-z0-9_-]{20,}",
    "aws_access_key": r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b",
    "github_token": r"gh[opsru]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{22,}",
    "gitlab_token": r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|imt|oas)-[A-Za-z0-9_.-]{20,}",
    "slack_token": r"xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{20,}|hooks\.slack\.com/services/[A-Za-z0-9_/]{20,}",
    "google_key": r"AIza[A-Za-z0-9_-]{35}|GOCSPX-[A-Za-z0-9_-]{20,}|ya29\.[A-Za-z0-9_-]{20,}",
    "stripe_key": r"[rs]k_(?:live|test)_[A-Za-z0-9]{10,}|whsec_[A-Za-z0-9+/=]{24,}",
    "huggingface_token": r"(?:hf|api_org)_[A-Za-z0-9]{20,}",
    "npm_token": r"npm_[A-Za-z0-9]{36}",
    "pypi_token": r"pypi-[A-Za-z0-9_-]{32,}",
    "sendgrid_key": r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
    "twilio_key": r"SK[0-9a-f]{32}\b",
    "jwt": r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]{2,}){1,4}",
    "api_key": "|".join(
        (
            r"(?:gsk|r8|sbp|ntn|fw|tgp_v1|dckr_pat|rubygems|figd|glc|glsa|lin_api)_[A-Za-z0-9_-]{30,}",
            r"(?:xai|pplx|nvapi|tvly|PMAK|NRAK|key|sq0atp|sq0csp)-[A-Za-z0-9_-]{22,}",
            r"do[opr]_v1_[0-9a-f]{64}|dapi[0-9a-f]{32}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|lsv2_(?:pt|sk)_[0-9a-f_]{32,}",
            r"hv[bs]\.[A-Za-z0-9_-]{24,}|ATATT3[A-Za-z0-9_=-]{50,}|[0-9]{8,10}:AA[A-Za-z0-9_-]{33}",
            r"AGE-SECRET-KEY-1[A-Z0-9]{50,}",
        )
    ),
}

# A token begins where a word does. If a line break is written `\n`, a letter comes before the token, not a boundary.
_BEGIN = r"(?:\b|\\[bfnrt]|\\u00[01][0-9a-f])"
_PEM_BEGIN = r"-----BEGIN [A-Z0-9 ]{0,30}PRIVATE KEY[A-Z ]{0,8}-----"
_PEM_HEADERS = r"(?:(?:\s|\\+[nr])*[A-Za-z-]{1,30}: [^\n\\]{1,100})*"
# A line break inside may be written `\n`, escaped once or several times. The end may be cut off.
_PEM = rf"{_PEM_BEGIN}{_PEM_HEADERS}(?:[A-Za-z0-9+/=\s]|\\+[nrt/])*(?:-----END [A-Z0-9 ]{{1,50}}-----)?"

_KEY = r"(?:api|secret|private|access|account)(?:[_ -]?access)?[_ -]?key"
# Both cases of an accented letter: Hyperscan, which sees bytes, knows but those of ASCII.
PASSWORDS = (
    r"passw(?:or)?d|passphrase|pwd|passwort|kennwort|mot de passe|contrase(?:ñ|Ñ|n)a|has(?:ł|Ł|l)o|senha|wachtwoord"
    r"|l(?:ö|Ö|o)senord|пароль|Пароль|ПАРОЛЬ|密码|密碼|パスワード|비밀번호"
)
_NAME = rf"(?:{PASSWORDS}|secret|token|credentials?|{_KEY})"
# Not "tokens": every call has their numbers, and texts are cut into them.
_NAME_OF_MANY = rf"(?:{_NAME}|(?:passw(?:or)?d|passphrase|secret|{_KEY})s)"
_VALUE = r"[^\s\"'\\]"
_LIKELY = rf"{_VALUE}*(?:[0-9!@#$%^&*+=~]|(?-i:[a-z][A-Z])){_VALUE}*"
_BLANK = r"(?:\s|\\[nrt])"
_USER = r"[a-z][a-z0-9+.-]*:(?:\\?/){2}[^\s/:@\"'\\]*:"
_CREDENTIAL = r"[A-Za-z0-9._~+/=-]{12,}"
_ASSIGNED = rf"\\*[\"']?{_BLANK}*(?:=>|:=|[:=]|：){_BLANK}*(?:[a-z]?\\*[\"']|&quot;|&#34;)?"
_IS = rf"{_BLANK}+(?:is|was):?{_BLANK}+\\*[\"']?"
_FLAG = r"--[\w-]*"
_FLAG_END = rf"{_BLANK}+(?:\\*[\"'])?"
_TAG = r"<[\w:.-]*"
_TAG_END = rf"(?:{_BLANK}[^<>]*)?>{_BLANK}*"

SECRET = Linear(
    "|".join(
        (
            rf"(?P<private_key>{_PEM})",
            *(rf"{_BEGIN}(?P<{kind}>{pattern})" for kind, pattern in TOKENS.items()),
            rf"(?i:\b(?:bearer|basic){_BLANK}+(?P<authorization>{_CREDENTIAL}))",
            rf"(?i:\b{_USER}(?P<url_password>[^\s/\"'\\]+)@)",
            rf"(?i:(?P<name>{_NAME}){_ASSIGNED}(?P<assigned>{_VALUE}{{4,}}))",
            rf"(?i:(?P<said>{_NAME}){_IS}(?P<spoken>{_LIKELY}))",
            rf"(?i:{_FLAG}(?P<flag>{_NAME}){_FLAG_END}(?P<flagged>[^\s\"'\\-]{_VALUE}{{3,}}))",
            rf"(?i:{_TAG}(?P<tag>{_NAME}){_TAG_END}(?P<tagged>[^<>\s\"'\\]{{4,}}){_BLANK}*<)",
        )
    )
)
"""Finds the secrets of a text (as UTF-8 bytes)."""

_NAMED = {"assigned": "name", "spoken": "said", "flagged": "flag", "tagged": "tag"}

NAMES = {kind: SECRET.groupindex[name] for kind, name in _NAMED.items()}
"""For the kinds of secret that are known by their name alone: the group that holds the name."""

KINDS = {kind: group for kind, group in SECRET.groupindex.items() if kind not in _NAMED.values()}
"""The groups of `SECRET` that hold a secret. In each match, one of them does."""


_BY_CONTEXT = (
    _PEM_BEGIN,
    rf"(?i:(?:bearer|basic){_BLANK}+{_CREDENTIAL}|{_USER}[^\s/\"'\\]+@)",
    rf"(?i:{_NAME_OF_MANY}{_ASSIGNED}[\\\"']*{_VALUE})",
    rf"(?i:{_NAME}{_IS}{_LIKELY})",
    rf"(?i:{_FLAG}{_NAME}{_FLAG_END}{_VALUE})",
    rf"(?i:{_TAG}{_NAME}{_TAG_END}{_VALUE})",
    rf"(?i:{_NAME_OF_MANY}\\*\"{_BLANK}*[,}}])",  # a name whose value comes beside it: {"name": …, "value": …}
)

SUSPECT = Linear("|".join((*_BY_CONTEXT, rf"{_BEGIN}(?:{'|'.join(TOKENS.values())})")), groups=False)
"""Tells whether JSON text may hold a secret: finds all that `SECRET` finds in the texts inside, and a little more."""

SUSPECTS = (*_BY_CONTEXT, *TOKENS.values())
"""`SUSPECT` in parts, for a faster search."""

IS_NAME = Linear(rf"(?i:{_NAME_OF_MANY}\z)", groups=False)
"""Matches a name whose value is a secret."""
