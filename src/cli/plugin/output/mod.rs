//! What the plugin prints: [`text`] and [`table`] for people, [`mod@format`] for programs, [`document`] for reports in all
//! their forms, and [`console`], where it goes.
//!
//! Must not know clusters or decisions.

pub mod console;
pub mod document;
pub mod format;
pub mod jsonpath;
pub mod table;
pub mod text;
