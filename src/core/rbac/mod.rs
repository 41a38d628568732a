//! Roles and bindings: what a role allows and how bad that is, what a binding of a grant looks like, and whose an object is.
//!
//! It must not know a policy, or say whether a binding should be there.

pub mod allowed;
pub mod bind_refusal;
pub mod binding;
pub mod changed;
pub mod made_role;
pub mod ownership;
pub mod risk;
pub mod role;
pub mod rules;

#[cfg(test)]
mod golden;
