"""`livetrio doctor`: looks at configuration, host and network, and says what to do.

    finding        Finding: one remark, its level and advice
    diagnosis      all checks of a configuration, one after the other, each under a deadline
    report         findings as text or JSON, and the exit code

Each of the others is one kind of check. Nothing here changes anything, and a running server is
not disturbed: a port that is in use is taken for its own.
"""
