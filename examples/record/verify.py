#!/usr/bin/env python3
"""Checks the proof of a request that `kubectl daypass proof` wrote: verify.py FILE LOG_KEY [WITNESS_KEY ...]

A second implementation of daypass.dev/proof/v1, of the standard library alone: RFC 6962, RFC 8032, RFC 8785 as far as records
go, and C2SP signed-note, tlog-checkpoint and tlog-cosignature. LOG_KEY is NAME+ID+KEY, and NAME the origin of the log.
"""
import base64
import hashlib
import json
import re
import sys

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


class Bad(Exception):
    pass


def need(holds, why):
    if not holds:
        raise Bad(why)


def b64(text):
    data = base64.b64decode(text, validate=True)
    need(base64.b64encode(data).decode() == text, "base64 is not written in the one way there is")
    return data


# Ed25519, RFC 8032, section 6.
def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(s, p):
    q = (0, 1, 1, 0)
    while s > 0:
        q, p, s = (add(q, p) if s & 1 else q), add(p, p), s >> 1
    return q


def point(data):
    number = int.from_bytes(data, "little")
    y, sign = number & (2**255 - 1), number >> 255
    need(y < P, "no point of the curve")
    x2 = (y * y - 1) * pow(D * y * y + 1, -1, P)
    x = pow(x2, (P + 3) // 8, P)
    x = x if (x * x - x2) % P == 0 else x * pow(2, (P - 1) // 4, P) % P
    need((x * x - x2) % P == 0 and (x or not sign), "no point of the curve")
    x = x if x & 1 == sign else P - x
    return x, y, 1, x * y % P


def signed(public, message, signature):
    need(len(public) == 32 and len(signature) == 64, "a key or signature of another length")
    s, base = int.from_bytes(signature[32:], "little"), point((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    p, q = multiply(s, base), add(point(signature[:32]), multiply(h, point(public)))
    need(s < L and (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0, "a wrong signature")


# Canonical JSON, RFC 8785, of whole numbers and ASCII names.
def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def number(text):
    need(re.fullmatch(r"-?\d+", text) and abs(int(text)) < 2**53, f"{text} is no whole number under 2^53")
    return int(text)


def members(pairs):
    need(all(name.isascii() for name, _ in pairs), "a name that is not ASCII")
    return dict(pairs)


def has(value, *names):
    need(set(value) == set(names), f"not just {', '.join(names)}")


def checkpoint(note, log, witnesses):
    """Size and root, and the names of the witnesses."""
    body, _, lines = note.rpartition("\n\n")
    need(not re.search(r"[\0-\x09\x0b-\x1f]", note), "a control character in the note")
    text, signers = body + "\n", set()
    need(lines.endswith("\n"), "the last line has no end")
    for line in lines[:-1].split("\n"):
        dash, name, data = line.split(" ")
        need(dash == "\u2014", "a line that is no signature")
        data = b64(data)
        for key in [log, *witnesses]:
            key_name, key_id, public = key.split("+", 2)
            public = b64(public)
            real_id = hashlib.sha256(key_name.encode() + b"\n" + public).digest()[:4]
            need(real_id.hex() == key_id and public[0] == (1 if key == log else 4), f"{key_name} is no key for this")
            if (name, data[:4]) != (key_name, real_id):
                continue
            if key == log:
                signed(public[1:], text.encode(), data[4:])
            else:
                time = int.from_bytes(data[4:12], "big")
                signed(public[1:], f"cosignature/v1\ntime {time}\n{text}".encode(), data[12:])
            signers.add(key)
    need(log in signers, "the log has not signed")
    origin, size, root, *_ = text.split("\n")
    need(origin == log.split("+")[0], "a checkpoint of another log")
    need(re.fullmatch(r"0|[1-9]\d*", size), "no size")
    return int(size), b64(root), sorted(key.split("+")[0] for key in signers - {log})


def root_of(leaf, place, size, path):
    if size == 1:
        need(not path, "a path that is too long")
        return leaf
    need(path, "a path that is too short")
    k = 1 << (size - 1).bit_length() - 1
    if place < k:
        return hashlib.sha256(b"\1" + root_of(leaf, place, k, path[:-1]) + path[-1]).digest()
    return hashlib.sha256(b"\1" + path[-1] + root_of(leaf, place - k, size - k, path[:-1])).digest()


def opened(entry, openings):
    """The record with what is shown, and its digest where all of it is."""
    record, commitments = json.loads(canonical(entry["record"])), entry.get("commitments", {})
    for path, opening in openings.items():
        has(opening, "salt", "value")
        salt, value, name = b64(opening["salt"]), opening["value"], path.encode()
        need(len(salt) == 32 and path in commitments, f"{path} is not committed to")
        data = b"daypass.dev/commitment/v1\0" + len(name).to_bytes(8, "big") + name + salt + canonical(value).encode()
        need(commitments[path] == "sha256:" + hashlib.sha256(data).hexdigest(), f"{path} was changed")
        if path != "digest":
            at, names = record, path[1:].split("/")
            for name in names[:-1]:
                at = at.setdefault(name, {})
            at[names[-1]] = value
    own = openings.get("digest", {}).get("value")
    if set(openings) | {"digest"} == set(commitments) | {"digest"}:
        real = "sha256:" + hashlib.sha256(canonical(record).encode()).hexdigest()
        need(own in (None, real), "the record has another digest")
        own = real
    return record, own


def verify(text, log, witnesses):
    text = text.removesuffix("\n")
    file = json.loads(text, parse_int=number, parse_float=number, object_pairs_hook=members)
    has(file, "checkpoint", "leaves", "schema")
    need(canonical(file) == text and file["schema"] == "daypass.dev/proof/v1", "not canonical, or of another schema")
    size, root, seen_by = checkpoint(file["checkpoint"], log, witnesses)
    print(f"the log signed {size} leaves; witnesses: {', '.join(seen_by) or 'none'}")
    need(file["leaves"], "no leaf")
    before = None
    for leaf in file["leaves"]:
        has(leaf, "entry", "openings", "path", "place")
        entry, place = leaf["entry"], leaf["place"]
        has(entry, "record", "schema", *{"commitments"} & set(entry))
        need(entry["schema"] == "daypass.dev/leaf/v1" and 0 <= place < size, "no leaf of this log")
        data = hashlib.sha256(b"\0" + canonical(entry).encode()).digest()
        need(root_of(data, place, size, [b64(h) for h in leaf["path"]]) == root, f"leaf {place} is not in the log")
        record, own = opened(entry, leaf["openings"])
        index, previous = record["index"], record.get("previous")
        same = (record["cluster"], record["request"]["uid"])
        need(record["id"] == f"{same[1]}/{index}", "a leaf with two names")
        need(("/previous" in entry.get("commitments", {})) == (index > 0), "a chain that begins twice")
        linked = "not shown"
        if before:
            need(same == before[0] and index > before[1] and place > before[2], "another request, or another order")
            if index == before[1] + 1 and previous and before[3]:
                need(previous == before[3], f"record {index} follows another one")
                linked = "follows the one before"
        hidden = sorted(set(entry.get("commitments", {})) - set(leaf["openings"]))
        print(f"{index}: {record['at']} {record['kind']}; leaf {place}; {linked if index else 'the first'}; "
              f"hidden: {' '.join(hidden) or 'nothing'}")
        before = (same, index, place, own)


if __name__ == "__main__":
    try:
        verify(open(sys.argv[1], encoding="utf-8", newline="").read(), sys.argv[2], sys.argv[3:])
    except (Bad, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as fault:
        sys.exit(f"BAD: {fault}")
