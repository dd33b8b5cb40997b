"""Starts programs and says what they used, one JSON line for each it is asked for.

This is a process of its own, and a small one, because of how the kernel counts: a program inherits
as its peak the resident memory of the process it was forked from, until exec. Started from a large
process every program would seem at least as large.
"""

import json
import os
import signal
import sys
import time

running = {"pid": 0, "late": False}


def give_up(_signal, _frame):
    running["late"] = True
    if running["pid"]:
        os.killpg(running["pid"], signal.SIGKILL)


def become(request):
    os.setsid()  # so that whatever the program leaves behind can be found and ended
    for descriptor, (path, flags) in enumerate((
            (request["stdin"], os.O_RDONLY),
            (request["stdout"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
            (request["stderr"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC))):
        opened = os.open(path, flags, 0o600)
        os.dup2(opened, descriptor)
        if opened > 2:
            os.close(opened)
    os.chdir(request["directory"])
    os.execvpe(request["command"][0], request["command"], request["environment"])


def run(request):
    begin = time.monotonic()
    running["late"] = False
    pid = os.fork()
    if pid == 0:
        try:
            become(request)
        except OSError as error:
            os.write(2, f"cannot start {request['command'][0]}: {error}\n".encode())
        finally:
            os._exit(127)
    running["pid"] = pid
    signal.setitimer(signal.ITIMER_REAL, request["seconds"])
    _, status, usage = os.wait4(pid, 0)
    wall = time.monotonic() - begin
    signal.setitimer(signal.ITIMER_REAL, 0)
    running["pid"] = 0
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    return {"status": os.waitstatus_to_exitcode(status), "late": running["late"],
            "user": usage.ru_utime, "system": usage.ru_stime, "wall": wall,
            "peak_kib": usage.ru_maxrss, "minor_faults": usage.ru_minflt,
            "major_faults": usage.ru_majflt}


def main():
    signal.signal(signal.SIGALRM, give_up)
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
