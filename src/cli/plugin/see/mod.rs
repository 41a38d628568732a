//! Commands that only look: [`list`] and [`show`], and [`words`], by which both tell of a request.

pub mod list;
pub mod show;
pub mod words;
