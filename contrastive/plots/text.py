"""Literal text in figures: names are no formulas."""


def literal(text: object) -> str:
    r"""`text` for matplotlib to show letter by letter: a $ in the name of a column begins no formula.

    Example:
        >>> print(literal("price in $ of $x^$"))
        price in \$ of \$x^\$
    """
    return str(text).replace("$", r"\$")
