# SPDX-License-Identifier: Apache-2.0
"""A person at a terminal: terminal.py SCENARIO [PREFIX...]. Says what they say and prints what they see of it.

The program of the scenario is started behind PREFIX, in a terminal of its own.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time

SECONDS = 20


class Terminal:
    def __init__(self, words):
        self.text = ""
        self.process, self.fd = pty.fork()
        if not self.process:
            os.environ.update(TERM="xterm", PS1="ready$ ", HISTFILE="/dev/null", INPUTRC="/dev/null", PAGER="cat")
            self.fd = 0
            self.size(33, 101)
            os.execvp(words[0], words)

    def size(self, rows, columns):
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        time.sleep(0.2)

    def say(self, text):
        os.write(self.fd, text.encode())

    def until(self, pattern):
        """Reads on until this appears; what it matched, which is printed too."""
        end = time.time() + SECONDS
        while not (found := re.search(pattern, self.text)):
            if time.time() > end:
                sys.exit(f"no {pattern!r} in {self.text!r}")
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self.fd, 4096).decode("latin-1")
                except OSError:
                    sys.exit(f"the terminal is closed; no {pattern!r} in {self.text!r}")
        self.text = self.text[found.end():]
        return found[0]

    def see(self, pattern):
        print(repr(self.until(pattern)))

    def foreground(self):
        """Until another process group than the first has the terminal, and has come to rest."""
        end = time.time() + SECONDS
        while os.tcgetpgrp(self.fd) == self.process and time.time() < end:
            time.sleep(0.05)
        time.sleep(1)

    def end(self):
        try:
            while os.read(self.fd, 4096):
                pass
        except OSError:
            pass
        print("status", os.waitpid(self.process, 0)[1])


def python(prefix):
    t = Terminal(prefix + ["/usr/bin/python3", "-q"])

    def line(text, *patterns):
        t.until(">>> $")
        t.say(text)
        for pattern in patterns:
            t.see(pattern)

    line("import os, signal; print(os.isatty(0), os.ttyname(1)[:9], tuple(os.get_terminal_size()))\n", r"True .*\)\r\n")
    line("_ = signal.signal(signal.SIGWINCH, lambda *a: print('changed', tuple(os.get_terminal_size())))\n")
    t.until(r"\n>>> ")
    time.sleep(0.5)  # python itself misses a signal between its prompt and its wait
    t.size(20, 70)
    t.see(r"changed \(.*\)\r\n")
    t.say("1+\x7f+41\n")
    t.see(r"\r\n42\r\n")
    line("while True: pass\n\n")
    time.sleep(1)
    t.say("\x03")
    t.see("KeyboardInterrupt\r\n")
    line("import getpass; print('length', len(getpass.getpass('secret: ')))\n")
    t.until(r"\nsecret: $")
    t.say("hidden\n")
    t.see(r"length 6\r\n")
    line("input('x? ')\n")
    t.until(r"\nx\? $")
    t.say("ab\x7fc\n")
    t.see("'ac'\r\n")
    line("os.system('stty size')\n", "20 70\r\n")
    line("print(os.tcgetpgrp(0) == os.getpgrp(), os.getsid(0) == os.getpid())\n", r"True (True|False)\r\n")
    line("\x04")
    t.end()


def bash(prefix):
    t = Terminal(prefix + ["bash", "--norc", "-i"])
    prompt = lambda: t.until(r"(?<!S1=')ready\$ ")
    prompt()
    t.say("bind 'set enable-bracketed-paste off'; PS1='ready'$'$ '\n")
    prompt()
    t.say("tty | cut -c1-9; echo $LINES $COLUMNS; stty size\n")
    t.see(r"/dev/pts/\r\n33 101\r\n33 101\r")
    t.size(30, 90)
    t.say("\n")
    prompt()
    t.say("echo now $LINES $COLUMNS\n")
    t.see(r"now 30 90\r")
    t.say("sleep 100\n")
    t.foreground()
    t.say("\x1a")
    t.see(r"Stopped +sleep 100")
    t.say("bg; jobs\n")
    t.see(r"Running +sleep 100")
    t.say("fg\n")
    t.foreground()
    t.say("\x03")
    t.until("\\^C")
    t.say("echo status $?\n")
    t.see(r"status 130\r")
    # The background may not read, nor, if that is wished, write.
    t.say("cat & sleep .5; jobs\n")
    t.see(r"Stopped[^\r]*cat")
    t.say("kill %cat; wait; stty tostop; (echo background output; :) & sleep 1; jobs\n")
    t.see(r"Stopped[^\r]*echo background")
    t.say("fg\n")
    t.see(r"background output\r\nready")
    t.say("(stty -tostop) & sleep 1; jobs\n")  # a change by the background stops it
    t.see(r"Stopped[^\r]*stty -tostop")
    t.say("fg; echo back $?\n")
    t.see(r"back 0\r")
    t.say("stty -tostop; trap '' TTOU; (stty tostop; echo ignored $?) & wait; stty -tostop\n")
    t.see(r"ignored 0\r")
    t.say("cat | tr a-z A-Z\n")
    t.foreground()
    t.say("line\n\x04")
    t.see(r"LINE\r")
    t.say("sleep 100 | sleep 101 & sleep .5; kill %%; wait; echo all gone\n")
    t.see(r"all gone\r")
    t.say("set -m; bash -c 'kill -STOP $$; echo continued'; echo stopped $?\n")
    t.see(r"stopped 147\r")
    t.say("fg\n")
    t.see(r"continued\r")
    prompt()
    t.say("exit 5\n")
    t.end()


def redis(prefix):
    port = os.environ["PORT"]
    t = Terminal(prefix + ["redis-cli", "-p", port])

    def command(text, answer):
        """What is typed before the prompt is thrown away."""
        t.until(rf"127.0.0.1:{port}> $")
        t.say(text)
        t.see(answer + r"\r\n")

    command("set key 'a value'\r", r"OK")
    command("get kez\x7fy\r", r'"a value"')
    command("\x1b[A\r", r'"a value"')  # the line before, from the history
    command("lrange none 0 -1\r", r"\(empty array\)")
    t.until(rf"127.0.0.1:{port}> $")
    t.say("quit\r")
    t.end()


def pager(prefix):
    t = Terminal(prefix + ["less", "/usr/share/common-licenses/GPL-3"])
    t.until("GNU GENERAL PUBLIC LICENSE")
    t.say("/WITHOUT ANY\n")
    t.until("ANY WARRANTY|WITHOUT ANY")
    t.size(10, 60)
    t.say("g")
    t.until("GNU GENERAL PUBLIC LICENSE")
    t.say("q")
    t.end()


def editor(prefix):
    t = Terminal(prefix + ["busybox", "vi", "edited"])
    t.until("edited")
    t.say("ifirst line\rsecond\x1b")
    time.sleep(0.3)
    t.say("kdw:wq\r")
    t.end()
    print(repr(open("edited").read()))


def recorded(prefix):
    t = Terminal(["script", "-q", "-e", "-c", " ".join(prefix + ["bash", "--norc", "-c", "'test -t 0 && stty size && read -p name? x && echo got $x; exit 3'"]), "/dev/null"])
    t.see("33 101|0 0|24 80")
    t.until(r"name\?")
    t.say("me\n")
    t.see("got me")
    t.end()


if __name__ == "__main__":
    globals()[sys.argv[1]](sys.argv[2:])
