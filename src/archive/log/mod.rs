//! The log of an archive: all that it keeps is a leaf of one Merkle tree, so that whoever has a checkpoint of it notices what
//! is changed, taken out or put in later.
//!
//! Owns how leaves are made and put behind each other ([`leaf`], [`append`]), the statements for both stores ([`tables`]), and
//! what keeps the log alive and signs it ([`keeper`], [`signer`]) and has others hold what is signed ([`holder`]).
//! Formats and arithmetic are `core::proof`'s. A leaf is made once, in the transaction that keeps what it is about, and is
//! never changed; what it hides lies beside it, where it can be erased.

pub mod append;
pub mod figures;
pub mod holder;
pub mod keeper;
pub mod leaf;
pub mod signer;
pub mod tables;
#[cfg(test)]
pub mod tests;
