//! `kubectl daypass policy test`: the cases of PolicyTest documents, decided by the core without a cluster.
//!
//! [`reading`] reads the documents, [`deciding`] has the core decide a case, and [`expected`] holds the answer against what
//! the case expects.

mod deciding;
mod expected;
mod reading;

use std::path::PathBuf;

pub use self::deciding::{TestCase, TestCluster, decided};
use crate::cli::plugin::error::{InvalidInput, PluginError};
use crate::cli::plugin::manifests::{Document, documents, documents_in};
use crate::core::model::namespaces::Namespace;
use crate::core::policies::{Entry, PolicySet};

/// A PolicyTest document.
pub struct PolicyTest {
    from: String,
    /// The cluster that its cases are decided for.
    pub place: TestCluster,
    pub cases: Vec<TestCase>,
}

impl PolicyTest {
    /// The namespaces that it knows, with their names.
    pub fn namespaces(&self) -> impl Iterator<Item = (String, Namespace)> {
        self.place.namespaces.clone().into_iter()
    }
}

/// What came of the cases.
pub struct TestReport {
    /// A line for each, and a sum.
    pub text: String,
    /// How many failed.
    pub failed: usize,
}

/// Runs every case of the files.
///
/// # Errors
/// When the files or the policies in them cannot be used.
pub fn run(paths: &[PathBuf]) -> Result<TestReport, PluginError> {
    tested(&documents(paths)?)
}

/// Runs every case of a text that is in no file yet.
///
/// # Errors
/// When the text or the policies in it cannot be used.
pub fn of_text(text: &str) -> Result<TestReport, PluginError> {
    tested(&documents_in("what is to be written", text)?)
}

fn tested(documents: &[Document]) -> Result<TestReport, PluginError> {
    let (mut policies, mut tests, mut faults) = (Vec::new(), Vec::new(), Vec::new());
    for document in documents {
        if document.is("AccessPolicy") {
            match document.policy() {
                Ok(policy) => {
                    let entry = Entry::read(&policy);
                    faults.extend(entry.faults().iter().map(|fault| format!("{}: {fault}", document.from)));
                    policies.push(policy);
                }
                Err(InvalidInput(found)) => faults.extend(found),
            }
        } else if document.is("PolicyTest") {
            match PolicyTest::read(document, documents) {
                Ok(test) => tests.push(test),
                Err(InvalidInput(found)) => faults.extend(found),
            }
        }
    }
    if !faults.is_empty() {
        return Err(InvalidInput(faults).into());
    }
    if tests.iter().all(|test| test.cases.is_empty()) {
        return Err(PluginError::NothingFound("PolicyTest with cases in these files"));
    }
    Ok(report(&PolicySet::new(&policies), &tests))
}

fn report(policies: &PolicySet, tests: &[PolicyTest]) -> TestReport {
    let (mut text, mut passed, mut failed) = (String::new(), 0_usize, 0_usize);
    for test in tests {
        for case in &test.cases {
            let (explanation, differences) = match case.decide(policies, &test.place) {
                Ok(explanation) => (explanation.summary.clone(), case.expect.differences(&explanation)),
                Err(why) => (why.to_string(), vec![("before", "granted, or waiting".to_owned(), why.to_string())]),
            };
            if differences.is_empty() {
                passed += 1;
                text.push_str(&format!("ok    {}\n", case.name));
                continue;
            }
            failed += 1;
            text.push_str(&format!("FAIL  {} ({})\n", case.name, test.from));
            for (what, wanted, got) in differences {
                text.push_str(&format!("      {what}\n        expected: {wanted}\n        got:      {got}\n"));
            }
            text.push_str(&format!("      it is {explanation}\n"));
        }
    }
    text.push_str(&format!("{passed} passed, {failed} failed\n"));
    TestReport { text, failed }
}

#[cfg(test)]
mod tests;
