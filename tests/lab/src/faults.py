"""What the lab wants to go wrong: a list of faults in a file, which is looked at before each call."""

import json
import os
import threading
import time


class Faults:
    def __init__(self, path):
        self.path, self.read, self.faults = path, None, []
        self.lock = threading.Lock()

    def stamp(self):
        try:
            found = os.stat(self.path)
            return found.st_mtime_ns, found.st_ino, found.st_size
        except FileNotFoundError:
            return None

    def take(self, fits):
        """The first fault that fits and whose turn it is, or None."""
        with self.lock:
            stamp = self.stamp()
            if stamp is None:
                return None
            if stamp != self.read:
                with open(self.path, encoding="utf-8") as file:
                    self.faults = json.load(file)
                self.read = stamp
            for fault in filter(fits, self.faults):
                if fault.get("after", 0) > 0:
                    fault["after"] -= 1
                    continue
                if "times" in fault:
                    if fault["times"] <= 0:
                        continue
                    fault["times"] -= 1
                return {**fault, "read": stamp}
            return None

    def outlast(self, fault):
        """Returns when the faults are others than when this one was taken."""
        while self.stamp() == fault["read"]:
            time.sleep(0.02)


class Notes:
    """The calls that were made, one line of JSON for each."""

    def __init__(self, path):
        self.path, self.lock = path, threading.Lock()

    def add(self, **call):
        with self.lock, open(self.path, "a", encoding="utf-8") as file:
            file.write(json.dumps({**call, "time": time.time()}) + "\n")
