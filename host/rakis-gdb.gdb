# SPDX-License-Identifier: Apache-2.0
# Read by gdb where rakis is installed; else: gdb -x host/rakis-gdb.gdb -p PID. Not needed to look, only to go
# on: software SGX runs by these signals, which are no news of the program.
handle SIGSYS SIGILL SIG63 nostop noprint pass
