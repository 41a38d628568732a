#!/usr/bin/env python3
"""Checks an evidence pack of Daypass. Reads the pack and nothing else, and needs Python alone (3.9 or later).

    python3 check_pack.py FOLDER
    python3 check_pack.py FILE.tar.gz

It takes no table for granted: it makes each of them again from the records, by rules of its own, and names what differs.
Exit code 0: nothing is wrong. 1: something is, and each is named. 2: there is no pack to read.
"""

import csv
import datetime
import hashlib
import io
import json
import os
import sys
import tarfile

MOST_SHOWN = 20
MADE_OF_RECORDS = ["population.csv", "grants.csv", "approvals.csv", "break-glass.csv", "exceptions.csv", "policies.csv"]
BY_DIGEST_ALONE = ["standing.csv", "activity.jsonl", "README.txt"]
EXCEPTIONS = {
    "BindingRestored", "BreakGlass", "ClockWrong", "Extended", "Failed", "Frozen", "GuardMissing", "HistoryFull", "Idle",
    "PolicyChanged", "ReviewIgnored", "ReviewOverdue", "Revoked", "RoleChanged", "Suspended", "Unjustified", "Unrecorded",
    "WrittenInGap",
}
KINDS = EXCEPTIONS | {
    "Requested", "Deleted", "PolicyNotReady", "ApprovalNeeded", "Escalated", "Reviewed", "ReviewWithdrawn", "Approved",
    "WaitingForStart", "AwaitingRecord", "RoleUnusable", "RightUnknown", "FreezeAhead", "Binding", "Extending", "Granted",
    "Resumed", "Denied", "Lapsed", "Expired", "ReviewOpen", "Justified",
}
# Name of a rule: its table, which rows it is about, in which of them it held. ANY is any word.
ANY = object()
MEASURES = {
    "chain-whole": ("population.csv", None, ("chain", ["whole"])),
    "asker-known": ("population.csv", None, ("requester", ANY)),
    "reason-given": ("population.csv", None, ("reasonGiven", ["yes"])),
    "refused-without-access": ("population.csv", ("result", ["Denied", "Lapsed", "Failed"]), ("began", ["no"])),
    "in-order": ("grants.csv", None, ("order", ["ok"])),
    "approved-as-asked": ("grants.csv", ("asAsked", ["yes", "no", "unknown"]), ("asAsked", ["yes"])),
    "not-own": ("grants.csv", None, ("ownApproval", ["no"])),
    "approvers-eligible": ("grants.csv", ("eligible", ANY), ("eligible", ["yes", "recorded"])),
    "end-stated": ("grants.csv", ("end", ["early", "stated", "running", "overdue"]), ("statedEnd", ANY)),
    "ended-in-time": ("grants.csv", ("end", ["stated", "overdue"]), ("inTime", ["yes"])),
    "break-glass-reviewed": ("break-glass.csv", ("inTime", ["yes", "no"]), ("inTime", ["yes"])),
    "break-glass-by-another": ("break-glass.csv", ("finding", ANY), ("ownReview", ["no"])),
    "policy-text-held": ("policies.csv", None, ("text", ["held"])),
    "use-known": ("activity.csv", None, ("known", ["Used", "Redundant", "NotUsed"])),
}


class Pack:
    """The files, and what is wrong with them."""

    def __init__(self, files):
        self.files = files
        self.wrong = []

    def complain(self, what):
        self.wrong.append(what)

    def text(self, name):
        try:
            return self.files.get(name, b"").decode("utf-8")
        except UnicodeDecodeError:
            self.complain(f"{name}: it is not UTF-8")
            return ""

    def lines(self, name):
        text = self.text(name)
        if text and not text.endswith("\n"):
            self.complain(f"{name}: its last line does not end")
        found = []
        for number, line in enumerate(text.split("\n")[:-1], 1):
            try:
                found.append((line, json.loads(line)))
            except ValueError:
                self.complain(f"{name}: line {number} is no JSON")
        return found

    def rows(self, name):
        """Heads, and rows of a table."""
        try:
            rows = list(csv.reader(io.StringIO(self.text(name), newline=""), strict=True))
        except csv.Error as error:
            self.complain(f"{name}: it is no CSV: {error}")
            return [], []
        return (rows[0], rows[1:]) if rows else ([], [])


def read(path):
    if os.path.isdir(path):
        files = {}
        for name in sorted(os.listdir(path)):
            with open(os.path.join(path, name), "rb") as file:
                files[name] = file.read()
        return files
    with tarfile.open(path, "r:gz") as archive:
        return {os.path.basename(m.name): archive.extractfile(m).read() for m in archive.getmembers() if m.isfile()}


def sha256(data):
    return "sha256:" + hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest()


def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def micros(text):
    at = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ")
    return (at - datetime.datetime(1970, 1, 1)) // datetime.timedelta(microseconds=1)


def yes(is_so):
    return "yes" if is_so else "no"


# What files there are.


def check_files(pack):
    sums = {}
    for number, line in enumerate(pack.text("SHA256SUMS").split("\n")[:-1], 1):
        digest, _, name = line.partition("  ")
        if name in sums:
            pack.complain(f"SHA256SUMS: line {number}: {name!r} is named twice")
        sums[name] = digest
    for name in sorted(set(pack.files) - set(sums) - {"SHA256SUMS"}):
        pack.complain(f"{name}: SHA256SUMS does not name it")
    for name, digest in sums.items():
        if name not in pack.files:
            pack.complain(f"{name}: it is missing")
        elif sha256(pack.files[name]) != "sha256:" + digest:
            pack.complain(f"{name}: its bytes are not those of SHA256SUMS")
    expected = "".join(f"{sha256(pack.files[name])[7:]}  {name}\n" for name in sums if name in pack.files)
    if expected != pack.text("SHA256SUMS"):
        pack.complain("SHA256SUMS: it is not written as sha256sum writes it")


def check_manifest(pack, manifest):
    if manifest.get("schema") != "daypass.dev/evidence/v1":
        pack.complain("manifest.json: schema: it is not daypass.dev/evidence/v1")
    named = {}
    for file in manifest.get("files", []):
        name = file["name"]
        named[name] = file
        data = pack.files.get(name)
        if data is None:
            pack.complain(f"{name}: the manifest names it, and it is missing")
            continue
        if file["sha256"] != sha256(data):
            pack.complain(f"{name}: its digest is not that of the manifest")
        if file["bytes"] != len(data):
            pack.complain(f"{name}: it has {len(data)} bytes, and the manifest says {file['bytes']}")
        if name.endswith(".csv"):
            heads, rows = pack.rows(name)
            if heads != [column["name"] for column in file["columns"]]:
                pack.complain(f"{name}: its columns are not those of the manifest")
            if file["rows"] != len(rows):
                pack.complain(f"{name}: it has {len(rows)} rows, and the manifest says {file['rows']}")
        elif name.endswith(".jsonl") and file["rows"] != data.count(b"\n"):
            pack.complain(f"{name}: it has {data.count(10)} lines, and the manifest says {file['rows']}")
    for name in set(pack.files) - set(named) - {"manifest.json", "SHA256SUMS"}:
        pack.complain(f"{name}: the manifest does not name it")
    for name in ["records.jsonl", "texts.jsonl", "controls.csv", *MADE_OF_RECORDS]:
        if name not in named:
            pack.complain(f"{name}: the manifest does not name it")
    not_read = {missing["what"] for missing in manifest.get("notRead", [])}
    for name in ["standing.csv", "activity.csv"]:
        if (name in named) == (name in not_read):
            pack.complain(f"{name}: it must be in the pack, or named as not read")


# The records.


class Chain:
    """The records of one request, in their order."""

    def __init__(self, links):
        self.links = [links[index] for index in sorted(links)]
        self.records = [record for _, record in self.links]
        self.first, self.last = self.records[0], self.records[-1]
        self.uid = self.first["request"]["uid"]

    def broken(self):
        before = None
        for index, (line, record) in enumerate(self.links):
            if record["index"] != index:
                return f"lacks {index}"
            if record.get("previous") != before:
                return f"unlinked {index}"
            before = sha256(line)
        return "whole"

    def find(self, kind):
        return next((record for record in self.records if record["kind"] == kind), None)

    def extends(self):
        asked = next((record["asked"] for record in self.records if "asked" in record), {})
        return asked.get("extends")

    def result(self):
        changed = [record for record in self.records if record["outcome"] not in ("Noted", "Asked")]
        return (changed[-1] if changed else self.first)["kind"]

    def begun(self):
        outcome = "Moved" if self.extends() is not None else "Begun"
        return next((record for record in self.records if record["outcome"] == outcome), None)

    def decided(self):
        begun = self.begun()
        if begun is None:
            return None
        allowed = [r for r in self.records if r["index"] <= begun["index"] and r["outcome"] == "Allowed"]
        return allowed[-1] if allowed else begun

    def ended(self):
        begun = self.begun()
        after = [record for record in self.records if begun is not None and record["index"] > begun["index"]]
        ended = [record for record in after if record["outcome"] == "Ended"]
        return next(iter(ended + [record for record in after if record["kind"] == "Deleted"]), None)

    def said(self):
        return [r for r in self.records if r["kind"] in ("Reviewed", "ReviewIgnored", "ReviewWithdrawn")]

    def approval(self, name, before):
        """The approval of somebody that stands at the record of this index."""
        theirs = [r for r in self.said() if r["index"] < before and actor(r) == name and r["kind"] != "ReviewIgnored"]
        if theirs and theirs[-1]["kind"] == "Reviewed" and theirs[-1].get("review", {}).get("verdict") == "Approve":
            return theirs[-1]
        return None


def actor(record):
    return record.get("actor", {}).get("username", "")


def read_records(pack):
    chains = {}
    order = []
    for number, (line, record) in enumerate(pack.lines("records.jsonl"), 1):
        if canonical(record) != line:
            pack.complain(f"records.jsonl: line {number} is not canonical JSON")
        uid = record["request"]["uid"]
        if record["id"] != f"{uid}/{record['index']}":
            pack.complain(f"records.jsonl: line {number}: id: it is not UID and index")
        links = chains.setdefault((record["cluster"], uid), {})
        if record["index"] in links:
            pack.complain(f"records.jsonl: line {number}: {record['id']} is there twice")
        links.setdefault(record["index"], (line, record))
        order.append((record["cluster"], record["id"]))
    found = sorted((Chain(links) for links in chains.values()), key=lambda c: (c.first["at"], c.first["cluster"], c.uid))
    if order != [(r["cluster"], r["id"]) for chain in found for r in chain.records]:
        pack.complain("records.jsonl: its records are not in their order")
    return found


def read_texts(pack):
    texts = {}
    for number, (_, text) in enumerate(pack.lines("texts.jsonl"), 1):
        if sha256(text["text"]) != text["digest"]:
            pack.complain(f"texts.jsonl: line {number}: the digest is not that of the text")
        texts[text["digest"]] = text["text"]
    return texts


class Known:
    """What records name by digests."""

    def __init__(self, texts, chains):
        self.texts = texts
        self.policies = {}
        for digest, text in texts.items():
            value = json.loads(text)
            if isinstance(value, dict):
                self.policies[digest] = value
        self.groups = {}
        for chain in chains:
            if "asked" in chain.first:
                groups = chain.first["asked"].get("groups", [])
                self.groups[sha256(canonical(sorted(set(groups))))] = groups

    def policy(self, record):
        return self.policies.get(record.get("policy", {}).get("digest"))

    def named(self, who, subjects):
        name, groups = who["username"], self.groups.get(who.get("groups"))
        robot = name.startswith("system:serviceaccount:")
        for subject in subjects:
            kind = subject["kind"]
            if kind == "User" and subject["name"] == name:
                return "yes"
            if kind == "ServiceAccount" and name == f"system:serviceaccount:{subject.get('namespace', '')}:{subject['name']}":
                return "yes"
            if kind == "Group" and not robot and subject["name"] in (groups or []):
                return "yes"
        unknown = groups is None and not robot and any(subject["kind"] == "Group" for subject in subjects)
        return "recorded" if unknown else "no"


# The tables, each made again.


def place(record):
    access = record["access"]
    if access.get("clusterWide"):
        return "*"
    return access["selector"] if "selector" in access else " ".join(access.get("namespaces", []))


def role(record):
    return f"{record['access']['role']['kind']}/{record['access']['role']['name']}"


def population(chains):
    for chain in chains:
        first, last = chain.first, chain.last
        yield [
            first["cluster"], chain.uid, first["request"]["namespace"], first["request"]["name"],
            first.get("subject", {}).get("username", ""), role(first), place(last),
            yes(first["access"].get("breakGlass", False)), chain.extends() or "",
            yes(first.get("asked", {}).get("reason", "").strip(" ")), first["at"], last["at"], chain.result(),
            yes(chain.begun()), yes(chain.find("Deleted")), str(len(chain.records)), sha256(chain.links[-1][0]),
            chain.broken(), str(last.get("leftOut", {}).get("count", 0)),
        ]


def stages_of(chain, policy):
    escalated = chain.find("Escalated") is not None
    for stage in (policy.get("approval") or {}).get("stages", []):
        more = stage.get("escalateTo", []) if escalated else []
        yield max(stage.get("required", 1), 1), stage["approvers"] + more


def fills(seats, people, may):
    """Whether each seat gets somebody of its own."""
    taken = {}

    def find(seat, tried):
        for person in range(len(people)):
            if person not in tried and may(people[person], seats[seat]):
                tried.add(person)
                if person not in taken or find(taken[person], tried):
                    taken[person] = seat
                    return True
        return False

    return all(find(seat, set()) for seat in range(len(seats)))


def counts_from(approval):
    return approval.get("review", {}).get("countsFrom", approval["at"])


def grant(chain, known, clock, late_after):
    first, begun, decided, ended = chain.first, chain.begun(), chain.decided(), chain.ended()
    policy, version = known.policy(begun), begun.get("policy", {})
    emergency = chain.find("BreakGlass") is not None
    names = sorted(set(begun.get("approvedBy", [])))
    approvals = [chain.approval(name, decided["index"]) for name in names]
    there = [approval for approval in approvals if approval]
    stages = list(stages_of(chain, policy)) if policy is not None else []
    moved = chain.extends() is not None
    stated = (ended or chain.last).get("given", {}).get("until", "")

    if emergency:
        as_asked = "breakGlass"
    elif policy is None:
        as_asked = "unknown"
    elif not stages or (not names and (policy.get("approval") or {}).get("automaticWhen") is not None):
        as_asked = "automatic"
    else:
        seats = [subjects for required, subjects in stages for _ in range(required)]
        people = [approval["actor"] for approval in there]
        as_asked = yes(fills(seats, people, lambda who, subjects: known.named(who, subjects) != "no"))

    subject = first.get("subject")
    own = subject is not None and (
        subject["username"] in names
        or (bool(subject.get("uid")) and any(a["actor"].get("uid") == subject["uid"] for a in there))
    )
    if not names:
        eligible = ""
    elif policy is None:
        eligible = "unknown"
    else:
        subjects = [subject for _, approvers in stages for subject in approvers]
        worst = ["no", "unknown", "recorded", "yes"]
        found = [known.named(a["actor"], subjects) if a else "no" for a in approvals]
        eligible = min(found, key=worst.index)

    if any(approval is None for approval in approvals):
        order = "unapproved"
    elif any(a["at"] < first["at"] or counts_from(a) > decided["at"] for a in there):
        order = "approval"
    elif decided["at"] < first["at"]:
        order = "decision"
    elif begun["at"] < decided["at"]:
        order = "beginning"
    elif ended is not None and ended["at"] < begun["at"]:
        order = "end"
    else:
        order = "ok"

    end, late = "running", None
    if moved:
        end = "moved"
    elif ended is not None:
        late = micros(ended["at"]) - micros(stated) if stated else -1
        end, late = ("stated", late) if late >= 0 else ("early", None)
    elif stated and micros(clock) >= micros(stated):
        end, late = "overdue", micros(clock) - micros(stated)

    return [
        chain.uid, (subject or {}).get("username", ""), role(first), place(begun), begun["access"].get("risk", ""),
        yes(emergency), chain.extends() or "", version.get("name", ""), version.get("digest", ""), first["at"],
        max((counts_from(approval) for approval in there), default=""), decided["at"], begun["at"],
        "" if moved else stated, ended["at"] if ended and not moved else "", ended["kind"] if ended and not moved else "",
        " ".join(names), "" if policy is None else str(sum(required for required, _ in stages)), str(len(names)), as_asked,
        yes(own), eligible, order, end, "" if late is None else f"{late // 1000000}.{late % 1000000:06}",
        "" if late is None else yes(late <= late_after * 1000000),
    ]


def approvals(chains, known):
    for chain in chains:
        begun, decided, subject = chain.begun(), chain.decided(), chain.first.get("subject")
        for record in chain.said():
            review, who = record.get("review", {}), record.get("actor", {})
            name = who.get("username", "")
            stands = begun is not None and name in begun.get("approvedBy", [])
            stands = stands and chain.approval(name, decided["index"]) is record
            own = bool(who) and subject is not None and (
                name == subject["username"] or (bool(subject.get("uid")) and who.get("uid") == subject["uid"])
            )
            policy = known.policy(record)
            if policy is None:
                named = "unknown"
            else:
                subjects = [s for _, approvers in stages_of(chain, policy) for s in approvers]
                subjects += (policy.get("breakGlass") or {}).get("reviewers", [])
                named = known.named(who, subjects) if who else "no"
            yield [
                chain.uid, str(record["index"]), record["at"], name, record["kind"], review.get("verdict", ""),
                review.get("countsFrom", ""), record.get("stage", ""), yes(stands), yes(own), named,
                review.get("comment", ""),
            ]


def break_glass(chains, known):
    for chain in chains:
        taken = chain.find("BreakGlass")
        if taken is None:
            continue
        closed, overdue = chain.find("Justified") or chain.find("Unjustified"), chain.find("ReviewOverdue")
        begun = chain.begun()
        policy = known.policy(begun) if begun else None
        if closed:
            in_time = yes(overdue is None or closed["index"] < overdue["index"])
        else:
            in_time = "no" if overdue else "open"
        requester, reviewer = chain.first.get("subject", {}).get("username", ""), actor(closed) if closed else ""
        yield [
            chain.uid, requester, taken["at"], ((policy or {}).get("breakGlass") or {}).get("reviewWithin", ""),
            closed["at"] if closed else "", reviewer, closed["kind"] if closed else "",
            overdue["at"] if overdue else "", in_time, yes(reviewer and reviewer == requester),
        ]


def exceptions(chains, grants):
    of_uid = {(chain.first["cluster"], chain.uid): row for chain, row in grants}
    for chain in chains:
        for record in chain.records:
            if record["kind"] not in KINDS:
                yield [chain.uid, record["at"], "UnknownKind", record["kind"]]
            elif record["kind"] in EXCEPTIONS:
                yield [chain.uid, record["at"], record["kind"], actor(record)]
        row, at = of_uid.get((chain.first["cluster"], chain.uid)), chain.last["at"]
        if row is not None:
            policy, as_asked, ended_by, (end, late, in_time) = row[7], row[19], row[15], row[23:26]
            if as_asked == "automatic":
                yield [chain.uid, at, "Automatic", policy]
            if end == "overdue":
                yield [chain.uid, at, "Overdue", late]
            elif in_time == "no":
                yield [chain.uid, at, "Late", late]
            if ended_by == "Deleted":
                yield [chain.uid, at, "DeletedUnended", ""]
        elif chain.find("Deleted") and chain.result() == "Requested":
            yield [chain.uid, at, "DeletedUndecided", ""]
        left_out = chain.last.get("leftOut", {}).get("count", 0)
        if left_out > 0:
            yield [chain.uid, at, "LeftOut", str(left_out)]
        if chain.broken() != "whole":
            yield [chain.uid, at, "BrokenChain", chain.broken()]


def versions(chains, known):
    found = {}
    for chain in chains:
        for record in chain.records:
            if "policy" in record:
                policy = record["policy"]
                key = (policy["name"], policy["uid"], policy["generation"], policy.get("digest", ""))
                times, uids = found.setdefault(key, ([], set()))
                times.append(record["at"])
                uids.add(chain.uid)
    for key in sorted(found):
        times, uids = found[key]
        text = "held" if key[3] in known.texts else "missing"
        yield [key[0], key[1], str(key[2]), key[3], text, min(times), max(times), str(len(uids))]


def activity(pack):
    names = ["request", "known", "why", "calls", "refused", "standing", "ambiguous", "first", "last", "open"]
    for _, answer in pack.lines("activity.jsonl"):
        cells = [answer.get(name) for name in names]
        yield ["" if cell is None else cell if isinstance(cell, str) else json.dumps(cell) for cell in cells]


def in_cell(cell):
    """A spreadsheet would calculate what begins like a formula, so that has a quote in front."""
    return "'" + cell if cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def compare(pack, name, expected):
    heads, rows = pack.rows(name)
    expected = [[in_cell(cell) for cell in row] for row in expected]
    if len(rows) != len(expected):
        pack.complain(f"{name}: it has {len(rows)} rows, and the records make {len(expected)}")
    for number, (row, made) in enumerate(zip(rows, expected), 1):
        for head, cell, should in zip(heads, row, made):
            if cell != should:
                pack.complain(f"{name}: row {number} ({made[0]}): {head}: it is {cell!r}, and the records say {should!r}")
        if len(row) != len(made):
            pack.complain(f"{name}: row {number} ({made[0]}): it has {len(row)} cells, and the records make {len(made)}")


def check_controls(pack):
    told = []
    heads, rows = pack.rows("controls.csv")
    for number, row in enumerate(rows, 1):
        row = dict(zip(heads, row))
        name = row.get("measure", "")
        if not name:
            expected = ("", "", "")
        elif name not in MEASURES:
            pack.complain(f"controls.csv: row {number}: measure: there is no rule {name!r}")
            continue
        else:
            file, of, held = MEASURES[name]
            if file not in pack.files:
                expected = ("not read", "", "")
            else:
                columns, cells = pack.rows(file)
                about = [dict(zip(columns, cell)) for cell in cells]
                has = lambda one, rule: rule is None or (one[rule[0]] != "" if rule[1] is ANY else one[rule[0]] in rule[1])
                about = [one for one in about if has(one, of)]
                operated = sum(has(one, held) for one in about)
                words = f"operated {operated} of {len(about)} times" if about else "did not occur"
                expected = (words, str(operated), str(len(about)))
        for head, should in zip(("result", "operated", "of"), expected):
            if row.get(head) != should:
                pack.complain(f"controls.csv: row {number}: {head}: it is {row.get(head)!r}, and the tables say {should!r}")
        told.append((row.get("framework", ""), row.get("control", ""), name, expected[0]))
    return told


def check(pack):
    check_files(pack)
    try:
        manifest = json.loads(pack.text("manifest.json"))
    except ValueError:
        pack.complain("manifest.json: it is no JSON")
        return None, [], []
    check_manifest(pack, manifest)
    chains, texts = read_records(pack), read_texts(pack)
    known = Known(texts, chains)
    for chain in chains:
        if chain.broken() != "whole":
            pack.complain(f"records.jsonl: {chain.uid}: its chain is not whole: {chain.broken()}")
        if not any(manifest["from"] <= record["at"] < manifest["to"] for record in chain.records):
            pack.complain(f"records.jsonl: {chain.uid}: nothing happened to it in the time of the manifest")
    digests = {d for c in chains for r in c.records
               for d in (r.get("policy", {}).get("digest"), r["access"].get("roleDigest")) if d and d.startswith("sha256:")}
    for digest in sorted(set(texts) - digests):
        pack.complain(f"texts.jsonl: {digest}: no record names it")
    counts = manifest.get("counts", {})
    made = {"requests": len(chains), "records": sum(len(chain.records) for chain in chains),
            "missingTexts": sorted(digests - set(texts))}
    for name, count in made.items():
        if counts.get(name) != count:
            pack.complain(f"manifest.json: counts.{name}: it is {counts.get(name)!r}, and the records make {count!r}")
    clock, late_after = manifest["made"]["at"], manifest["parameters"]["lateAfterSeconds"]
    begun = [(chain, grant(chain, known, clock, late_after)) for chain in chains if chain.begun()]
    compare(pack, "population.csv", population(chains))
    compare(pack, "grants.csv", [row for _, row in begun])
    compare(pack, "approvals.csv", approvals(chains, known))
    compare(pack, "break-glass.csv", break_glass(chains, known))
    compare(pack, "exceptions.csv", exceptions(chains, begun))
    compare(pack, "policies.csv", versions(chains, known))
    if "activity.csv" in pack.files or "activity.jsonl" in pack.files:
        compare(pack, "activity.csv", activity(pack))
    return manifest, chains, check_controls(pack)


def main():
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    try:
        pack = Pack(read(sys.argv[1]))
    except (OSError, tarfile.TarError) as error:
        print(f"there is no pack to read: {error}")
        return 2
    if "manifest.json" not in pack.files:
        print(f"{sys.argv[1]}: there is no manifest.json in it")
        return 2
    manifest, chains, controls = None, [], []
    try:
        manifest, chains, controls = check(pack)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        pack.complain(f"what follows cannot be read: {type(error).__name__}: {error}")
    for what in pack.wrong[:MOST_SHOWN]:
        print(f"WRONG {what}")
    if len(pack.wrong) > MOST_SHOWN:
        print(f"WRONG and {len(pack.wrong) - MOST_SHOWN} more")
    if pack.wrong:
        return 1
    records = sum(len(chain.records) for chain in chains)
    print(f"{len(chains)} requests with {records} records from {manifest['from']} to {manifest['to']}: nothing differs.")
    for framework, control, name, result in controls:
        if name:
            print(f"  {framework}: {control}: {name}: {result}")
    for missing in manifest["notRead"]:
        print(f"Not read: {missing['what']}: {missing['why']}")
    print("What this does not show: whoever can write all of a pack, or of the archive that it is from, can make another that")
    print("is sound in itself, and leave a request out of every file. Compare SHA256SUMS, or the heads of population.csv, with")
    print("what somebody else kept. Signed checkpoints of the archive would show it; this pack has none. The digests alone")
    print(f"protect {', '.join(BY_DIGEST_ALONE)} and the words of controls.csv: no record makes them again.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
