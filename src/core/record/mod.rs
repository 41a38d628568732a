//! What happened to a request, as records: made from what can no longer change of it, so that they can be made again.
//!
//! [`v1`] is the one schema so far, and [`ocsf`] and [`cloud_event`] say the same in forms of others. [`outbox`] judges what an archive holds
//! of them, [`retention`] says when a request may go of which it holds all, [`keeping`] for how long an archive keeps what it holds, and [`texts`] names what it was decided by. The making of records must not read what may
//! change of a request: its spec, its names and the entries of its history are all that a record is made of, and an entry's
//! record only of the entries up to it.

pub mod cloud_event;
pub mod keeping;
pub mod ocsf;
pub mod outbox;
pub mod retention;
pub mod texts;
pub mod v1;

#[cfg(test)]
pub(crate) mod golden;
