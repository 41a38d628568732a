//! From what was read to what is wrong: pure, a check at a time. What the core or the controller has a rule for, is judged by
//! that rule.

pub mod access;
pub mod archive;
pub mod guards;
pub mod installation;
pub mod objects;
pub mod running;

use super::facts::HealthFacts;
use super::finding::{CheckFinding, HealthCheck};

/// Everything that there is to say, in the order in which one would look.
pub fn judged(facts: &HealthFacts) -> Vec<CheckFinding> {
    let mut findings = installation::setup(&facts.setup);
    findings.push(installation::api_server(facts));
    if facts.is_away() {
        return findings;
    }
    findings.push(access::identity(&facts.me));
    findings.push(running::own_clock(&facts.clock));
    findings.push(installation::kubernetes(&facts.kubernetes));
    findings.push(installation::kinds(&facts.kinds));
    findings.extend(installation::definitions(&facts.definitions));
    findings.extend(installation::controller(facts));
    findings.extend(guards::guards(facts));
    findings.extend(guards::stamp(facts));
    findings.extend(access::controller_rights(facts));
    findings.extend(access::own_rights(&facts.own_rights));
    findings.extend(running::leader(&facts.lease, facts.clock.now));
    findings.extend(running::probes(facts));
    findings.extend(archive::archive(facts));
    findings.extend(objects::policies(&facts.policies, facts.clock.now));
    findings.extend(objects::requests(&facts.requests, facts.clock.now));
    findings.extend(objects::bindings(facts));
    findings
}

/// One finding that all is well, if nothing else is said.
fn or_ok(findings: Vec<CheckFinding>, ok: impl FnOnce() -> CheckFinding) -> Vec<CheckFinding> {
    if findings.is_empty() { vec![ok()] } else { findings }
}

/// What a check says when what it goes by was not read.
fn unknown<T>(check: HealthCheck, looked: &super::facts::Looked<T>) -> Option<CheckFinding> {
    looked.as_ref().err().map(|unread| check.unknown(unread))
}
