"""The measuring rig: what publishes, what watches, what is measured, and what prints it.

    clip       the one stream everybody is given, as FLV tags with a serial number in each frame
    rtmp flv   the smallest clients that are still correct, without a socket in them
    client     joins: an address and a stream name become a playing or publishing socket
    studio     process 1: publishers in real time, and the probes that measure delay
    crowd      process 2: thousands of players that only count
    worker     how the benchmark speaks to these two processes
    servers    livetrio, nginx-rtmp: started, and gone afterwards
    proc       CPU and memory of a process tree, from /proc
    scene      one server with its studio and crowd, and what one window of it showed
    options report
               the command line all benchmarks share, and their Markdown

Nothing here imports livetrio: the rig is a stranger to both servers and treats them alike.
"""
