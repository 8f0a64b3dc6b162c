"""Answers meant to break a verifier: none is right, and none may be more than called wrong.

`{canary}` stands for a path that must not come to be, `{right}` for the answer that would be
correct.
"""

from collections.abc import Iterator

DEEP, LONG, HUGE = 3_000, 20_000, 500_000


def huge_numbers() -> Iterator[str]:
    yield from (
        "9**9**9**9",
        "9 ^ 9 ^ 9 ^ 9",
        "9^{9^{9^{9}}}",
        r"\boxed{9^{9^{9}}}",
        r"\frac{1}{10^{10^{10}}}",
        "(10^9)!",
        "factorial(10**9)",
        "9!" * 20,
        "2**(10**10)",
        "x**(10**10)",
        "(1.1)**(10**12)",
        "1e400",
        "1e999999999",
        "1E-99999",
        "7 + 5 1e400",
        "9 * 9 99999999999999999999",
        "9" * HUGE,
        "9" * (4 * HUGE) + " + 1 2",
        "0." + "3" * HUGE,
        "1/" + "3" * HUGE,
        "0x" + "f" * LONG,
        "0b" + "1" * LONG,
        "1_0 * 3 30",
        "1" + ",000" * LONG,
        "inf",
        "-inf",
        "nan",
        "Infinity",
        "NaN",
        "1e309",
        "0/0",
        "0 / 0 0",
        "7 / 0 36",
        r"\frac{1}{0}",
        "0^{0}",
        r"\infty - \infty",
        "0.1 + 0.2i",
    )


def deep_nesting() -> Iterator[str]:
    for opening, closing in (
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("f(", ")"),
        ("sin(", ")"),
        ("sqrt(", ")"),
        ("-(", ")"),
        ("1+(", ")"),
        ("x^{", "}"),
        (r"\frac{1}{", "}"),
        (r"\sqrt{", "}"),
        (r"\boxed{", "}"),
        (r"\left(", r"\right)"),
        (r"\begin{matrix}", r"\end{matrix}"),
        ("{'a':", "}"),
        ("$", "$"),
    ):
        yield opening * DEEP + "7" + closing * DEEP
        yield opening * LONG
    yield from (
        "lambda: " * DEEP + "1",
        "not " * LONG + "1",
        "-" * LONG + "1",
        "~" * LONG + "1",
        "1 + " * LONG + "1",
    )
    yield from (
        "7 + 5 12 " * LONG,
        "1," * LONG,
        "x=" * DEEP + "1",
        "2^" * DEEP + "2",
        "1/" * DEEP + "1",
        "|" * LONG,
    )


def control_characters() -> Iterator[str]:
    yield "\x00" * LONG
    yield "\x1b[2J\x1b[H{right}"
    yield "\x1b]0;title\x07{right}"
    for code in (0, 1, 4, 7, 8, 16, 24, 26, 27, 127, 0x80, 0x9B, 0xAD):
        yield f"7{chr(code)}1 + 5"
        yield chr(code)
    yield from ("{right}\x00", "\x00{right}", "{right}\x7f", "\x08{right}", "{right}\r\x00\n")


def look_alikes() -> Iterator[str]:
    yield from (
        "７ + ５ １２ １２ * ３ ３６",
        "٧ + ٥ ١٢ ١٢ * ٣ ٣٦",
        "७ + ५ १२ १२ * ३ ३६",
        "๗ + ๕ ๑๒ ๑๒ * ๓ ๓๖",
        "7 ＋ 5 12 12 ＊ 3 36",
        "7 + 5 12 12 × 3 36",
        "7 + 5 12 12 ∗ 3 36",
        "7 − 5 2",
        "⁷ + ⁵ ¹² ¹² * ³ ³⁶",
        "⑦ + ⑤ ⑫ ⑫ * ③ ㊱",
        "𝟕 + 𝟓 𝟏𝟐 𝟏𝟐 * 𝟑 𝟑𝟔",
        "Ⅶ + Ⅴ Ⅻ Ⅻ * Ⅲ 36",
        "三十六",
        "½",
        "x² + С",  # a Cyrillic letter
        "ѕіn(х)",
        "ｘ**２/２ + Ｃ",
        "𝒙^𝟐",
        "\u202e{right}",
        "\u2066{right}\u2069",
        "\ufeff{right}",
        "\u200b{right}",
        "{right}\u200d",
        "7\u200b + 5 12 12 * 3 36",
        "7\u00a0+\u20035\u3000 12",
        "7\u037e5",
        "\ud800",
        "\udfff{right}",
        "\udcff" * LONG,
        "\ufffe\uffff",
        "\U0010ffff" * 1000,
        "\ue000" * 1000,
        "a\u0301" * LONG,
        "1" + "\u0336" * LONG,
        "👩‍👩‍👧‍👦" * 1000,
        "🏴\U000e0067\U000e007f" * 1000,
        "İ" * LONG,
        "ﷺ" * LONG,
        "ẞ" * LONG,
    )


def code() -> Iterator[str]:
    yield from (
        "__import__('os').system('touch {canary}')",
        "__import__('subprocess').run(['touch', '{canary}'])",
        "__import__('pathlib').Path('{canary}').touch()",
        "__import__('shutil').rmtree('.')",
        "__import__('os').fork()",
        "__import__('os').kill(1, 9)",
        "__import__('socket').create_connection(('127.0.0.1', 9))",
        "__import__('ctypes').string_at(0)",
        "__import__('signal').pause()",
        "__import__('time').sleep(60)",
        "__import__('builtins').open('{canary}', 'w')",
        "open('{canary}', 'w').write('x')",
        "[open('{canary}', 'w')]",
        "(lambda: open('{canary}', 'w'))()",
        "print(open('{canary}', 'a'))",
        "exec(\"import os; os.system('touch {canary}')\")",
        "eval(\"open('{canary}', 'w')\")",
        "compile('1', '{canary}', 'exec')",
        "().__class__.__bases__[0].__subclasses__()",
        "().__class__.__mro__[1].__subclasses__()[-1]",
        "[].__class__.__base__.__subclasses__()[104].load_module('os').system('touch {canary}')",
        "import os; os._exit(0)",
        "from os import system; system('touch {canary}')",
        "exit()",
        "quit(0)",
        "raise SystemExit",
        "raise KeyboardInterrupt",
        "print('correct')",
        "breakpoint()",
        "help()",
        "input()",
        "globals().update(score_answer=1)",
        "vars().clear()",
        "setattr(SpiralMatrixDataset, 'score_answer', lambda *_: 1.0)",
        "__builtins__.clear()",
        "while True: pass",
        "[x for x in iter(int, 1)]",
        "[0] * 10 ** 12",
        "'a' * 10 ** 12",
        "list(range(10 ** 12))",
        "bytearray(10 ** 12)",
        "(y := 10 ** 10 ** 10)",
        'f\'{open("{canary}", "w")}\'',
        "class A: pass",
        "def f(): f()\nf()",
        'S(\'__import__("os").system("touch {canary}")\')',
        'sympify(\'open("{canary}", "w")\')',
        "Symbol('x').__class__",
        'lambdify(x, \'open("{canary}", "w")\')()',
        "Function('f')(x).func",
        "N(pi, 10**9)",
        "factorint(2**1024 - 1)",
        "nextprime(10**100000)",
        "solve(x**x**x - 2, x)",
        "Integral(x**x, x)",
        "x.subs(x, 1)",
    )


def symbols() -> Iterator[str]:
    yield from (
        "(x+1)^{100000}",
        "(x + y)**99999 + C",
        "x^{1000000} - 1 = 0",
        " + ".join(f"x^{{{n}}}" for n in range(2000)),
        "*".join(f"(x+{n})" for n in range(300)),
        "+".join(["sin(x)"] * 300),
        r"\int_0^{\infty} \frac{\sin(x^{x^{x}})}{x} dx",
        r"\int_0^1 \int_0^1 \int_0^1 x^{y^{z}} dx dy dz",
        r"\sum_{n=1}^{10^{12}} n^{n}",
        r"\begin{pmatrix}"
        + r"\\".join("&".join(["x^{9}"] * 30) for _ in range(30))
        + r"\end{pmatrix}^{99}",
        r"\det\begin{pmatrix}"
        + r"\\".join("&".join("abcdefgh") for _ in range(8))
        + r"\end{pmatrix}",
        r"\{1, 2, 3\} \times \{" + ", ".join(map(str, range(3000))) + r"\}",
        r"x \in [0, 1] \cup " + r" \cup ".join(f"({n}, {n + 0.5})" for n in range(500)),
        "sin(" * 9 + "x" + ")" * 9,
        "log(log(log(0)))",
        "tan(pi/2)",
        "sqrt(" * 20 + "2" + ")" * 20,
        "C",
        "x" * 2000,
    )


def patterns() -> Iterator[str]:
    yield from (
        "(a+)+$",
        "a" * LONG + "!",
        ".*" * DEEP,
        "\\" * (LONG + 1),
        "$" * (LONG + 1),
        "$" + "a" * LONG,
        "$x$ and " * DEEP,
        r"\(" * LONG,
        r"\[" * LONG,
        r"\boxed{" + "}" * LONG,
        r"\boxed{1}" * DEEP,
        "answer:" * 20_000,
        "final answer is " * DEEP + "7",
        " " * 200_000 + "x",
        "\n" * 100_000,
        "1 " * LONG,
        "1, " * LONG,
        "1 and " * DEEP + "2",
        "=" * LONG,
        "%" * LONG,
        "#" * LONG,
        "\t7" * LONG,
        "%s%n%x" * 1000,
        "%999999999d",
        "%(reward)s",
        "{0.__class__.__init__.__globals__}",
        "{:>999999999}",
        "{{7*7}}",
        "{% for x in range(10**9) %}{% endfor %}",
        "${7*7}",
        "${jndi:ldap://127.0.0.1/a}",
        "'; DROP TABLE problems; --",
        "<script>alert(1)</script>",
        "$(touch {canary})",
        "`touch {canary}`",
        "; touch {canary}",
        "| tee {canary}",
        "> {canary}",
        r"\write18{touch {canary}}",
        r"\input{/etc/passwd}",
        r"\immediate\openout1={canary}",
        r"\def\x{\x\x}\x",
        r"\newcommand{\a}{\a\a}\a",
        r"\text{" + "a" * LONG + "}",
        "!!python/object/apply:os.system ['touch {canary}']",
        "&a [*a, *a]",
        "cos\nsystem\n(S'touch {canary}'\ntR.",
        "<!DOCTYPE a [<!ENTITY b 'cc'>" + "<!ENTITY b '&b;&b;'>" * 100 + "]><a>&b;</a>",
        '{"__tuple__": [' * DEEP,
        '{"score": 1.0, "verdict": "correct"}',
        "[" + "[1, 2], " * LONG + "]",
        "[[1e400, -1e400]]",
        "Q\n" * LONG,
        "_ " * LONG,
    )


def claims() -> Iterator[str]:
    yield from (
        "correct",
        "Verdict.CORRECT",
        "True",
        "None",
        "reward = 1",
        "score_answer",
        "36 + 0 36",
        "7 5 3 36",
        "{right} {right}",
        "# {right}",
        "not {right} but {right}1",
        "<answer>",
        "<answer></answer><answer>",
        "</think>",
        "<eos>",
        "",
        " \n\t",
    )


HOSTILE = tuple(
    dict.fromkeys(
        text
        for kind in (
            huge_numbers,
            deep_nesting,
            control_characters,
            look_alikes,
            code,
            symbols,
            patterns,
            claims,
        )
        for text in kind()
    )
)


def aimed(text: str, canary: str, right: str) -> str:
    """A text with its placeholders filled in."""
    return text.replace("{canary}", canary).replace("{right}", right)
