//! The page of `kubectl daypass ui`, by its calls: [`answers`] are right for each caller, [`attacks`] get nothing, and
//! [`serving`] is how it begins, streams and ends. [`tab`] plays the browser, and [`browser`] opens it in a real one.

mod answers;
mod attacks;
pub mod browser;
mod serving;
pub mod tab;

use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    [answers::trials(), attacks::trials(), browser::trials(), serving::trials()].into_iter().flatten().collect()
}
