"""The one error that users see."""


class MicroexprError(Exception):
    """Something that the user can put right; the message says what, where and what to do.

    The command line prints the message as one line and exits with code 2; nodes log it and
    fail their lifecycle transition. Anything else that is raised is a defect of this package.
    """
