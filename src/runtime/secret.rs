//! Secrets that this process makes for those who talk to it: 32 random bytes, as letters.
//!
//! It must not keep one: whoever asks for it does.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// Why there is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSecret {
    /// The system has no randomness to give.
    #[error("there are no random numbers")]
    NoRandomness,
}

/// A new secret, in letters that may stand in a header, a cookie and a URL.
///
/// # Errors
/// When there is nothing to make it with.
pub fn random() -> Result<String, NoSecret> {
    random_bytes().map(|secret| BASE64_URL_SAFE_NO_PAD.encode(secret))
}

/// A new secret as its bytes: the salt of a commitment.
///
/// # Errors
/// When there is nothing to make it with.
pub fn random_bytes() -> Result<[u8; 32], NoSecret> {
    let mut secret = [0; 32];
    aws_lc_rs::rand::fill(&mut secret).map_err(|_| NoSecret::NoRandomness)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_secrets_are_the_same() {
        let [one, other] = [(); 2].map(|()| random().unwrap());
        assert_ne!(one, other);
        assert_eq!(BASE64_URL_SAFE_NO_PAD.decode(one).unwrap().len(), 32);
    }
}
