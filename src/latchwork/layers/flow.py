"""Layers that run at once: each says which calls of the core it needs, and those at hand go to the core together.

A flow is a generator. It yields a list of calls, is sent the list of what they returned, and returns what it is for.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any, TypeAlias, TypeVar

from latchwork import functional

T = TypeVar("T")
Ask = TypeVar("Ask")
Answer = TypeVar("Answer")

Flow: TypeAlias = Generator[list[Ask], list[Answer], T]
Advancing: TypeAlias = Flow[functional.Call, functional.Result, T]
Retreating: TypeAlias = Flow[functional.BackwardCall, functional.Gradients, T]


def run(core: Callable[[list[Ask]], list[Answer]], flow: Flow[Ask, Answer, T]) -> T:
    """What the flow returns; `core` answers its calls.

    >>> def doubled(n):
    ...     [found] = yield [n]
    ...     return found
    >>> run(lambda numbers: [2 * n for n in numbers], doubled(3))
    6
    """
    try:
        calls = next(flow)
        while True:
            calls = flow.send(core(calls))
    except StopIteration as stop:
        found: T = stop.value
        return found


def side_by_side(*flows: Flow[Ask, Answer, T]) -> Flow[Ask, Answer, list[T]]:
    """Several flows as one: what they ask for at a time is asked for together.

    >>> def doubled(n):
    ...     [found] = yield [n]
    ...     return found
    >>> run(lambda numbers: [len(numbers) * n for n in numbers], side_by_side(doubled(3), doubled(4)))
    [6, 8]
    """
    found: dict[int, T] = {}
    answers: dict[int, Any] = dict.fromkeys(range(len(flows)))  # the first thing sent to a generator is None
    while answers:
        asked: dict[int, list[Ask]] = {}
        for i, answer in answers.items():
            try:
                asked[i] = flows[i].send(answer)
            except StopIteration as stop:
                found[i] = stop.value
        every = iter((yield [call for calls in asked.values() for call in calls]) if asked else [])
        answers = {i: [next(every) for _ in calls] for i, calls in asked.items()}
    return [found[i] for i in range(len(flows))]
