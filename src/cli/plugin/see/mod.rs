//! Commands that only look: [`list`], [`watch`] and [`show`]; [`choice`] has the flags of the first two, and [`words`] the words
//! by which all tell of a request.

pub mod choice;
pub mod list;
pub mod show;
pub mod watch;
pub mod words;
