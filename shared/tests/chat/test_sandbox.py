"""A base's chat template may use the time and memory of its budget, and no more, whatever it is made of."""

from __future__ import annotations

import resource
import time

import pytest
from protege.chat.sandbox import compiled
from protege.errors import CannotRender

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello <b>you</b>"}]
LONGEST_S = 2.0
"""Of processor time."""


def growing(first: str, step: str, end: str) -> str:
    """A template in which `ns.x` becomes `step` sixty times."""
    loop = f"{{% for i in range(60) %}}{{% set ns.x = {step} %}}{{% endfor %}}"
    return f"{{% set ns = namespace(x={first}) %}}{loop}{end}"


HOSTILE = [
    "{{ 10 ** (10 ** 8) }}",
    "{{ 9**9**9 }}",
    "{{ 2.0 ** 100000 }}",
    "{% set ns = namespace(x=3) %}{% for i in range(99999) %}{% set ns.x = ns.x * ns.x %}{% endfor %}",
    "{{ 'a' * 10**9 }}",
    "{{ [1] * 10**9 }}",
    "{{ '{:>2000000000}'.format(1) }}",
    "{{ '{:{w}}'.format(1, w=2000000000) }}",
    "{{ '{x:>2000000000}'.format_map({'x': 1}) }}",
    "{{ '%2000000000d' % 1 }}",
    "{{ '%*d' % (2000000000, 1) }}",
    "{{ '%2000000000d'|format(1) }}",
    "{{ 'a'|center(1000000000) }}",
    "{{ 'a'.center(1000000000) }}",
    "{{ 'a'.zfill(1000000000) }}",
    "{{ 'a'.encode().center(1000000000) }}",
    "{{ '\t'.expandtabs(1000000000) }}",
    "{{ (1).to_bytes(1000000000, 'big') }}",
    "{{ 'a'|indent(1000000000) }}",
    "{{ [1]|tojson(indent=1000000000) }}",
    "{{ [1]|batch(1000000000, 0)|list }}",
    "{{ [1]|slice(1000000000)|list }}",
    "{{ lipsum(n=100000000) }}",
    "{% for i in range(10**9) %}{% endfor %}",
    "{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}",
    "{% for i in range(99999) if range(99999)|list|length < 0 %}{% endfor %}",
    "{% for i in range(99999) %}" + "{{ 1 }}" * 5000 + "{% endfor %}",
    "{% for i in range(99999) %}" + "literal text " * 5000 + "{% endfor %}",
    "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "{% macro f(n) %}{% if n %}{% set a = f(n - 1) %}{{ a }}{{ a }}{% else %}x{% endif %}{% endmacro %}{{ f(60) }}",
    "{% for i in [[[[1]]]] recursive %}{{ loop([i, i]) }}{% endfor %}",
    growing("'a'", "ns.x ~ ns.x", ""),
    growing("'a'", "ns.x + ns.x", ""),
    growing("[1]", "ns.x + ns.x", ""),
    growing("[1]", "[ns.x, ns.x]", "{{ ns.x }}"),
    growing("{}", "{'a': ns.x, 'b': ns.x}", "{{ ns.x }}"),
    growing("1", "namespace(a=ns.x, b=ns.x)", "{{ ns.x }}"),
    growing("1", "dict(a=ns.x, b=ns.x)", "{{ ns.x }}"),
    "{% set ns = namespace(x=1) %}{% set ns.x = ns %}{{ ns }}",
    growing("(1,)", "(ns.x, ns.x)", "{{ ns.x == ns.x }}"),
    "{% set s = 'a' * 5000000 %}{% for i in range(9999) %}{{ s in s }}{% endfor %}",
    "{% set s = 'a' * 5000000 %}{% for i in range(9999) %}{% set t = s[1:] %}{% endfor %}",
    "{% set s = 'a' * 5000000 %}{% for i in range(9999) %}{% set t = s == s ~ '' %}{% endfor %}",
    "{% set s = 'a' * 1000000 %}{{ s.rfind('a' + 'b' + 'a' * 500000) }}",
    "{% set s = 'a' * 1000000 %}{{ s.replace('a', 'b' * 1000000)|length }}",
    "{% set s = 'a' * 1000000 %}{{ s.replace('', 'b' * 1000000)|length }}",
    "{% set s = 'a' * 1000000 %}{{ (s|replace('a', s))|length }}",
    "{% set s = 'a' * 1000000 %}{{ s.join(s) }}",
    "{% set s = 'a' * 1000000 %}{{ s|join(s) }}",
    "{% set s = 'a' * 1000000 %}{{ s.join(s|map('upper')) }}",
    "{% set s = 'a' * 1000000 %}{% for i in range(9999) %}{% set t = s|upper %}{% endfor %}",
    "{% set s = 'a' * 1000000 %}{% for i in range(9999) %}{% set t = s.strip() %}{% endfor %}",
    "{% set s = 'a' * 1000000 %}{% for i in range(9999) %}{% set t = s is eq(s ~ '') %}{% endfor %}",
    "{% set s = ['a'] * 1000000 %}{{ s|map('center', 9999)|join }}",
    "{% set s = [[1]] * 1000000 %}{{ s|sum(start=[])|length }}",
    "{% set x %}{% for i in range(99999) %}" + "y" * 900 + "{% endfor %}{% endset %}{{ x }}",
    "{% filter upper %}{% for i in range(99999) %}" + "y" * 900 + "{% endfor %}{% endfilter %}",
    "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    "{{ " + "-" * 50000 + "1 }}",
    "{{ " + "1 + " * 16000 + "1 }}",
    "{{ " + "1 + " * 50000 + "1 }}",
    "{% if 1 %}" * 3000 + "{% endif %}" * 3000,
    "x" * (1 << 19),
    "{{ messages|urlize }}",
    "{{ cycler.__init__.__globals__ }}",
]


@pytest.mark.parametrize("template", HOSTILE, ids=lambda template: template[:60])
def test_what_goes_beyond_the_budget_is_refused_quickly_and_in_little_memory(template: str) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begin_s = time.thread_time()
    try:
        written = compiled(template)(messages=MESSAGES)
    except CannotRender:
        written = ""
    assert time.thread_time() - begin_s < LONGEST_S
    assert len(written) <= 1 << 23
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 300 << 10


CHATML = (
    "{%- for message in messages %}{{- '<|im_start|>' + message['role'] + '\n' }}"
    "{%- if '</think>' in message.content %}{{- message.content.split('</think>')[-1].lstrip('\n') }}"
    "{%- else %}{{- message.content | trim }}{%- endif %}{{- '<|im_end|>\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
KINDLY = {
    CHATML: "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n",
    "{{ messages[0]['content'][::-1] ~ '!' }}": "olleh!",
    "{% for m in messages %}{{ loop.index0 }}{{ loop.last }}{{ loop.length }}{% endfor %}": "0True1",
    "{% set ns = namespace(x=0) %}{% for m in messages %}{% set ns.x = 1 %}{% endfor %}{{ ns.x }}": "1",
    "{{ messages | tojson(indent=2) | length > 10 }}": "True",
    "{{ messages | selectattr('role', 'equalto', 'user') | list | length }}": "1",
    "{{ messages | map(attribute='content') | join(', ') }}": "hello",
    "{% macro say(x, y='!') %}{{ x }}{{ y }}{% endmacro %}{{ say('hi') }}": "hi!",
    "{{ '%s is %d' % ('a', 1) }}{{ '{:>4}'.format('b') }}": "a is 1   b",
    "{{ (messages|length) * 2 + 7 // 2 ** 1 % 5 - 1 }}": "4",
    "{{ tools is defined and tools is none }}{{ undefined_one }}": "True",
    "{% for k, v in {'a': 1}.items() %}{{ k }}{{ v }}{% endfor %}{% for i in range(3) %}{{ i }}{% endfor %}": "a1012",
    "{% for i in range(90000) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}": "01",
    "{% for item in [{'n': 1, 'c': [{'n': 2, 'c': []}]}] recursive %}{{ item.n }}{{ loop(item.c) }}{% endfor %}": "12",
}


@pytest.mark.parametrize("template", KINDLY, ids=lambda template: template[:60])
def test_what_chat_templates_do_is_rendered_as_jinja_does(template: str) -> None:
    said = compiled(template)(messages=[{"role": "user", "content": "hello"}], tools=None, add_generation_prompt=True)
    assert said == KINDLY[template]


def test_a_long_conversation_is_rendered() -> None:
    turns = [{"role": "user" if i % 2 else "assistant", "content": "word " * 200} for i in range(1000)]
    assert len(compiled(CHATML)(messages=turns, add_generation_prompt=True)) > 1_000_000


def test_a_templates_own_refusal_is_told() -> None:
    with pytest.raises(CannotRender, match="no such role"):
        compiled("{{ raise_exception('no such role') }}")(messages=[])


def test_the_text_of_an_error_is_left_out() -> None:
    with pytest.raises(CannotRender) as refused:
        compiled("{{ messages[0].content + 1 }}")(messages=[{"content": "a secret"}])
    assert "secret" not in str(refused.value)
