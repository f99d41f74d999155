"""Clients for one test, where no common tool acts in the way that is wanted. Standard library only, but for `feed`.

    knock.py mail-session|pop3-session|ftp-session SERVER PASSWORD...   one session a password
    knock.py telnet SERVER PASSWORD,PASSWORD... [COMMAND...]            guesses in one conversation, then shell lines
    knock.py feed SERVER WORDS...                                       messages over one WebSocket
    knock.py http|tls|connect|dns SERVER SOURCE PER_SECOND SECONDS      paced requests, hellos, connections, ANY queries
    knock.py slow-header|slow-body|slow-read SERVER SOURCE COUNT SECONDS

Every act is bounded by its arguments; a server that stops answering ends it.
"""

import ftplib
import imaplib
import poplib
import socket
import ssl
import struct
import sys
import time

ACCOUNT = "clerk"
PATIENCE = 15


def mail_session(server, *passwords):
    for password in passwords:
        box = imaplib.IMAP4(server)
        try:
            box.login(ACCOUNT, password)
            box.select("INBOX")
            box.append("INBOX", None, None, b"Subject: tides\r\n\r\nHigh at noon.\r\n")
            box.search(None, "ALL")
            box.fetch("1", "(RFC822)")
        except imaplib.IMAP4.error as error:
            print(error)
        box.logout()


def pop3_session(server, *passwords):
    for password in passwords:
        box = poplib.POP3(server)
        try:
            box.user(ACCOUNT)
            box.pass_(password)
            box.list()
        except poplib.error_proto as error:
            print(error)
        box.quit()


def ftp_session(server, *passwords):
    for password in passwords:
        files = ftplib.FTP(server)
        try:
            files.login(ACCOUNT, password)
            files.nlst()
            files.retrbinary("RETR tides.txt", print)
        except ftplib.error_perm as error:
            print(error)
        files.close()


def answer(out, line, option):
    """Refuses what the server asks for and takes the echo and go-ahead that it offers (RFC 854, 857, 858)."""
    if line == 253:
        out.sendall(bytes([255, 252, option]))
    elif line == 251:
        out.sendall(bytes([255, 253 if option in (1, 3) else 254, option]))


def said(line, words):
    """What the server says until one of the words."""
    text = b""
    while not any(word in text for word in words):
        part = line.recv(4096)
        if not part:
            break
        at = 0
        while at < len(part):
            if part[at] != 255 or at + 2 >= len(part):
                text += part[at:at + 1]
                at += 1
            elif part[at + 1] == 250:
                at = part.find(b"\xff\xf0", at) + 2
            else:
                answer(line, part[at + 1], part[at + 2])
                at += 3
    return text


def telnet(server, passwords, *commands):
    prompts = [b"login: ", b"$ ", b"# "]
    line = socket.create_connection((server, 23), PATIENCE)
    text = said(line, prompts)
    for password in passwords.split(","):
        line.sendall(ACCOUNT.encode() + b"\r\n")
        said(line, [b"assword: "])
        line.sendall(password.encode() + b"\r\n")
        text = said(line, prompts)
        print(text)
    for command in commands:
        line.sendall(command.encode() + b"\r\n")
        print(said(line, prompts[1:]))
    line.close()


def feed(server, *messages):
    import asyncio
    import websockets

    async def talk():
        async with websockets.connect(f"ws://{server}:8090/news", compression=None) as line:
            for words in messages:
                await line.send(words)
                print(await line.recv())

    asyncio.run(talk())


def request_page(server, source, kept):
    line = kept or socket.create_connection((server, 80), PATIENCE, (source, 0))
    line.sendall(b"GET /news.html HTTP/1.1\r\nHost: www.town.example\r\nUser-Agent: loader\r\n\r\n")
    page = b""
    while b"</html>" not in page:
        part = line.recv(65536)
        if not part:
            return None
        page += part
    return line


def greet(server, source, _):
    line = socket.create_connection((server, 443), PATIENCE, (source, 0))
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context.wrap_bio(incoming, outgoing, server_hostname="www.town.example")
    try:
        hello.do_handshake()
    except ssl.SSLWantReadError:
        line.sendall(outgoing.read())
    line.close()


def connect(server, source, _):
    socket.create_connection((server, 80), PATIENCE, (source, 0)).close()


def ask_any(server, source, kept):
    if kept is None:
        kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        kept.bind((source, 4444))
        kept.setblocking(False)
    question = b"\4town\7example\0" + struct.pack(">2H", 255, 1)
    room = b"\0" + struct.pack(">HHIH", 41, 4096, 0, 0)
    kept.sendto(struct.pack(">6H", 7, 0x0100, 1, 0, 0, 1) + question + room, (server, 53))
    try:
        while kept.recv(9000):
            pass
    except BlockingIOError:
        pass
    return kept


def paced(act, server, source, per_second, seconds):
    begin, kept = time.monotonic(), None
    count = int(float(per_second) * float(seconds))
    for number in range(count):
        kept = act(server, source, kept)
        time.sleep(max(0, begin + (number + 1) / float(per_second) - time.monotonic()))
    print(count, "in", time.monotonic() - begin, "seconds")


UNFINISHED = {
    "slow-header": b"GET /news.html HTTP/1.1\r\nHost: www.town.example\r\n",
    "slow-body": b"POST /contact.html HTTP/1.1\r\nHost: www.town.example\r\nContent-Length: 100000\r\n\r\nmessage=",
    "slow-read": b"GET /map.jpg HTTP/1.1\r\nHost: www.town.example\r\n\r\n" * 3,
}


def begin_slowly(kind, server, source):
    line = socket.socket()
    if kind == "slow-read":
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    line.settimeout(PATIENCE)
    line.bind((source, 0))
    line.connect((server, 80))
    line.sendall(UNFINISHED[kind])
    return line


def slow(kind, server, source, count, seconds):
    lines = [begin_slowly(kind, server, source) for _ in range(int(count))]
    begin = time.monotonic()
    while time.monotonic() - begin < float(seconds):
        time.sleep(5)
        for index, line in enumerate(lines):
            try:
                if kind == "slow-read":
                    line.recv(64)
                else:
                    line.sendall(b"X-Later: 1\r\n" if kind == "slow-header" else b"a")
            except OSError:
                lines[index] = begin_slowly(kind, server, source)


ACTS = {
    "mail-session": mail_session,
    "pop3-session": pop3_session,
    "ftp-session": ftp_session,
    "feed": feed,
    "telnet": telnet,
    "http": lambda *rest: paced(request_page, *rest),
    "tls": lambda *rest: paced(greet, *rest),
    "connect": lambda *rest: paced(connect, *rest),
    "dns": lambda *rest: paced(ask_any, *rest),
} | {kind: (lambda *rest, kind=kind: slow(kind, *rest)) for kind in UNFINISHED}

if len(sys.argv) < 3 or sys.argv[1] not in ACTS:
    sys.exit(__doc__)
ACTS[sys.argv[1]](*sys.argv[2:])
