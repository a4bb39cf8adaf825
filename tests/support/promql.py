"""As much of Prometheus' language as deploy/alerts.yml uses, over scrapes at times that are handed in.

`make alerts` has the real Prometheus judge the same rules; here no time passes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
#: Seconds that a sample is good for.
STALE = 300.0
_TOKEN = re.compile(r"\s*(\d+(?:\.\d+)?(?![\w\[])|[A-Za-z_]\w*|\"[^\"]*\"|=~|!=|==|>=|<=|\[\w+\]|[-+*/<>=(){},])")
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    "==": lambda a, b: a == b,
}
_COMPUTE: Mapping[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b if b else float("nan"),
}
_AGGREGATE: Mapping[str, Callable[[Sequence[float]], float]] = {"max": max, "min": min, "sum": sum}


def seconds(text: str) -> float:
    return float(text[:-1]) * _UNITS[text[-1]]


@dataclass(frozen=True)
class Scrape:
    """What one target showed at a moment; with `up` as Prometheus adds it."""

    at: float
    samples: Mapping[str, Vector]


def scrape(at: float, text: str | None, job: str = "tollgate-api", instance: str = "api") -> Scrape:
    """None is a target that did not answer."""
    target = {"job": job, "instance": instance}
    found: dict[str, Vector] = {"up": {frozenset(target.items()): 0.0 if text is None else 1.0}}
    for family in text_string_to_metric_families(text or ""):
        for sample in family.samples:
            labels = frozenset({**sample.labels, **target}.items())
            found.setdefault(sample.name, {})[labels] = sample.value
    return Scrape(at, found)


class Query:
    """One expression, read once."""

    def __init__(self, text: str) -> None:
        self._words = list(_words(text))
        self._at = 0
        self._run = self._either()
        if self._at != len(self._words):
            raise ValueError(f"not understood from word {self._at}: {text}")

    def __call__(self, scrapes: Sequence[Scrape], at: float) -> Vector:
        found = self._run(scrapes, at)
        return found if isinstance(found, dict) else {frozenset(): found}

    # Reading, the weakest binding first

    def _either(self) -> _Node:
        left = self._compared()
        while (word := self._peek()) in ("and", "unless", "or"):
            self._next()
            left = _joined(str(word), left, self._compared())
        return left

    def _compared(self) -> _Node:
        left = self._sum()
        while (word := self._peek()) in _COMPARE:
            self._next()
            left = _filtered(str(word), left, self._sum())
        return left

    def _sum(self) -> _Node:
        left = self._product()
        while (word := self._peek()) in ("+", "-"):
            self._next()
            left = _computed(str(word), left, self._product())
        return left

    def _product(self) -> _Node:
        left = self._one()
        while (word := self._peek()) in ("*", "/"):
            self._next()
            left = _computed(str(word), left, self._one())
        return left

    def _one(self) -> _Node:
        word = self._next()
        if word == "(":
            return self._closed(self._either())
        if word[0].isdigit():
            number = float(word)
            return lambda scrapes, at: number
        if word in _AGGREGATE:
            return self._aggregate(word)
        if word in ("abs", "increase", "absent"):
            self._expect("(")
            return self._closed(_FUNCTIONS[word](self._either()))
        return self._selector(word)

    def _aggregate(self, word: str) -> _Node:
        by: list[str] = []
        if self._peek() == "by":
            self._next()
            by = self._names()
        self._expect("(")
        inner = self._closed(self._either())
        return _grouped(word, by, inner)

    def _names(self) -> list[str]:
        self._expect("(")
        found: list[str] = []
        while (word := self._next()) != ")":
            if word != ",":
                found.append(word)
        return found

    def _selector(self, name: str) -> _Node:
        matchers: list[tuple[str, str, str]] = []
        if self._peek() == "{":
            self._next()
            while self._peek() != "}":
                label, how, value = self._next(), self._next(), self._next()
                matchers.append((label, how, value.strip('"')))
                if self._peek() == ",":
                    self._next()
            self._next()
        window = str(self._peek() or "")
        if window.startswith("["):
            return _range(name, matchers, seconds(self._next()[1:-1]))
        return _instant(name, matchers)

    def _closed(self, node: _Node) -> _Node:
        self._expect(")")
        return node

    def _expect(self, word: str) -> None:
        if self._next() != word:
            raise ValueError(f"{word} is expected before word {self._at}")

    def _peek(self) -> str | None:
        return self._words[self._at] if self._at < len(self._words) else None

    def _next(self) -> str:
        self._at += 1
        return self._words[self._at - 1]


_Node = Callable[[Sequence[Scrape], float], "Vector | float"]


def _words(text: str) -> Iterator[str]:
    at, text = 0, text.strip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ValueError(f"not understood: {text[at:]!r}")
        at = found.end()
        yield found[1]


def _fits(labels: Labels, matchers: Sequence[tuple[str, str, str]]) -> bool:
    known = dict(labels)
    for label, how, value in matchers:
        here = known.get(label, "")
        equal = re.fullmatch(value, here) is not None if how == "=~" else here == value
        if equal == (how == "!="):
            return False
    return True


def _instant(name: str, matchers: Sequence[tuple[str, str, str]]) -> _Node:
    def run(scrapes: Sequence[Scrape], at: float) -> Vector:
        found: Vector = {}
        # A series that the newest scrape of its target no longer has is over.
        newest: dict[Labels, Scrape] = {}
        for one in scrapes:
            if at - STALE < one.at <= at:
                newest[next(iter(one.samples["up"]))] = one
        for one in newest.values():
            found |= {labels: value for labels, value in one.samples.get(name, {}).items() if _fits(labels, matchers)}
        return found

    return run


def _range(name: str, matchers: Sequence[tuple[str, str, str]], window: float) -> _Node:
    def run(scrapes: Sequence[Scrape], at: float) -> Vector:
        series: dict[Labels, list[float]] = {}
        for one in scrapes:
            if at - window <= one.at <= at:
                for labels, value in one.samples.get(name, {}).items():
                    if _fits(labels, matchers):
                        series.setdefault(labels, []).append(value)
        # Only of one seen twice it is known by how much it rose; a fall is a process that began anew.
        pairs = {labels: pairwise(values) for labels, values in series.items() if len(values) > 1}
        return {labels: sum(b - a if b >= a else b for a, b in steps) for labels, steps in pairs.items()}

    return run


def _increase(inner: _Node) -> _Node:
    """What a range holds is what it rose by already."""
    return inner


def _abs(inner: _Node) -> _Node:
    return lambda scrapes, at: {labels: abs(value) for labels, value in _vector(inner(scrapes, at)).items()}


def _absent(inner: _Node) -> _Node:
    return lambda scrapes, at: {} if _vector(inner(scrapes, at)) else {frozenset(): 1.0}


_FUNCTIONS: Mapping[str, Callable[[_Node], _Node]] = {"abs": _abs, "increase": _increase, "absent": _absent}


def _vector(found: Vector | float) -> Vector:
    return found if isinstance(found, dict) else {frozenset(): found}


def _grouped(word: str, by: Sequence[str], inner: _Node) -> _Node:
    def run(scrapes: Sequence[Scrape], at: float) -> Vector:
        groups: dict[Labels, list[float]] = {}
        for labels, value in _vector(inner(scrapes, at)).items():
            kept = frozenset(pair for pair in labels if pair[0] in by)
            groups.setdefault(kept, []).append(value)
        return {labels: _AGGREGATE[word](values) for labels, values in groups.items()}

    return run


def _pairs(left: Vector | float, right: Vector | float) -> Iterator[tuple[Labels, float, float]]:
    for labels, value in _vector(left).items():
        other = right.get(labels) if isinstance(right, dict) else right
        if other is not None:
            yield labels, value, other


def _filtered(word: str, left: _Node, right: _Node) -> _Node:
    def run(scrapes: Sequence[Scrape], at: float) -> Vector:
        pairs = _pairs(left(scrapes, at), right(scrapes, at))
        return {labels: value for labels, value, other in pairs if _COMPARE[word](value, other)}

    return run


def _computed(word: str, left: _Node, right: _Node) -> _Node:
    def run(scrapes: Sequence[Scrape], at: float) -> Vector:
        one, two = left(scrapes, at), right(scrapes, at)
        if not isinstance(one, dict) and isinstance(two, dict):
            return {labels: _COMPUTE[word](one, value) for labels, value in two.items()}
        return {labels: _COMPUTE[word](value, other) for labels, value, other in _pairs(one, two)}

    return run


def _joined(word: str, left: _Node, right: _Node) -> _Node:
    def run(scrapes: Sequence[Scrape], at: float) -> Vector:
        one, two = _vector(left(scrapes, at)), _vector(right(scrapes, at))
        if word == "or":
            return {**two, **one}
        return {labels: value for labels, value in one.items() if (labels in two) is (word == "and")}

    return run
