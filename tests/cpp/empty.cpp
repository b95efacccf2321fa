// A shared library needs a source of its own; what it holds is the static library.
