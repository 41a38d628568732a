//! Yes, no, or not yet: whether a request may be granted, under which policy, for what time and by whom.
//!
//! [`validate`] reads the request, [`matching`] says which policies match it, [`stance`] what those make of it that deny,
//! [`choose`] picks one that allows, [`people`] says what those say whom it asks, whom [`approvals`] counts, [`held_up`] what
//! keeps an approved request waiting, and [`decide`] puts them together into an [`answer`]; [`dependence`] says which changes
//! can bear on one. It must not know what becomes of the answer.

pub mod answer;
pub mod approvals;
pub mod choose;
pub mod context;
pub mod decide;
pub mod dependence;
pub mod freeze;
pub mod held_up;
pub mod hours;
pub mod matching;
pub mod people;
pub mod period;
pub mod protected;
pub mod served;
pub mod shortfall;
pub mod snapshot;
pub mod stance;
pub mod validate;

#[cfg(test)]
mod golden;
