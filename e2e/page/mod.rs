//! The page of `kubectl daypass ui`, by its calls: [`answers`] are right for each caller, [`attacks`] get nothing, and
//! [`serving`] is how it begins, streams and ends. [`incluster`] is the page that many share, each with a token of their own,
//! and [`signin`] that page behind a sign-in. [`tab`] plays the browser, [`browser`] opens it in a real one, and [`pictures`]
//! draws what that shows.

mod answers;
mod attacks;
pub mod browser;
mod incluster;
pub mod pictures;
mod serving;
mod signin;
pub mod tab;

use libtest_mimic::Trial;

pub fn trials() -> Vec<Trial> {
    let parts = [
        answers::trials(),
        attacks::trials(),
        browser::trials(),
        incluster::trials(),
        pictures::trials(),
        serving::trials(),
        signin::trials(),
    ];
    parts.into_iter().flatten().collect()
}
