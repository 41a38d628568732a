//! Proposals of narrower rules for a role, from what was done with past grants of it.
//!
//! Owns what a proposal is: rules that would have allowed each call of the evidence, that give nothing which the role does not
//! give, and of which none can be left out. It proposes; it must not apply anything, and it must not say that a right which was
//! not seen will not be needed.
//!
//! | Part | What it owns |
//! | --- | --- |
//! | [`evidence`] | Past grants and the calls that belong to them, and how much of that is enough |
//! | [`silent`] | Rights that the API server asks for within other calls, or of which no audit log tells |
//! | [`needs`] | Which rights the calls needed, on which objects |
//! | [`compact`] | Few rules of single rights, and how they differ from others |
//! | [`replay`] | Which past grants would have lacked a right under other rules |
//! | [`proposal`] | The proposal, or why there is none |
//!
//! Calls that other access allowed beside a grant count as its own, so that redundant access cuts nothing. A call that the API
//! server let through and refused for another reason needed its right too. URLs that are no resources are left as they are.

pub mod compact;
pub mod evidence;
pub mod needs;
pub mod proposal;
pub mod replay;
pub mod silent;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;
