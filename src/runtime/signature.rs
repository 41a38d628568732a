//! Signatures of what is sent, as Standard Webhooks has them: `v1,` and the base64 of an HMAC-SHA256, or `v1a,` and that of an
//! Ed25519 signature, which whoever checks it could not have made.
//!
//! Owns the reading of secrets and the signing. It must not keep a secret longer than for one signature.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a secret begins with that both sides have.
const SHARED: &str = "whsec_";
/// What a secret begins with that only the sender has.
const PRIVATE: &str = "whsk_";
/// How many bytes a shared secret has, at least and at most.
const BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// How many bytes the seed of an Ed25519 key has. Its public key may follow.
const SEED: usize = 32;

/// Secrets that sign.
pub struct SigningSecrets(Vec<SignatureKey>);

enum SignatureKey {
    Shared(Box<Key>),
    Private(Ed25519KeyPair),
}

/// Why a text holds no secrets. None of it is repeated.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretFault {
    /// There is none.
    #[error("there is no secret in it; write whsec_ and the base64 of 24 to 64 random bytes")]
    None,
    /// One is not as they are.
    #[error(
        "secret {0} in it is neither whsec_ and the base64 of 24 to 64 bytes, nor whsk_ and that of an Ed25519 key"
    )]
    Malformed(usize),
}

impl SigningSecrets {
    /// The secrets of a text, with white space between them. While one takes the place of another there are both.
    ///
    /// # Errors
    /// When one of them is none, by its place from 1 on.
    pub fn read(text: &str) -> Result<Self, SecretFault> {
        let key = |(at, secret): (usize, &str)| SignatureKey::read(secret).ok_or(SecretFault::Malformed(at + 1));
        let keys: Vec<SignatureKey> = text.split_whitespace().enumerate().map(key).collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(SecretFault::None) } else { Ok(Self(keys)) }
    }

    /// The value of `webhook-signature`: one signature of each secret. `timestamp` is in seconds since 1970.
    pub fn sign(&self, id: &str, timestamp: i64, body: &str) -> String {
        let signed = format!("{id}.{timestamp}.{body}");
        self.0.iter().map(|key| key.sign(signed.as_bytes())).collect::<Vec<_>>().join(" ")
    }
}

impl SignatureKey {
    fn read(secret: &str) -> Option<Self> {
        if let Some(secret) = secret.strip_prefix(SHARED) {
            let bytes = STANDARD.decode(secret).ok().filter(|bytes| BYTES.contains(&bytes.len()))?;
            return Some(Self::Shared(Box::new(Key::new(HMAC_SHA256, &bytes))));
        }
        let bytes = STANDARD.decode(secret.strip_prefix(PRIVATE)?).ok()?;
        let pair = match bytes.split_at_checked(SEED)? {
            (seed, []) => Ed25519KeyPair::from_seed_unchecked(seed),
            (seed, public) => Ed25519KeyPair::from_seed_and_public_key(seed, public),
        };
        pair.ok().map(Self::Private)
    }

    fn sign(&self, text: &[u8]) -> String {
        match self {
            Self::Shared(key) => format!("v1,{}", STANDARD.encode(sign(key, text))),
            Self::Private(pair) => format!("v1a,{}", STANDARD.encode(pair.sign(text))),
        }
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

    /// The keys of RFC 8032, section 7.1.
    #[test]
    fn a_private_secret_signs_so_that_its_public_key_knows_it() {
        use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let seed = hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
        let public = hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
        let both = [seed.clone(), public.clone()].concat();
        for secret in [&seed, &both] {
            let secrets = SigningSecrets::read(&format!("whsk_{}", STANDARD.encode(secret))).unwrap();
            let signature = secrets.sign("a/0", 7, "{}");
            let bytes = STANDARD.decode(signature.strip_prefix("v1a,").unwrap()).unwrap();
            let key = UnparsedPublicKey::new(&ED25519, &public);
            assert!(key.verify(b"a/0.7.{}", &bytes).is_ok());
            assert!(key.verify(b"a/0.8.{}", &bytes).is_err());
        }
        let wrong = [seed, hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")].concat();
        for secret in [&wrong[..], &wrong[..31]] {
            let read = SigningSecrets::read(&format!("whsk_{}", STANDARD.encode(secret)));
            assert_eq!(read.err(), Some(SecretFault::Malformed(1)));
        }
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
