# SPDX-License-Identifier: Apache-2.0
"""Every public function of ops shows a small example in its docstring, and every example is true."""

from __future__ import annotations

import doctest
import functools
import importlib
import inspect
import pkgutil

import pytest

import isaac_inference.ops

PREFIX = 'isaac_inference.'
MODULES = sorted(
    found.name.removeprefix(PREFIX)
    for found in pkgutil.walk_packages(isaac_inference.ops.__path__, 'isaac_inference.ops.')
)


@functools.cache
def examples(name: str) -> dict[str, doctest.DocTest]:
    """The examples of a module by the name they document; what the module imports is in scope, such as `np`."""
    module = importlib.import_module(PREFIX + name)
    found = doctest.DocTestFinder(exclude_empty=True).find(module, module.__name__)
    return {test.name.removeprefix(f'{module.__name__}.'): test for test in found if test.examples}


def lacking(name: str) -> list[str]:
    """The public functions of a module that show no example."""
    module = importlib.import_module(PREFIX + name)
    functions = {
        key
        for key, value in vars(module).items()
        if not key.startswith('_')
        and inspect.isroutine(inspect.unwrap(value))
        and getattr(value, '__module__', None) == module.__name__
    }
    return sorted(functions - set(examples(name)))


@pytest.mark.parametrize('name', [name for name in MODULES if examples(name)])
def test_examples_are_true(name):
    report: list[str] = []
    for test in examples(name).values():
        doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert not report, ''.join(report)


@pytest.mark.parametrize('name', MODULES)
def test_every_public_function_has_an_example(name):
    missing = lacking(name)
    assert not missing, f'{name}: show two to six lines of small numbers (>>>) in the docstrings of {missing}'
