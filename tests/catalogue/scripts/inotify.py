# SPDX-License-Identifier: Apache-2.0
# What inotify tells of files, by this process and by another.
import ctypes, os, select, struct, subprocess, sys

libc = ctypes.CDLL(None, use_errno=True)
NAMES = {0x2: "MODIFY", 0x4: "ATTRIB", 0x8: "CLOSE_WRITE", 0x10: "CLOSE_NOWRITE", 0x20: "OPEN", 0x40: "MOVED_FROM",
         0x80: "MOVED_TO", 0x100: "CREATE", 0x200: "DELETE", 0x400: "DELETE_SELF", 0x800: "MOVE_SELF", 0x8000: "IGNORED",
         0x40000000: "ISDIR"}
watcher = libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK)
os.mkdir("d")
watch = libc.inotify_add_watch(watcher, b"d", 0xfce)
print("watch", watch, libc.inotify_add_watch(watcher, b"nowhere", 0xfff), os.strerror(ctypes.get_errno()))


def events(what):
    while select.select([watcher], [], [], 0.2)[0]:
        data, at = os.read(watcher, 4096), 0
        while at < len(data):
            w, mask, cookie, length = struct.unpack_from("iIII", data, at)
            name = data[at + 16:at + 16 + length].rstrip(b"\0").decode()
            print(what, w, [text for bit, text in NAMES.items() if mask & bit], cookie != 0, name)
            at += 16 + length


with open("d/a", "w") as file:
    file.write("text")
events("written:")
with open("d/a", "ab", buffering=0) as file:
    for i in range(10):
        file.write(b"gathered or not")
events("appended:")
os.rename("d/a", "d/b")
os.chmod("d/b", 0o600)
events("renamed:")
subprocess.run(["sh", "-c", "echo more >>d/b; mkdir d/e; rm d/b"])
events("by another:")
print("removed", libc.inotify_rm_watch(watcher, watch), libc.inotify_rm_watch(watcher, 99))
events("the end:")
