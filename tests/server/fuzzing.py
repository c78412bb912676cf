"""What a client may send that it should not: bytes for the fuzzing tests, all from one seed."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable

# Commands whose replies do not depend on who runs them, with arguments that may be replaced.
# CLIENT REPLY SKIP is not among them: in Redis an empty line is what it skips, if one follows.
_COMMANDS = (
    b"PING|ECHO hi|SET a 1|GET a|INCR a|DEL a b|RPUSH l a b c|LRANGE l 0 -1|HSET h f v"
    b"|HGETALL h|SADD s 1|TYPE l|EXISTS a|APPEND a xyz|STRLEN a|MULTI|EXEC|DISCARD"
    b"|GETRANGE a 0 -1|MGET a b c|LPOP l|SELECT 1|SELECT 99|NOSUCH thing|GET|set a b zz"
    b"|SETRANGE a 5 x|OBJECT nosuch|CONFIG nosuch|QUIT|LLEN l|CLIENT nosuch|WATCH a"
    b"|SUBSCRIBE c|UNSUBSCRIBE|PSUBSCRIBE p*|PUNSUBSCRIBE x|PUBLISH c m|RESET|UNWATCH"
    b"|CLIENT REPLY OFF|CLIENT REPLY ON|CLIENT GETNAME|CLIENT SETNAME x"
    b"|AUTH a b|AUTH x|UNSUBSCRIBE d|ACL WHOAMI|CLIENT NO-EVICT on|SSUBSCRIBE s"
)
COMMANDS = [line.split() for line in _COMMANDS.split(b"|")]
ODD_NUMBERS = (
    *(
        b"-1",
        b"0",
        b"00",
        b"+1",
        b"01",
        b"",
        b" 1",
        b"1 ",
        b"-0",
        b"1x",
        b"3.5",
        b"0x1",
    ),
    *(b"2147483647", b"2147483648", b"1048577", b"536870912", b"536870913"),
    *(b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808"),
    *(b"1" * 25, b"\0", b"1\0", b"-", b"*", b"$"),
)
ODD_LINES = (
    *(b"\r\n", b"\n", b"\r", b" \r\n", b"\0\r\n", b'"\r\n', b"'\r\n", b'PING "\r\n'),
    *(b'ECHO "a\\x41\\n"\r\n', b"ECHO 'a\\'b'\r\n", b'ECHO "a"b\r\n', b"ECHO 'a'b\r\n"),
    *(b'ECHO a"b"\r\n', b"ECHO a'b\r\n", b'"PING"\r\n', b"''\r\n", b'ECHO ""\r\n'),
    *(b'ECHO "\\xzz\\q"\r\n', b"ECHO \\x41\r\n", b"ECHO a\tb\r\n", b"ECHO \x0b a\r\n"),
    *(
        b"$3\r\nfoo\r\n",
        b":1\r\n",
        b"+OK\r\n",
        b"-ERR\r\n",
        b">1\r\n",
        b"%1\r\n",
        b"~1\r\n",
    ),
    *(b"*1\r\n:1\r\n", b"*1\r\n*1\r\n$4\r\nPING\r\n", b"*1\r\n\r\n", b"*1\r\nPING\r\n"),
    *(b"*0\r\n", b"*-1\r\n", b"*-5\r\n", b"*1\r\n$-1\r\n", b"*1\r\n$0\r\n\r\n"),
    *(
        b"*1\r\n$4\r\nPINGxx",
        b"*1\r\n$3\r\nPING\r\n",
        b"*1\n$4\nPING\n",
        b"*1\r\n$4\nPING\r\n",
    ),
    *(
        b"PING\r",
        b"PING\n",
        b"ping\r\r\n",
        b"PING\0\r\n",
        b"\xff\xfe\r\n",
        b"GET \xc3\xa4\r\n",
    ),
    *(b"*1\rx$4\r\nPING\r\n", b"*1\r\n$4\rxPING\r\n", b"*1\r\n$4\r\nPING\rx*1\r\n"),
)


class Fuzzer:
    """Makes inputs; two of the same seed make the same."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self._kinds: tuple[tuple[Callable[[], bytes], int], ...] = (
            (self.request, 6),
            (self.inline, 4),
            (self.odd_line, 6),
            (self.wrong_count, 3),
            (self.wrong_length, 3),
            (self.flipped, 4),
            (self.cut, 2),
            (self.noise, 1),
        )

    def input(self) -> bytes:
        """Return what one connection sends."""
        kinds = [kind for kind, _ in self._kinds]
        weights = [weight for _, weight in self._kinds]
        number = self.random.randint(1, 6)
        return b"".join(
            kind() for kind in self.random.choices(kinds, weights, k=number)
        )

    def _words(self) -> list[bytes]:
        words = list(self.random.choice(COMMANDS))
        if self.random.random() < 0.2:
            words[self.random.randrange(len(words))] = self._odd_word()
        if self.random.random() < 0.1:
            words.append(self._odd_word())
        return words

    def _odd_word(self) -> bytes:
        return self.random.choice(
            (*ODD_NUMBERS, b"\r\n", b"x" * 5000, b"a b", b'"', b"\xff", b"'")
        )

    def request(self) -> bytes:
        """Return an array of bulk strings as clients send it."""
        words = self._words()
        bulks = b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)
        return b"*%d\r\n%b" % (len(words), bulks)

    def inline(self) -> bytes:
        """Return a line as people type it."""
        end = self.random.choice((b"\r\n", b"\r\n", b"\n"))
        return b" ".join(self._words()) + end

    def odd_line(self) -> bytes:
        """Return something that is nearly the protocol."""
        return self.random.choice(ODD_LINES)

    def wrong_count(self) -> bytes:
        """Return a request that says it is longer or shorter than it is."""
        request = self.request()
        return b"*" + self.random.choice(ODD_NUMBERS) + request[request.index(b"\r") :]

    def wrong_length(self) -> bytes:
        """Return a request with an argument that is not so long."""
        pieces = self.request().split(b"$")
        at = self.random.randrange(1, len(pieces))
        line_end = pieces[at].find(b"\r")
        pieces[at] = self.random.choice(ODD_NUMBERS) + pieces[at][line_end:]
        return b"$".join(pieces)

    def flipped(self) -> bytes:
        """Return a request with a byte changed."""
        request = bytearray(self.request())
        request[self.random.randrange(len(request))] = self.random.randrange(256)
        return bytes(request)

    def cut(self) -> bytes:
        """Return the beginning of a request."""
        request = self.request()
        return request[: self.random.randrange(len(request))]

    def noise(self) -> bytes:
        """Return random bytes."""
        return self.random.randbytes(self.random.choice((1, 10, 100, 1000)))


def answer(port: int, data: bytes, seconds: float = 10) -> bytes:
    """Send bytes and the end, and return all that comes back before the server closes.

    Raises
    ------
    TimeoutError
        When the server neither answers nor closes.
    """
    with socket.create_connection(("127.0.0.1", port), seconds) as sock:
        received = b""
        try:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            while piece := sock.recv(1 << 16):
                received += piece
        except TimeoutError:
            raise
        except OSError:
            # It closed while some of ours was under way, which is an end as well.
            pass
        return received
