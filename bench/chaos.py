"""Kill a process of a system home every second for a minute, and count all letters afterwards.

As root, in a checkout: `PYTHONPATH=src:. python bench/chaos.py [USERS LETTERS SECONDS]`. It needs
Debian's daemontools, and makes and removes accounts.
"""

from __future__ import annotations

import os
import random
import sys
import time

from tests.support import chaos
from tests.support.system_home import PREFIX, SystemHome, why_not

OLD = 3 * 86400


def main() -> None:
    """Run it; exit 1 if a letter is lost, in the wrong place, or left in the queue."""
    if (reason := why_not()) is not None:
        sys.exit(reason)
    numbers = [int(word) for word in sys.argv[1:]] or [50, 10000, 60]
    count, letters, seconds = numbers
    users = [f"u{number}" for number in range(count)]
    with SystemHome(*users) as home:
        home.write("control/defaultdelivery", "./Maildir/\n")
        home.write("control/concurrencylocal", "50\n")
        for user in users:
            home.as_user(user, "maildirmake", "Maildir")
        sys.exit(torment(home, users, letters, seconds))


def torment(home: SystemHome, users: list[str], letters: int, seconds: int) -> int:
    """Send and kill; print what came of it; return 1 if the account does not balance."""
    chance = random.Random(20)
    killed: dict[str, int] = {}
    begin = time.monotonic()
    with chaos.supervised(home):
        load = chaos.Load(home, [PREFIX + user for user in users], letters)
        load.start()
        while time.monotonic() < begin + seconds:
            title = os.path.basename(chaos.kill_at_random(home, chance)) or "nothing"
            killed[title] = killed.get(title, 0) + 1
            time.sleep(1)
        load.wait()
        chaos.settle(home)
        took = time.monotonic() - begin
    lost = twice = strange = 0
    for number, user in enumerate(users):
        found = chaos.letters_of(home, user)
        sent = {each for each, to in load.accepted.items() if to == PREFIX + user}
        lost += len(sent - set(found))
        twice += len(found) - len(set(found))
        strange += sum(each % len(users) != number for each in found)
    for path in chaos.all_queued(home):
        os.utime(path, (time.time() - OLD, time.time() - OLD))
    home.run("qmailctl", "start")
    home.wait(lambda: not chaos.all_queued(home), f"left: {chaos.all_queued(home)}")
    home.run("qmailctl", "stop")
    print(f"{len(load.accepted)} letters for {len(users)} users in {took:.0f} s; killed: {killed}")
    print(f"lost {lost}, in a wrong mailbox {strange}, twice {twice}, left in the queue 0")
    return bool(lost or strange)


if __name__ == "__main__":
    main()
