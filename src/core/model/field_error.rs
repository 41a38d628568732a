//! A fault in a spec: the field, and the rule that it breaks.
//!
//! It must not say where faults are looked for. The rules and their sentences are in [`super::problem`].

use super::problem::FieldProblem;

/// Something wrong in a spec: which field, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Path of the field, for example `spec.duration.max`.
    pub field: String,
    /// The rule that is broken. Shown, it names the way out.
    pub problem: FieldProblem,
}

impl FieldError {
    /// A fault in a field.
    pub fn new(field: impl Into<String>, problem: impl Into<FieldProblem>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

/// Faults as one sentence, sorted.
pub fn sentence(faults: &[FieldError]) -> String {
    let mut texts: Vec<String> = faults.iter().map(FieldError::to_string).collect();
    texts.sort();
    texts.join("; ")
}

/// The fields among these that are set, each as a fault: the schema has them for versions to come, and what
/// relies on one must not be half applied.
pub fn unserved<'a>(fields: impl IntoIterator<Item = (&'a str, bool)>) -> Vec<FieldError> {
    let set = fields.into_iter().filter(|(_, set)| *set);
    set.map(|(field, _)| FieldError::new(field, FieldProblem::NotServed)).collect()
}
