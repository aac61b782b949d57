"""Compiled inner loops: pure functions of bare arrays that know no network and no ticket."""
