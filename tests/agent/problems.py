"""Small problems with a right and a wrong program, tests, and tests that nobody is shown."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    text: str
    right: str
    wrong: str
    tests: tuple[str, ...]
    hidden: str


def problem(name: str, argument: str, right: str, wrong: str, *cases: tuple[str, str]) -> Problem:
    """Cases are arguments and results; the last two are hidden."""
    head = f"def {name}({argument}):\n    return "
    checks = [f"assert {name}({given}) == {expected}" for given, expected in cases]
    return Problem(
        f"write {name}({argument})", head + right, head + wrong, (*checks[:-2],), "\n".join(checks[-2:])
    )


PROBLEMS = (
    problem(
        "evens",
        "xs",
        "[x for x in xs if x % 2 == 0]",
        "[x for x in xs if x % 2]",
        ("[1, 2]", "[2]"),
        ("[4]", "[4]"),
        ("[]", "[]"),
        ("[3, 8, 6]", "[8, 6]"),
    ),
    problem(
        "flip", "s", "s[::-1]", "s", ("'ab'", "'ba'"), ("'abc'", "'cba'"), ("''", "''"), ("'xyz'", "'zyx'")
    ),
    problem(
        "total",
        "xs",
        "sum(xs)",
        "sum(xs[1:])",
        ("[1, 2]", "3"),
        ("[5]", "5"),
        ("[]", "0"),
        ("[7, 7, 7]", "21"),
    ),
    problem(
        "vowels",
        "s",
        "sum(c in 'aeiou' for c in s.lower())",
        "sum(c in 'aeiou' for c in s)",
        ("'AE'", "2"),
        ("'Under'", "2"),
        ("'sky'", "0"),
        ("'IO'", "2"),
    ),
    problem(
        "clamp",
        "x, low, high",
        "max(low, min(x, high))",
        "min(low, max(x, high))",
        ("5, 0, 3", "3"),
        ("2, 0, 3", "2"),
        ("-1, 0, 3", "0"),
        ("1, 0, 1", "1"),
    ),
    problem(
        "unique",
        "xs",
        "list(dict.fromkeys(xs))",
        "sorted(set(xs))",
        ("[2, 1, 2]", "[2, 1]"),
        ("[3, 1]", "[3, 1]"),
        ("[]", "[]"),
        ("[9, 8, 9]", "[9, 8]"),
    ),
    problem(
        "power",
        "n",
        "n > 0 and n & (n - 1) == 0",
        "n % 2 == 0",
        ("8", "True"),
        ("6", "False"),
        ("1", "True"),
        ("0", "False"),
    ),
    problem(
        "words",
        "s",
        "len(s.split())",
        "s.count(' ') + 1",
        ("'a b'", "2"),
        ("' a '", "1"),
        ("''", "0"),
        ("'a  b'", "2"),
    ),
    problem(
        "second",
        "xs",
        "sorted(set(xs))[-2]",
        "sorted(xs)[-2]",
        ("[3, 3, 1]", "1"),
        ("[1, 2, 3]", "2"),
        ("[5, 5, 4]", "4"),
        ("[7, 9]", "7"),
    ),
    problem(
        "leap",
        "y",
        "y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)",
        "y % 4 == 0",
        ("1900", "False"),
        ("2024", "True"),
        ("2000", "True"),
        ("2100", "False"),
    ),
)
