"""What Python scripts in containers may import: `from kantoo.hello import *`.

The folder stands at /entropy/plugins/kantoo while a step runs, beside the step's own script, and is
gone before the commit. Its modules run with the Python of the image, maybe a minimal one: they use
the core of the standard library only.
"""
