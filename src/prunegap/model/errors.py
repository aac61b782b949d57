"""Bad input raises; running out of time or width never does."""

from __future__ import annotations


class BadInputError(ValueError):
    """An input breaks a rule; the message names the value, the rule and the remedy."""

    def __init__(self, value: str, rule: str, remedy: str) -> None:
        super().__init__(f"{value}: {rule}; {remedy}")
        self.value = value
        self.rule = rule
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[BadInputError], tuple[str, str, str]]:
        """Cross the border of a process whole; a subclass arrives as what it is one of."""
        return BadInputError, (self.value, self.rule, self.remedy)
