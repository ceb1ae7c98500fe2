"""What daemons do; Tests/Cgroup has a link to it."""
import os
import subprocess
import time

import martlet


@martlet.function
def leave_a_daemon(path, seconds):
    """Starts a process in a session of its own, as daemons do, and works on."""
    child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
    with open(path + ".part", "w") as file:
        file.write(str(child.pid))
    os.rename(path + ".part", path)
    time.sleep(seconds)
