//! What Daypass decides, as pure functions: a snapshot and a time go in, a plan comes out.
//!
//! No client, no async, no clock, no environment: `now` is a parameter and every fact is in the snapshot.
//! The same input gives the same output, byte for byte. The test in `house.rs` keeps it so.
//!
//! The way through: [`validate`] reads the raw specs, [`policies`] keeps them readable, [`select`] asks which
//! match, [`approvals`] counts people, in the [`hours`] in which they count, and [`stages`] asks them, [`decide`] says yes, no or not yet, and [`plan`]
//! turns that into a [`step`]: [`live`] for a running grant, whose bindings [`inspect`] looks at and whose
//! end [`extension`] moves, [`rest`] while it has none, [`end`] for one that is over, [`break_glass`] for the review that comes afterwards;
//! [`disbelief`] for one that anybody may have written to, and
//! [`former`] for what versions before this one wrote.
//! [`binding`] says what a binding looks like, [`record`] how a status is written, [`deadline`] when to look
//! again, [`history`] and [`announce`] what to tell. [`readiness`] speaks of policies; [`reap`] looks from the
//! bindings' side.
//!
//! What a policy can ask for beyond that has a room each: [`cel`] conditions and [`facts`] what they see, [`limits`],
//! [`schedule`], [`period`] and [`recurrence`] the hours, [`rules`] and [`risk`] what a role can do, [`role`] the role asked for and
//! [`made_role`] the narrower one that is made of it, [`reach`] the namespaces that are served, [`protected`] those that
//! a policy reaches only when it says so.

pub mod announce;
pub mod approvals;
pub mod binding;
pub mod break_glass;
pub mod cel;
pub mod deadline;
pub mod decide;
pub mod disbelief;
pub mod duration;
pub mod end;
pub mod explain;
pub mod extension;
pub mod facts;
pub mod fault;
pub mod former;
pub mod guard;
pub mod history;
pub mod hours;
pub mod inspect;
pub mod limits;
pub mod lint;
pub mod live;
pub mod made_role;
pub mod namespaces;
pub mod period;
pub mod plan;
pub mod policies;
pub mod protected;
pub mod reach;
pub mod readiness;
pub mod reap;
pub mod record;
pub mod recurrence;
pub mod rest;
pub mod risk;
pub mod role;
pub mod rules;
pub mod schedule;
pub mod select;
pub mod snapshot;
pub mod stages;
pub mod step;
pub mod subjects;
pub mod validate;

#[cfg(test)]
mod house;
#[cfg(test)]
pub(crate) mod laws;
#[cfg(test)]
pub(crate) mod samples;
