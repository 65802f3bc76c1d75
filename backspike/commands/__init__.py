"""The verbs of the command ``backspike``, a module each."""
