//! What was done with a grant, as the API server's own audit log says it.
//!
//! [`event`] reads one event of that log, [`reason`] by which binding it was allowed, and [`deed`] what was done.
//! [`summary`] counts what belongs to one request, [`beside`] finds grants that would have allowed a call too, [`recent`]
//! keeps calls for those that no record has told of yet, [`alive`] judges whether events arrive at all, [`verdict`] says what is known of a grant's use, and [`explained`] finds writes that no
//! record explains. A call belongs to the request whose UID stands in the name of the binding that the API server itself names,
//! and to no other: nothing is guessed. Since RBAC names only the first binding that allows a call, uses are a lower bound.
//!
//! [`bindings`] says when bindings that Daypass did not make were last used.
//!
//! [`names`] are those of the objects that calls of one kind were about.
//!
//! [`idle`] says whether a grant is proven idle, [`outcome`] what the status of one that is over says of its use, and [`told`]
//! what is told to people.

pub mod alive;
pub mod beside;
pub mod bindings;
pub mod deed;
pub mod event;
pub mod explained;
pub mod idle;
pub mod names;
pub mod outcome;
pub mod reason;
pub mod recent;
pub mod summary;
pub mod told;
pub mod verdict;
