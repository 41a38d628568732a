//! Narrower rules judged on made months of use: what is proposed from the first month, and what becomes of the second.
//!
//! Five kinds of people use roles of Kubernetes for what they are paid for, with what is rare in it as rare as it is. Each kind
//! is made twenty times over, from numbers that are the same on every machine. The second month is never shown to the
//! proposal. `table.txt` has what comes of it: it is written by `make narrower-table` and by nothing else, and a change in it is
//! to be read line by line. None of this needs a cluster.

mod people;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::process::ExitCode;

use daypass::core::insight::narrower::evidence::{NarrowerTerms, PastGrant};
use daypass::core::insight::narrower::proposal::{NarrowerRules, propose};
use daypass::core::insight::narrower::replay::Replay;
use daypass::core::rbac::risk::Extent;
use k8s_openapi::api::rbac::v1::PolicyRule;
use libtest_mimic::Trial;
use serde::Deserialize;

use self::people::{KINDS, MadeMonths, PeopleKind};
use crate::harness::table::CommittedTable;
use crate::harness::without_cluster;

const ROLES: &str = include_str!("risk_table/kubernetes.jsonl");
const TABLE: CommittedTable =
    CommittedTable { path: "e2e/narrower_table/table.txt", written_by: "run make narrower-table" };
/// How often each kind is made.
const TIMES: u64 = 20;

pub fn trials() -> Vec<Trial> {
    vec![
        without_cluster("narrower_table::is_what_is_proposed", is_what_is_proposed),
        without_cluster("narrower_table::the_second_month_can_be_worked_with", second_month),
    ]
}

/// `make narrower-table`.
pub fn write() -> ExitCode {
    TABLE.write(&table())
}

fn is_what_is_proposed() {
    TABLE.is(&table());
}

/// The replay over the evidence is never short, and of the grants to come few are.
fn second_month() {
    for kind in &KINDS {
        let judged = Judged::of(kind);
        assert_eq!(judged.own_lacking, 0, "{}: a grant of the evidence would have lacked a right", kind.name);
        assert!(judged.lacking * 20 <= judged.later, "{}: {} of {}", kind.name, judged.lacking, judged.later);
        let example = judged.example.expect("something is proposed");
        let [before, after] = [&example.risk_before, &example.risk_after].map(|risk| risk.reasons.len());
        assert!(after < before, "{}: {after} of {before} reasons are left", kind.name);
    }
}

/// What came of one kind of people, over all the times that it was made.
#[derive(Default)]
struct Judged {
    proposed: usize,
    grants: usize,
    own_lacking: usize,
    /// Grants of the first month that lack a right under what the others lead to.
    left_out: usize,
    later: usize,
    /// Grants of the second month that lack a right.
    lacking: usize,
    lacks: BTreeMap<String, usize>,
    rules_before: usize,
    rules_after: usize,
    example: Option<NarrowerRules>,
}

impl Judged {
    fn of(kind: &PeopleKind) -> Self {
        let role = role(kind.role);
        let mut judged = Self { rules_before: role.len(), ..Self::default() };
        for seed in 1..=TIMES {
            let MadeMonths { first, second } = kind.months(seed);
            let Ok(proposal) = propose(&role, kind.extent, &first, kind.terms) else { continue };
            let replay = Replay::of(&role, &proposal.rules, &second);
            judged.add(&first, &second, &proposal, &replay);
            judged.example.get_or_insert(proposal);
        }
        judged
    }

    fn add(&mut self, first: &[PastGrant], second: &[PastGrant], proposal: &NarrowerRules, replay: &Replay) {
        self.proposed += 1;
        self.grants += first.len();
        self.own_lacking += proposal.replay.lacking.len();
        self.left_out += proposal.left_out.lacking.len();
        self.later += second.len();
        self.lacking += replay.lacking.len();
        self.rules_after = self.rules_after.max(proposal.rules.len());
        for lack in replay.lacking.iter().flat_map(|lacking| &lacking.lacks) {
            *self.lacks.entry(lack.to_string()).or_default() += 1;
        }
    }

    fn write(&self, kind: &PeopleKind, text: &mut String) -> std::fmt::Result {
        let NarrowerTerms { grants, weeks } = kind.terms;
        writeln!(text, "{}: ClusterRole {} ({grants} used grants and {weeks} weeks asked for)", kind.name, kind.role)?;
        writeln!(text, "  made {TIMES} times, a proposal in {} of them", self.proposed)?;
        writeln!(text, "  first month: {} of {} grants would have lacked a right", self.own_lacking, self.grants)?;
        writeln!(text, "  first month, each left out in turn: {} of {}", self.left_out, self.grants)?;
        writeln!(text, "  second month: {} of {} grants would have lacked a right", self.lacking, self.later)?;
        for (lack, times) in &self.lacks {
            writeln!(text, "    {times} times: {lack}")?;
        }
        writeln!(text, "  rules: {} before, at most {} after", self.rules_before, self.rules_after)?;
        let Some(example) = &self.example else { return Ok(()) };
        let (before, after) = (&example.risk_before, &example.risk_after);
        let removed = before.reasons.iter().filter(|reason| !after.reasons.contains(reason)).count();
        writeln!(
            text,
            "  risk, first time: {} -> {}, {removed} of {} reasons gone",
            before.level,
            after.level,
            before.reasons.len()
        )?;
        for rule in &example.rules {
            writeln!(text, "    {}", serde_json::to_string(rule).unwrap_or_default())?;
        }
        Ok(())
    }
}

fn table() -> String {
    let mut text = String::new();
    for kind in &KINDS {
        Judged::of(kind).write(kind, &mut text).expect("a text takes any text");
    }
    text
}

fn role(name: &str) -> Vec<PolicyRule> {
    #[derive(Deserialize)]
    struct Role {
        role: String,
        rules: Vec<PolicyRule>,
    }
    let mut roles = ROLES.lines().map(|line| serde_json::from_str::<Role>(line).expect("a role"));
    roles.find(|role| role.role == name).expect("a role of Kubernetes").rules
}

/// Where the roles are bound in these months.
const IN_NAMESPACES: Extent = Extent::Namespaces;
