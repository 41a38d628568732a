//! Signatures of what is sent, as Standard Webhooks has them: `v1,` and the base64 of an HMAC-SHA256.
//!
//! Owns the reading of secrets and the signing. It must not keep a secret longer than for one signature.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// How many bytes a secret has, at least and at most.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// Secrets that sign.
pub struct SigningSecrets(Vec<Key>);

/// Why a text holds no secrets. None of it is repeated.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// There is none.
    #[error("there is no secret in it; write whsec_ and the base64 of 24 to 64 random bytes")]
    None,
    /// One is not as they are.
    #[error("secret {0} in it is not whsec_ and the base64 of 24 to 64 bytes")]
    Malformed(usize),
}

impl SigningSecrets {
    /// The secrets of a text, with white space between them. While one takes the place of another there are both.
    ///
    /// # Errors
    /// When one of them is none, by its place from 1 on.
    pub fn read(text: &str) -> Result<Self, SecretFault> {
        let key = |(at, secret): (usize, &str)| {
            let bytes = secret.strip_prefix(PREFIX).and_then(|secret| STANDARD.decode(secret).ok());
            let bytes = bytes.filter(|bytes| BYTES.contains(&bytes.len())).ok_or(SecretFault::Malformed(at + 1))?;
            Ok(Key::new(HMAC_SHA256, &bytes))
        };
        let keys: Vec<Key> = text.split_whitespace().enumerate().map(key).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(SecretFault::None) } else { Ok(Self(keys)) }
    }

    /// The value of `webhook-signature`: one signature of each secret. `timestamp` is in seconds since 1970.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        let signatures = self.0.iter().map(|key| format!("v1,{}", STANDARD.encode(sign(key, signed.as_bytes()))));
        signatures.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks specification.
    #[test]
    fn the_example_of_the_specification_is_signed_as_there() {
        let secrets = SigningSecrets::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let signature = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_sign_twice() {
        let (one, two) = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX");
        let alone = |secret| SigningSecrets::read(secret).unwrap().sign("a/0", 7, "{}");
        let both = SigningSecrets::read(&format!("{one}\n{two}")).unwrap().sign("a/0", 7, "{}");
        assert_eq!(both, format!("{} {}", alone(one), alone(two)));
        assert_ne!(alone(one), alone(two));
    }

    #[test]
    fn what_is_no_secret_is_told_by_its_place_alone() {
        let good = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        for (text, fault) in [
            (" \n".to_owned(), SecretFault::None),
            ("hunter2hunter2".to_owned(), SecretFault::Malformed(1)),
            (format!("{good} whsec_c2hvcnQ="), SecretFault::Malformed(2)),
            (format!("{good} whsec_?"), SecretFault::Malformed(2)),
        ] {
            assert_eq!(SigningSecrets::read(&text).err(), Some(fault), "{text}");
        }
    }
}
