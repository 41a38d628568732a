//! How often a rule held: of how many rows of which table, and in how many of them.
//!
//! Owns the rules by their names, which tables of controls use. A rule counts rows and judges nobody.

use super::table::EvidenceTable;

/// A rule over the rows of a table.
#[derive(Debug)]
pub struct EvidenceMeasure {
    /// By what a table of controls names it.
    pub name: &'static str,
    /// What held, for people.
    pub words: &'static str,
    /// The table.
    pub file: &'static str,
    /// Which rows it is about: those with one of these words in the column; all, where there is no column.
    of: (&'static str, &'static [&'static str]),
    /// In which of them it held: those with one of these words in the column.
    held: (&'static str, &'static [&'static str]),
}

/// Any word at all.
const NOT_EMPTY: &[&str] = &["*"];

/// How often it held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasureCount {
    pub operated: usize,
    pub of: usize,
}

/// All of them.
pub static MEASURES: [EvidenceMeasure; 14] = [
    EvidenceMeasure {
        name: "chain-whole",
        words: "every record of the request is in the pack, and carries the digest of the one before",
        file: "population.csv",
        of: ("", &[]),
        held: ("chain", &["whole"]),
    },
    EvidenceMeasure {
        name: "asker-known",
        words: "who asked is on record",
        file: "population.csv",
        of: ("", &[]),
        held: ("requester", NOT_EMPTY),
    },
    EvidenceMeasure {
        name: "reason-given",
        words: "a reason is on record",
        file: "population.csv",
        of: ("", &[]),
        held: ("reasonGiven", &["yes"]),
    },
    EvidenceMeasure {
        name: "refused-without-access",
        words: "what was refused got no access",
        file: "population.csv",
        of: ("result", &["Denied", "Lapsed", "Failed"]),
        held: ("began", &["no"]),
    },
    EvidenceMeasure {
        name: "in-order",
        words: "request, approvals, decision, beginning and end follow each other in time",
        file: "grants.csv",
        of: ("", &[]),
        held: ("order", &["ok"]),
    },
    EvidenceMeasure {
        name: "approved-as-asked",
        words: "the people that the policy asks for had approved",
        file: "grants.csv",
        of: ("asAsked", &["yes", "no", "unknown"]),
        held: ("asAsked", &["yes"]),
    },
    EvidenceMeasure {
        name: "not-own",
        words: "nobody approved their own request",
        file: "grants.csv",
        of: ("", &[]),
        held: ("ownApproval", &["no"]),
    },
    EvidenceMeasure {
        name: "approvers-eligible",
        words: "every approver was one whom the policy names, as far as records tell",
        file: "grants.csv",
        of: ("eligible", &["yes", "recorded", "unknown", "no"]),
        held: ("eligible", &["yes", "recorded"]),
    },
    EvidenceMeasure {
        name: "end-stated",
        words: "access had a stated end",
        file: "grants.csv",
        of: ("end", &["early", "stated", "running", "overdue"]),
        held: ("statedEnd", NOT_EMPTY),
    },
    EvidenceMeasure {
        name: "ended-in-time",
        words: "access that reached its stated end was recorded to be gone within the bound",
        file: "grants.csv",
        of: ("end", &["stated", "overdue"]),
        held: ("inTime", &["yes"]),
    },
    EvidenceMeasure {
        name: "break-glass-reviewed",
        words: "an emergency was reviewed in the time that its policy gives",
        file: "break-glass.csv",
        of: ("inTime", &["yes", "no"]),
        held: ("inTime", &["yes"]),
    },
    EvidenceMeasure {
        name: "break-glass-by-another",
        words: "an emergency was reviewed by somebody else than who took it",
        file: "break-glass.csv",
        of: ("finding", &["Justified", "Unjustified"]),
        held: ("ownReview", &["no"]),
    },
    EvidenceMeasure {
        name: "policy-text-held",
        words: "the text of the policy that decided is in the pack",
        file: "policies.csv",
        of: ("", &[]),
        held: ("text", &["held"]),
    },
    EvidenceMeasure {
        name: "use-known",
        words: "the audit log was heard for all of the access, so that its use is known",
        file: "activity.csv",
        of: ("", &[]),
        held: ("known", &["Used", "Redundant", "NotUsed"]),
    },
];

impl EvidenceMeasure {
    /// The rule of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        MEASURES.iter().find(|measure| measure.name == name)
    }

    /// How often it held in its table.
    pub fn count(&self, table: &EvidenceTable) -> MeasureCount {
        let has = |row: &&Vec<String>, (column, words): (&str, &[&str])| {
            let cell = table.cell(row, column);
            column.is_empty() || words.contains(&cell) || (words == NOT_EMPTY && !cell.is_empty())
        };
        let of: Vec<&Vec<String>> = table.rows.iter().filter(|row| has(row, self.of)).collect();
        let operated = of.iter().filter(|row| has(row, self.held)).count();
        MeasureCount { operated, of: of.len() }
    }
}

impl std::fmt::Display for MeasureCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.of {
            0 => f.write_str("did not occur"),
            of => write!(f, "operated {} of {of} times", self.operated),
        }
    }
}
