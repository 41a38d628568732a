//! The rules that calls to the page are held to, each by its name.
//!
//! Whoever looks at a call holds it to them here. Since they are data, a test can take each out of a whole page, and show
//! what it alone stops. It must not know how a rule is looked at.

use super::refusal::PageRefusal;

/// A rule for calls. Beside these a call is made anew from what was read of it, which no rule can turn off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageRule {
    /// Two servers in a row read the same call.
    OneFraming,
    /// Its body comes whole.
    NoChunks,
    /// It is addressed to this page.
    OwnHost,
    /// It asks for a path of this page.
    OwnTarget,
    /// A page of exactly this origin made it.
    SameOrigin,
    /// The page's own code made it, and neither a form nor a link.
    MadeByPage,
    /// It does not say who calls.
    NobodyNamed,
    /// It stays what it is.
    NoUpgrade,
    /// It carries the cookie of this page.
    OwnCookie,
    /// The one-time token is that of this page.
    OwnToken,
    /// Nobody has used the one-time token.
    UnusedToken,
    /// Its path can be read in one way.
    PlainPath,
    /// The table has it.
    InTable,
    /// The table has each of its parameters.
    KnownParameter,
    /// Each parameter is there once.
    SingleParameter,
    /// Parameters that have fixed values have one of these.
    FixedValue,
    /// Its body is of the kind that it must have.
    RightKind,
    /// What has no body has none.
    NoBody,
    /// A review says what was seen.
    ReviewSeen,
    /// A call writes one review.
    OneReview,
    /// A review is the caller's own.
    OwnReview,
}

impl PageRule {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::OneFraming,
        Self::NoChunks,
        Self::OwnHost,
        Self::OwnTarget,
        Self::SameOrigin,
        Self::MadeByPage,
        Self::NobodyNamed,
        Self::NoUpgrade,
        Self::OwnCookie,
        Self::OwnToken,
        Self::UnusedToken,
        Self::PlainPath,
        Self::InTable,
        Self::KnownParameter,
        Self::SingleParameter,
        Self::FixedValue,
        Self::RightKind,
        Self::NoBody,
        Self::ReviewSeen,
        Self::OneReview,
        Self::OwnReview,
    ];
}

/// The rules that a page holds calls to.
#[derive(Clone, Debug)]
pub struct PageRules {
    held: Vec<PageRule>,
}

impl PageRules {
    /// All of them.
    pub fn all() -> Self {
        Self { held: PageRule::ALL.to_vec() }
    }

    /// All but some, to show what these stop.
    #[cfg(test)]
    pub fn but(out: &[PageRule]) -> Self {
        Self { held: PageRule::ALL.into_iter().filter(|rule| !out.contains(rule)).collect() }
    }

    /// Holds a call to a rule, given whether it keeps it.
    ///
    /// # Errors
    /// The refusal, when it does not.
    pub fn hold(&self, rule: PageRule, keeps: bool, refusal: PageRefusal) -> Result<(), PageRefusal> {
        if keeps || !self.held.contains(&rule) { Ok(()) } else { Err(refusal) }
    }
}
