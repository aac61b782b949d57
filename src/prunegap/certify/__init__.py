"""The checker: it proves an enclosure of a ticket's error and cannot know who found the ticket."""

from prunegap.certify.checker import certify

__all__ = ["certify"]
