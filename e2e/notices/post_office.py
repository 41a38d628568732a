# A mail server: aiosmtpd, which takes mail from whoever has logged in over an encrypted connection. Each mail is a line of JSON.
import json, ssl, sys

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

port, certificate, key, username, password = sys.argv[1:]


class Mailroom:
    async def handle_DATA(self, server, session, envelope):
        mail = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "encrypted": session.ssl is not None}
        mail["text"] = envelope.content.decode("ascii")
        print(json.dumps(mail), flush=True)
        return "250 2.0.0 taken"


def log_in(server, session, envelope, mechanism, data):
    known = LoginPassword(username.encode(), password.encode())
    return AuthResult(success=isinstance(data, LoginPassword) and data == known)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
Controller(
    Mailroom(), hostname="127.0.0.1", port=int(port), tls_context=context, require_starttls=True,
    auth_required=True, authenticator=log_in,
).start()
print("listens", flush=True)
sys.stdin.read()
