# SPDX-License-Identifier: Apache-2.0
"""memcached's UDP protocol: eight bytes of header, then text."""
import socket
import struct

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(10)
for number, request in enumerate([b"set k 0 0 5\r\nhello\r\n", b"get k\r\n", b"delete k\r\n", b"get k\r\n"]):
    s.sendto(struct.pack("!HHHH", number, 0, 1, 0) + request, ("127.0.0.1", 11211))
    answer = s.recv(2000)
    print(struct.unpack("!HHHH", answer[:8]), answer[8:])
