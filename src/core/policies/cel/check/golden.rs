//! What the check of expressions refuses and with which words, in one place to read. The words are all that leaves the
//! check, so its faults are compared here and nowhere else.

use super::tests::faults_in;

/// Each slip, the place where it stands, and what was probably meant.
#[test]
fn every_kind_of_slip_is_told_with_its_place_and_the_way_out() {
    for (source, place, words) in [
        // Names.
        ("request.reson == ''", 9, "request has no reson, did you mean reason?; it has name, namespace, role,"),
        ("'x' == request.\n  Role", 3, "request has no Role, did you mean role?"),
        ("request.role.name == 'edit'", 14, "request.role is a text and has no name"),
        ("requester.group == 'dev'", 11, "requester has no group, did you mean groups?"),
        ("request['tiket'] == ''", 10, "request has no tiket, did you mean ticket?"),
        ("request.?tiket.orValue('') == ''", 10, "request has no tiket"),
        ("'tiket' in request", 1, "request has no tiket"),
        ("user == 'alice'", 1, "there is no user; there are the variables request, requester, risk, time"),
        ("reqest.role == 'edit'", 1, "there is no reqest, did you mean request?"),
        ("'dev' in groups", 10, "there is no groups, did you mean requester.groups?"),
        (
            "time.weekday == Mon",
            17,
            "there is no Mon; there are the variables request, requester, risk, time, and texts",
        ),
        ("{'a': 1}.b == 1", 10, "the map has no b"),
        // Functions.
        (
            "requester.groups.contains('dev')",
            18,
            "contains is not for a list: requester.groups is a list of texts; write 'x' in requester.groups",
        ),
        (
            "requester.groups.all(g, g != 'dev')",
            18,
            "there is no function all, since there are no loops; write 'x' in LIST",
        ),
        ("has(request.ticket)", 1, "there is no function has: every name is there"),
        ("request.reason.startWith('x')", 16, "there is no function startWith, did you mean startsWith?"),
        ("now() > 5", 1, "there is no function now; there are label, size,"),
        ("contains(request.reason, 'x')", 1, "contains is written request.reason.contains('OPS')"),
        ("size() == 1", 1, "size is written size(requester.groups)"),
        ("request.reason.string() == ''", 16, "string is written string(time.hour)"),
        ("size(5) == 1", 1, "size is not for a number"),
        ("request.reason.contains(5)", 16, "contains is not for a number: this is a number; write for example request"),
        ("request.ticket.hasValue()", 16, "hasValue is not for a text"),
        // Types.
        (
            "risk.score == '2'",
            12,
            "== compares a number with a text, which are never the same; a number stands without",
        ),
        ("request.ticket == null", 16, "which are never the same; what a request does not say is '' and not null"),
        (
            "requester.groups == 'dev'",
            18,
            "== compares a list of texts with a text, which are never the same; write 'x' in",
        ),
        (
            "requester.extra['k'] == 'mfa'",
            22,
            "== compares a list of texts with a text, which are never the same; write 'x' in",
        ),
        ("requester.extra['k'].contains('mfa')", 22, "contains is not for a list: this is a list of texts"),
        ("requester.extra.contains('mfa')", 17, "contains is not for a map"),
        ("requester.extra[1] == []", 16, "a number cannot be the name of a part"),
        ("5 in requester.extra['k']", 3, "in looks for a number in a list that has a text in it"),
        ("has(requester.extra.k)", 1, "of requester.extra write 'KEY' in requester.extra"),
        ("requester.groups == [1]", 18, "== compares a list of texts with a list of numbers"),
        ("request.?ticket == ''", 17, "write x.orValue('')"),
        ("5 in requester.groups", 3, "in looks for a number in a list that has a text in it"),
        (
            "'x' in request.reason",
            5,
            "in looks for a value in a list or map, and this is a text; write TEXT.contains('x')",
        ),
        ("request.role < 5", 14, "< is not for a text and a number together"),
        ("requester.groups > []", 18, "> is not for a list of texts"),
        ("request.cluster + 1 == 2", 17, "+ is not for true or false"),
        ("time.hour + 0.5 > 1.0", 11, "+ is not for a number and a number with a fraction together; convert one"),
        ("-request.reason == ''", 1, "- is not for a text"),
        ("!request.reason", 1, "! is not for a text"),
        ("request.cluster && request.role", 17, "&& is not for a text"),
        ("request.role ? true : false", 14, "? : is not for a text"),
        ("request.role[0] == 'e'", 13, "request.role is a text and has no parts"),
        ("requester.groups['dev'] == ''", 17, "a list has its parts by number, and this is a text"),
        ("request[1] == ''", 8, "a number cannot be the name of a part"),
        ("Thing{a: 1} == 1", 6, "there are no objects to make, such as Thing"),
        // Words.
        (
            "risk.level == 'low'",
            15,
            "risk.level is never 'low', did you mean 'Low'?; it is one of Low, Medium, High, Critical, Unknown",
        ),
        ("'Med' != risk.level", 1, "risk.level is never 'Med'"),
        ("risk.level in ['High', 'Criticl']", 24, "risk.level is never 'Criticl', did you mean 'Critical'?"),
        ("'low' in [risk.level]", 1, "is never 'low'"),
        ("[risk.level] == ['low']", 18, "is never 'low'"),
        ("risk.level == (request.cluster ? 'Low' : 'low')", 42, "risk.level is never 'low'"),
        ("time.weekday in ['Saturday', 'Sun']", 18, "time.weekday is never 'Saturday'"),
        ("request.roleKind == 'clusterrole'", 21, "did you mean 'ClusterRole'?"),
        (
            "risk.level == time.weekday",
            12,
            "risk.level is one of Low, Medium, High, Critical, Unknown and never the other",
        ),
        ("risk.level.startsWith('Me') || risk.level.startsWith('low')", 54, "risk.level is never 'low'"),
        ("risk.level >= 'High'", 12, ">= would compare the letters of risk.level; compare risk.score"),
        ("time.weekday > 'Mon'", 14, "write time.weekday in ['Mon', 'Tue']"),
    ] {
        let found = faults_in(source);
        let place =
            if source.contains('\n') { format!("line 2, character {place}: ") } else { format!("character {place}: ") };
        let [only] = found.as_slice() else { panic!("{source}: {found:#?}") };
        assert!(only.starts_with(&place) && only.contains(words), "{source}\n  {only}\n  {place}{words}");
    }
    for source in ["request.role", "requester.groups", "1", "label('x')", "request", "request.cluster ? 1 : 2"] {
        let [only] = faults_in(source).try_into().unwrap_or_else(|found| panic!("{source}: {found:?}"));
        assert!(only.starts_with("is ") && only.contains("not true or false: compare it"), "{source}: {only}");
    }
}
