"""A mail server and a mail program of other people: aiosmtpd takes mails, and Python's email package reads them.

Says on one line which ports it has: the first for STARTTLS, the second for TLS from the first byte. Then each mail that it
takes is a line of JSON."""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

certificate, key, username, password = sys.argv[1:]


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 well"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        print(
            json.dumps(
                {
                    "to": envelope.rcpt_tos,
                    "headers": {name: str(value) for name, value in mail.items()},
                    "body": mail.get_content(),
                    "defects": [repr(defect) for defect in mail.defects]
                    + [repr(defect) for _, value in mail.items() for defect in value.defects],
                }
            ),
            flush=True,
        )
        return "250 2.0.0 well"


def known(server, session, envelope, mechanism, data):
    success = (data.login, data.password) == (username.encode(), password.encode())
    # What is not handled here is answered by the server itself, with 535.
    return AuthResult(success=success, handled=False)


async def main():
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    of_both = {"auth_required": True, "authenticator": known, "hostname": "mail.test"}

    def asked():
        return SMTP(Handler(), tls_context=tls, require_starttls=True, **of_both)

    def at_once():
        return SMTP(Handler(), auth_require_tls=False, **of_both)

    loop = asyncio.get_running_loop()
    servers = [
        await loop.create_server(asked, "127.0.0.1", 0),
        await loop.create_server(at_once, "127.0.0.1", 0, ssl=tls),
    ]
    print(*[server.sockets[0].getsockname()[1] for server in servers], flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
