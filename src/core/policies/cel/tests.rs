//! What expressions say, and what they cannot do.

use proptest::prelude::*;

use super::*;
use crate::api::request::RoleRisk;

pub fn facts() -> CelInput {
    let values = |values: &[&str]| Arc::new(values.iter().map(|v| (*v).to_owned()).collect::<BTreeSet<_>>());
    let text = str::to_owned;
    CelInput {
        request: RequestFacts {
            name: text("fix"),
            namespace: text("shop"),
            role: text("edit"),
            role_kind: text("ClusterRole"),
            namespaces: vec![text("shop")],
            duration_seconds: 1800,
            reason: text("the shop is down"),
            ticket: text("OPS-7"),
            ..RequestFacts::default()
        },
        requester: Who {
            username: text("alice"),
            uid: text("u-alice"),
            groups: vec![text("dev")],
            extra: [(text("example.com/amr"), vec![text("pwd"), text("mfa")]), (text("country"), vec![text("CH")])]
                .into(),
        },
        risk: RiskScore { level: text("High"), score: 2 },
        time: When { weekday: text("Mon"), hour: 12, minute: 5, date: text("2026-11-23") },
        labels: [(text("env"), values(&["prod", ""])), (text("team"), values(&["pay"]))].into(),
    }
}

/// Why an expression says neither yes nor no.
#[derive(Debug, PartialEq)]
enum Neither {
    Faulty(Vec<ExpressionFault>),
    Failed(Unevaluated),
}

fn holds_for(source: &str) -> Result<bool, Neither> {
    Expression::compile(source).map_err(Neither::Faulty)?.holds(&facts()).map_err(Neither::Failed)
}

/// The only fault of an expression.
fn fault_in(source: &str) -> ExpressionFault {
    match holds_for(source) {
        Err(Neither::Faulty(faults)) if faults.len() == 1 => faults[0].clone(),
        other => panic!("{source}: {other:?}"),
    }
}

#[test]
fn what_a_request_is_can_be_asked_about() {
    for (source, holds) in [
        ("request.role == 'edit' && request.durationSeconds <= 3600", true),
        ("request.ticket.matches('^OPS-[0-9]+$')", true),
        ("request.ticket.startsWith('INC')", false),
        ("'dev' in requester.groups && !request.cluster", true),
        ("'prod' in label('env')", true),
        ("label('env') == ['prod']", false),
        ("label('team') == ['pay']", true),
        ("label('nobody-has-it') == ['']", true),
        ("risk.score < 2 || request.breakGlass", false),
        ("risk.level == 'High' ? request.ticket != '' : true", true),
        ("time.weekday in ['Sat', 'Sun'] || time.hour >= 18", false),
        ("size(request.reason) > 5 && request.namespaces == ['shop']", true),
        ("'mfa' in requester.extra['example.com/amr']", true),
        ("'otp' in requester.extra['example.com/amr']", false),
        ("requester.extra.country == ['CH'] && requester.extra['country'][0] == 'CH'", true),
        ("'country' in requester.extra && !('city' in requester.extra)", true),
        ("'city' in requester.extra && 'Bern' in requester.extra['city']", false),
        ("'Bern' in requester.extra[?'city'].orValue([])", false),
        ("requester.extra[?'city'].orValue(['?'])[0] == 'Bern'", false),
        ("!(requester.extra['country'][0] in ['AT', 'DE'])", true),
        ("requester.extra.?country.orValue(['US']) == ['CH']", true),
        ("size(requester.extra) == 2", true),
    ] {
        assert_eq!(holds_for(source), Ok(holds), "{source}");
    }
}

#[test]
fn what_is_no_condition_is_told_when_it_is_read() {
    use ExpressionFault::{Checked, LabelNotWritten, NoPattern, NotCel, PatternNotWritten, TooLong};
    for source in ["request.role ==", ""] {
        assert!(matches!(fault_in(source), NotCel(_)), "{source}");
    }
    assert!(matches!(fault_in("'team'.label() == []"), Checked(_)));
    for source in ["request.ticket.matches('(')", "request.ticket.matches('((a{100}){100}){100}')"] {
        assert!(matches!(fault_in(source), NoPattern(_)), "{source}");
    }
    let long = format!("'{}' != ''", "x".repeat(1024));
    for (source, fault) in [
        ("label(request.ticket) == []", LabelNotWritten),
        ("[1, {'a': label('a' + 'b')}] == []", LabelNotWritten),
        ("request.ticket.matches(request.reason)", PatternNotWritten),
        ("matches(request.ticket, request.reason)", PatternNotWritten),
        (&long, TooLong),
    ] {
        assert_eq!(fault_in(source), fault, "{source}");
    }
}

#[test]
fn a_text_that_is_too_long_is_held_against_no_pattern() {
    let mut facts = facts();
    let condition = Expression::read("f", "(request.reason + request.reason).matches('x$')").unwrap();
    facts.request.reason = "x".repeat(LONGEST_TEXT / 2);
    assert_eq!(condition.holds(&facts), Ok(true));
    facts.request.reason.push('x');
    assert!(matches!(condition.holds(&facts), Err(Unevaluated::Failed { .. })));
    assert_eq!(holds_for("matches(request.ticket, '^OPS') && request.ticket.matches('7$')"), Ok(true));
}

#[test]
fn every_label_that_is_asked_for_is_known_beforehand() {
    let source = "[{'a': label('x')}][0].a == label('y') ? 'z' in label('x') : size(string(size(label('w')))) > 1";
    let condition = Expression::read("f", source).unwrap();
    assert_eq!(condition.labels().collect::<Vec<_>>(), ["w", "x", "y"]);
    assert!(condition.holds(&facts()).is_ok());
}

#[test]
fn what_cannot_be_said_is_an_error_and_not_a_no() {
    let own = str::to_owned;
    let text = Unevaluated::NoCondition { source: own("dyn(request.role)"), type_: own("string") };
    assert_eq!(holds_for("dyn(request.role)"), Err(Neither::Failed(text)));
    let long = format!("requester.groups[7] == '{}'", "x".repeat(900));
    for source in ["1 / 0 == 1", "requester.groups[7] == 'dev'", "dyn(request.role) < 5", &long] {
        let Err(Neither::Failed(failed)) = holds_for(source) else { panic!("{source}") };
        assert!(matches!(&failed, Unevaluated::Failed { source: of, .. } if of == source), "{failed:?}");
        let told = failed.to_string();
        assert!(told.len() <= LONGEST_ERROR + 3 && !told.contains('\n'), "{told}");
    }
    assert_eq!(holds_for("request.role == 'edit' || 1 / 0 == 1"), Ok(true), "CEL's own rule: one side is enough");
}

/// It would let somebody in who leaves out what a condition looks for: whatever is asked of a key that is not there, the
/// answer is neither yes nor no.
#[test]
fn what_the_login_did_not_say_is_an_error_and_never_an_answer() {
    for source in [
        "'Bern' in requester.extra['city']",
        "!('Bern' in requester.extra['city'])",
        "requester.extra['city'] != ['Bern']",
        "requester.extra.city == []",
        "size(requester.extra['city']) == 0",
        "request.cluster || 'Bern' in requester.extra['city']",
        "request.cluster ? true : !('Bern' in requester.extra['city'])",
        "'mfa' in requester.extra['example.com/amr'] && !('Bern' in requester.extra['city'])",
    ] {
        let expected = Unevaluated::NoExtra { source: source.to_owned(), key: "city".to_owned() };
        assert_eq!(holds_for(source), Err(Neither::Failed(expected)), "{source}");
    }
    // Asked for in another way it is no answer either, only told with the words of the interpreter.
    for source in [
        "dyn(requester)['extra']['city'] == []",
        "requester.extra[request.ticket] == []",
        "{'a': 1}.a == 2 || {'a': 1}[request.role] == 1",
    ] {
        assert!(matches!(holds_for(source), Err(Neither::Failed(Unevaluated::Failed { .. }))), "{source}");
    }
    assert_eq!(
        holds_for("request.role == 'edit' || 'Bern' in requester.extra['city']"),
        Ok(true),
        "it does not need it"
    );
}

/// Parser and interpreter recurse, and a stack that overflows ends the process. Each of these would, were it longer.
#[test]
fn the_largest_of_every_shape_fits_a_thread_s_stack() {
    let (deep, many) = (DEEPEST, MOST_OPERATORS / 2 - DEEPEST * 2);
    let shapes = [
        format!("{}true{}", "(".repeat(deep), ")".repeat(deep)),
        format!("{}1{} == 1", "[".repeat(deep), "]".repeat(deep)),
        format!("{}1{} == 1", "{1:".repeat(deep / 2), "}".repeat(deep / 2)),
        format!("{}true", "!".repeat(many)),
        format!("{}1 == 1", "-".repeat(many)),
        format!("1{} == 1", "*1".repeat(many)),
        format!("true{}", "&&true".repeat(many / 2)),
        format!("{}true", "true?true:".repeat(many / 2)),
        format!("request{} == 1", ".a".repeat(many)),
        format!("requester.groups{} == 1", "[0]".repeat(many / 2)),
        format!("1{} == 1", " in [1]".repeat(many / 4)),
        format!("{}1{}{} == 1", "(".repeat(deep), "*1".repeat(many - deep), ")".repeat(deep)),
        format!("label({}'x'{}) == ['']", "string(".repeat(deep - 1), ")".repeat(deep - 1)),
    ];
    for shape in shapes {
        assert!(bounded(&shape).is_ok(), "{shape}");
        // On a test's thread, which has the 2 MiB that the controller's have.
        drop(holds_for(&shape));
    }
}

#[test]
fn what_is_larger_than_that_is_refused_before_it_is_parsed() {
    use ExpressionFault::{TooDeep, TooManyOperators, TooManySums};
    for (source, fault) in [
        (format!("{}true{}", "(".repeat(DEEPEST + 1), ")".repeat(DEEPEST + 1)), TooDeep),
        (format!("1{} == 1", "*1".repeat(MOST_OPERATORS)), TooManyOperators),
        (format!("1{} == 1", "+1".repeat(MOST_SUMS + 1)), TooManySums(MOST_SUMS + 1)),
        (format!("1{}", " in 1".repeat(MOST_OPERATORS + 1)), TooManyOperators),
        (format!("{}true", "!".repeat(1000)), TooManyOperators),
        ("[![![!".repeat(150), TooDeep),
    ] {
        assert_eq!(fault_in(&source), fault, "{source}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_at_all_ends_the_process(source in ".{0,200}") {
        let _ = holds_for(&source);
    }

    /// Made of what CEL is made of, so that most of it parses.
    #[test]
    fn nothing_that_looks_like_cel_ends_the_process(
        parts in proptest::collection::vec(proptest::sample::select(vec![
            "request", ".role", "requester.groups", "[0]", "(", ")", "[", "]", "{", "}", "'a'", "\"b\"", "1", "-1", "1.5",
            "9223372036854775807", "0u", "b'x'", "true", "null", " + ", " - ", " * ", " / ", " % ", " && ", " || ", "!",
            " == ", " < ", " in ", " ? ", " : ", ",", ".size()", ".matches('(a|b)*')", "label('env')", "string(1)",
            "int('x')", "requester.extra", "['country']", ".?a", "[?0]", "type(1)", "dyn(", "\\", "\n", "é", "timestamp('x')", "duration('1s')",
        ]), 0..40),
    ) {
        let _ = holds_for(&parts.concat());
    }

    #[test]
    fn no_pattern_ends_the_process(pattern in "[a-z(){}\\[\\]|*+?.^$0-9,]{0,80}", text in ".{0,50}") {
        let mut facts = facts();
        facts.request.reason = text;
        let source = format!("request.reason.matches('{pattern}')");
        if let Ok(condition) = Expression::read("f", &source) {
            let _ = condition.holds(&facts);
        }
    }
}

#[test]
fn a_risk_that_this_version_has_no_word_for_counts_as_the_worst() {
    for (level, score) in [("Low", 0), ("Medium", 1), ("High", 2), ("Critical", 3), ("Unknown", 3), ("Cosmic", 3)] {
        let read = RiskScore::recorded(Some(&RoleRisk { level: level.into(), reasons: Vec::new() }));
        assert_eq!((read.level.as_str(), read.score), (level, score));
    }
    assert_eq!(RiskScore::recorded(None).level, "Unknown");
}
