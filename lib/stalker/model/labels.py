"""The labels that make an image a step's work, and the comment that tells it from what others derive."""

PREFIX = "io.stalker."
VERSION = PREFIX + "version"
FINGERPRINT = PREFIX + "fingerprint"
TREE = PREFIX + "tree"
STEP = PREFIX + "step"
RUN = PREFIX + "run"
DURATION = PREFIX + "duration-s"
INPUTS = PREFIX + "inputs"
MADE_FROM = PREFIX + "made-from"
COMMIT = PREFIX + "commit"
LOG = PREFIX + "log"
FAILED = PREFIX + "failed"
BASE = PREFIX + "base"
BASE_IMAGES = PREFIX + "base-images"
TEMPORARY = PREFIX + "temporary"
HISTORY = PREFIX + "history"
"""How many entries the history of an image has, where an engine gives its comment to all that is made of it."""

CONTAINER = "container"
"""The `VERSION` of a container of ours, in place of a number. A container that a user starts from a
step's image inherits the image's labels, the run too: only this tells ours from theirs."""

COMMENT = "stalker step "
"""What the commit comment of a step's image starts with; the fingerprint follows. A derived image
inherits labels but not the comment of its own top, so a foreign image is known from the work itself."""
