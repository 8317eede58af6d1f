"""Kills a real store at random moments and checks from outside that it keeps its promises."""
