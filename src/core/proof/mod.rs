//! Proof: what somebody who trusts neither the cluster nor the archive can check for himself.
//!
//! All that an archive keeps is a leaf of one Merkle log (RFC 6962, section 2). The room owns the formats and the judgement
//! of them: hashes and proofs ([`tree`]), tiles ([`tile`], [`tile_rows`], [`climb`]), signed notes and checkpoints ([`note`],
//! [`checkpoint`]), leaves and what hides persons in them ([`leaf`], [`field`], [`event`]), the file that proves one request
//! ([`proof_file`]), and the walk through a whole log with what it proves ([`audit`], [`log_proof`]), and
//! what a witness is asked and answers ([`add_checkpoint`]). Sources: RFC 6962, and of C2SP tlog-tiles,
//! tlog-checkpoint, signed-note, tlog-cosignature, tlog-witness and tlog-proof.
//!
//! It must not sign, nor draw a random number, nor fetch: signatures are checked and salts are drawn by whoever calls. A
//! judgement names what is proven and what is not as values; the words for people are said by whoever prints them.

pub mod add_checkpoint;
pub mod audit;
pub mod canonical;
pub mod checkpoint;
pub mod climb;
pub mod event;
pub mod field;
pub mod leaf;
pub mod log_proof;
pub mod note;
pub mod proof_file;
pub mod tile;
pub mod tile_rows;
pub mod tree;

#[cfg(test)]
pub(crate) mod tests;
