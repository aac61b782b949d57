"""Bad input raises; running out of time or width never does."""


class BadInputError(ValueError):
    """An input breaks a rule; the message names the value, the rule and the remedy."""

    def __init__(self, value: str, rule: str, remedy: str) -> None:
        super().__init__(f"{value}: {rule}; {remedy}")
        self.value = value
        self.rule = rule
        self.remedy = remedy
