"""Chat templates in a sandbox. They come with models from outside and are rendered inside the agent.

Jinja's sandbox keeps a template from attributes. This one also bounds its time and memory, since no time-out ends work
that holds the interpreter's lock. All that a template does is paid for from a budget (`budget.LIMIT`): each turn of a
loop by the size of its body, each operation, filter and call by the size of what it is given and what it makes. Methods
and filters are those that chat templates need. Whatever goes beyond is a CannotRender.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from jinja2 import TemplateError, nodes, pass_context
from jinja2.runtime import LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment, SandboxedFormatter
from jinja2.utils import Namespace

from ..errors import CannotRender
from .budget import MOST_CHARACTERS, NODE, STEP, Budget, current, made, shallow, small, weigh, weight

MOST_BITS = 2048
"""The largest integer has this many bits."""
LONGEST_TEMPLATE = 1 << 16


def compiled(source: str) -> Callable[..., str]:
    """A function that renders the template: `render(messages=…, …)`. Both raise CannotRender."""
    if len(source) > LONGEST_TEMPLATE:
        raise CannotRender("The base's chat template is too long.")
    environment = _Sandbox()
    with_errors = _told(_parsed)
    template = with_errors(environment, source)

    def render(**variables: Any) -> str:
        token = current.set(Budget())
        try:
            return _told(template.render)(**variables)
        finally:
            current.reset(token)

    return render


def _told(work: Callable[..., Any]) -> Callable[..., Any]:
    """The work, all of whose errors are CannotRender. Their texts may hold what was asked, so they are left out."""

    @functools.wraps(work)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return work(*args, **kwargs)
        except CannotRender:
            raise
        except (TemplateError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise CannotRender(f"The base's chat template failed ({type(error).__name__}).") from None
        except (RecursionError, MemoryError, SyntaxError):
            raise CannotRender("The base's chat template is nested too deeply.") from None

    return told


def _parsed(environment: _Sandbox, source: str) -> Any:
    tree = environment.parse(source)
    for loop in list(tree.find_all(nodes.For)):
        size = 1 + sum(1 for _ in loop.find_all(nodes.Node))
        loop.iter = _filtered(loop.iter, "_turns", size)
    for macro in list(tree.find_all((nodes.Macro, nodes.CallBlock, nodes.Block))):
        size = 1 + sum(1 for _ in macro.find_all(nodes.Node))
        macro.body.insert(0, nodes.Output([_filtered(nodes.Const(""), "_entered", size)]))
    for loop in list(tree.find_all(nodes.For)):
        if loop.recursive:
            loop.body.insert(0, nodes.Output([_filtered(nodes.Const(""), "_entered", 1)]))
    _wrap(tree)
    tree.set_environment(environment)
    return environment.from_string(tree)


def _wrap(node: nodes.Node) -> None:
    """Have the operations paid for that Jinja does by itself: `~`, comparisons, slices, lists and dictionaries."""
    for field, value in node.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(node, field, _wrapped(value))
        elif isinstance(value, list):
            value[:] = [_wrapped(item) if isinstance(item, nodes.Node) else item for item in value]


def _wrapped(node: nodes.Node) -> nodes.Node:
    _wrap(node)
    if isinstance(node, nodes.Concat):
        return _filtered(nodes.List(node.nodes), "_joined")
    if isinstance(node, nodes.Compare):
        node.expr = _filtered(node.expr, "_weighed")
        for operand in node.ops:
            operand.expr = _filtered(operand.expr, "_weighed")
        return node
    is_made = isinstance(node, nodes.List | nodes.Dict) or (isinstance(node, nodes.Tuple) and node.ctx == "load")
    if is_made or (isinstance(node, nodes.Getitem) and isinstance(node.arg, nodes.Slice)):
        return _filtered(node, "_weighed")
    return node


def _filtered(node: Any, name: str, *args: int) -> nodes.Filter:
    return nodes.Filter(node, name, [nodes.Const(arg) for arg in args], [], None, None)


class _Sandbox(ImmutableSandboxedEnvironment):
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "**", "%"})

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.loopcontrols"],
            optimized=False,  # else constants are worked out while it is compiled, without a budget
            finalize=_written,
            cache_size=0,
        )
        self.globals = {"range": _range, "dict": dict, "namespace": Namespace, "raise_exception": _raise_exception}
        self.filters = {name: _paid(name, self.filters[name]) for name in _FILTERS}
        self.filters |= {"_turns": _turns, "_entered": _entered, "_joined": _joined, "_weighed": _weighed}
        self.tests = {name: _paid_test(test) for name, test in self.tests.items()}
        self.concat = _concat  # type: ignore[method-assign]

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        current.get().pay(STEP + shallow(left) + shallow(right))
        if operator == "%" and isinstance(left, str | bytes):
            _check_format(left)
            weigh(right)
        elif isinstance(left, int) and isinstance(right, int):
            _check_integers(operator, left, right)
        elif operator == "*" and (isinstance(left, int) or isinstance(right, int)):
            times, value = (left, right) if isinstance(left, int) else (right, left)
            if not isinstance(value, float) and times * shallow(value) > MOST_CHARACTERS:
                raise CannotRender("The base's chat template writes too much.")
        elif operator == "**":
            small(left, right)
        return made(super().call_binop(context, operator, left, right))

    def call(__self, __context: Any, __obj: Any, *args: Any, **kwargs: Any) -> Any:
        owner = getattr(__obj, "__self__", None)
        name = getattr(__obj, "__name__", "")
        if isinstance(__obj, Macro | LoopContext) or __obj in (_range, _raise_exception):
            current.get().pay(STEP + sum(map(shallow, args)))
            return super().call(__context, __obj, *args, **kwargs)
        if isinstance(owner, str | list | tuple | Mapping):
            if name not in _METHODS:
                raise CannotRender(f"The base's chat template calls {name}, which is not offered here.")
            args = tuple(list(_counted(arg)) if isinstance(arg, Iterator) else arg for arg in args)
            _check_method(owner, name, args)
        small(*args, *kwargs.values())
        weigh(*args, *kwargs.values())
        return made(super().call(__context, __obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Any:
        formats = super().wrap_str_format(value)
        if formats is None:
            return None
        text = value.__self__

        @functools.wraps(value)
        def wrapper(*args: Any, **kwargs: Any) -> str:
            weigh(text, *args, *kwargs.values())
            named: Any = args[0] if value.__name__ == "format_map" else kwargs
            return made(_Formatter(self).vformat(text, () if named is not kwargs else args, named))

        return wrapper


class _Formatter(SandboxedFormatter):
    def format_field(self, value: Any, format_spec: str) -> Any:
        _check_format(format_spec)
        weigh(value)
        return made(super().format_field(value, format_spec))

    def convert_field(self, value: Any, conversion: Any) -> Any:
        weigh(value)
        return super().convert_field(value, conversion)


_WIDE = re.compile(r"[0-9]{4}|\*")


def _check_format(text: str | bytes) -> None:
    """Refuse a format that asks for a field of a thousand characters or more, or for a width of its own."""
    if _WIDE.search(text if isinstance(text, str) else text.decode("latin-1")):
        raise CannotRender("The base's chat template asks for too much space.")


def _check_integers(operator: str, left: int, right: int) -> None:
    bits = left.bit_length() + right.bit_length()
    if operator == "**":
        bits = max(1, left.bit_length()) * right if 0 <= right <= MOST_BITS else MOST_BITS + 1
        if -1 <= left <= 1 or right < 0:
            bits = 1
    if bits > MOST_BITS:
        raise CannotRender("The base's chat template computes with too large a number.")


def _check_method(owner: Any, name: str, args: Sequence[Any]) -> None:
    """Pay for a method's work, and refuse it if it would make too much."""
    budget, size = current.get(), shallow(owner)
    budget.pay(STEP + size)
    if name in ("index", "count") and not isinstance(owner, str):
        weigh(owner)
    if name in ("rfind", "rindex", "rsplit", "rpartition"):  # these compare again at each place
        budget.pay(size * max(1, shallow(args[0]) // 8) if args else size)
    if name == "replace" and len(args) >= 2:
        budget.pay((size // max(1, shallow(args[0])) + 1) * shallow(args[1]))
    if name == "join" and args:
        budget.pay(shallow(args[0]) * size + weight(args[0], budget.left))
    if name in ("strip", "lstrip", "rstrip") and args:
        budget.pay(size * max(1, shallow(args[0]) // 8))


_METHODS = frozenset(
    re.findall(
        r"\w+",
        "capitalize casefold count endswith find format format_map get index isalnum isalpha isascii isdecimal "
        "isdigit islower isnumeric isspace istitle isupper items join keys lower lstrip partition removeprefix "
        "removesuffix replace rfind rindex rpartition rsplit rstrip split splitlines startswith strip swapcase "
        "title upper values",
    )
)

_FILTERS = re.findall(
    r"\w+",
    "abs attr batch capitalize count d default dictsort e escape first float format groupby indent int items "
    "join last length list lower map max min reject rejectattr replace reverse round safe select selectattr "
    "slice sort string sum title tojson trim unique upper",
)
_LIGHT = frozenset({"attr", "count", "d", "default", "first", "items", "last", "length", "safe"})
"""Filters that do not look into what they are given."""


def _paid(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose work is paid for."""
    kind = getattr(work, "jinja_pass_arg", None)

    @pass_context
    def paid(context: Any, value: Any, *args: Any, **kwargs: Any) -> Any:
        budget = current.get()
        budget.pay(STEP)
        if isinstance(value, Iterator) and name not in _LIGHT:
            value = list(_counted(value))
        small(*args, *kwargs.values())
        if name not in _LIGHT:
            size = weigh(value, *args, *kwargs.values())
            if name in ("sort", "unique", "groupby", "dictsort"):
                budget.pay(size * size.bit_length())
        if name == "sum" and not isinstance(kwargs.get("start", args[1] if len(args) > 1 else 0), int | float):
            raise CannotRender("The base's chat template adds up what are no numbers.")
        if name == "format":
            _check_format(str(value))
        if name == "replace" and len(args) >= 2:
            budget.pay((shallow(value) // max(1, shallow(args[0])) + 1) * shallow(args[1]))
        if name in ("join", "indent"):
            budget.pay(shallow(value) * (1 + max((_number(arg) for arg in (*args, *kwargs.values())), default=0)))
        first = {"_PassArg.context": context, "_PassArg.eval_context": context.eval_ctx}.get(str(kind))
        passed = (first,) if first is not None else (context.environment,) if kind is not None else ()
        result = work(*passed, value, *args, **kwargs)
        return _counted(result) if isinstance(result, Iterator) else made(result)

    return paid


def _number(arg: Any) -> int:
    return int(arg) if isinstance(arg, int) else shallow(arg)


def _paid_test(test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    def paid(*args: Any, **kwargs: Any) -> Any:
        if (budget := current.get(None)) is not None:
            budget.pay(STEP)
            weigh(*args, *kwargs.values())
        return test(*args, **kwargs)

    return paid


def _counted(items: Iterable[Any], cost: int = STEP) -> Iterator[Any]:
    budget = current.get()
    for item in items:
        budget.pay(cost)
        yield item


@pass_context
def _turns(context: Any, items: Any, size: int) -> Any:
    """What a loop goes over. A turn costs as much as the loop's body has parts."""
    turn = STEP + NODE * size
    if isinstance(items, str | list | tuple | Mapping):
        current.get().pay(STEP + len(items) * turn)
        return items
    return _counted(items, turn) if isinstance(items, Iterable) else items


@pass_context
def _entered(context: Any, nothing: str, size: int) -> str:
    """Pay for one run through a macro or a block."""
    current.get().pay(STEP + NODE * size)
    return nothing


@pass_context
def _weighed(context: Any, value: Any) -> Any:
    current.get().pay(STEP)
    weigh(value)
    return value


@pass_context
def _joined(context: Any, values: Sequence[Any]) -> str:
    """`a ~ b`"""
    return made("".join(_text(value) for value in values))


def _text(value: Any) -> str:
    weigh(value)
    return made(str(value))


@pass_context
def _written(context: Any, value: Any) -> Any:
    """What `{{ value }}` writes."""
    return _text(value)


def _concat(pieces: Iterable[str]) -> str:
    budget, written, size = current.get(), list[str](), 0
    for piece in pieces:
        size += len(piece)
        budget.pay(10 + len(piece))
        written.append(piece)
        if size > MOST_CHARACTERS:
            raise CannotRender("The base's chat template writes too much.")
    return "".join(written)


def _range(*args: int) -> range:
    numbers = range(*args)
    if len(numbers) > MOST_CHARACTERS:
        raise CannotRender("The base's chat template counts too far.")
    return numbers


def _raise_exception(message: str) -> None:
    raise CannotRender(f"The base's chat template refused the messages: {message}")
