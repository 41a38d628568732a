//! Tokens that the archive verifies by itself: those of issuers that its API server does not speak for.
//!
//! Owns what must be true of one: signed by a key of its issuer, for the archive alone, and neither ended nor of the future.
//! What its holder may do is for [`super::writers`] and [`super::oidc`].

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Validation, dangerous, decode, decode_header};
use serde_json::{Map, Value};

use super::keys::IssuerKeys;

/// How far clocks may be apart, in seconds.
const APART: u64 = 10;

/// What a token says of its holder.
pub type Claims = Map<String, Value>;

/// An issuer whose tokens are verified here.
#[derive(Clone)]
pub struct TokenIssuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// What they must be made for, and for nothing beside.
    pub audience: String,
    pub keys: IssuerKeys,
}

/// Why a token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    /// It is none, or nobody signed it whom this archive knows.
    #[error(
        "authorization: it needs a bearer token of an issuer that this archive knows, signed by a key of that issuer"
    )]
    Unknown,
    /// Its issuer made it for others too.
    #[error("authorization: the token must be made for {0:?} and for nothing beside; ask its issuer for such a one")]
    Audience(String),
    /// Its time is over, or has not come.
    #[error("authorization: the token has ended, or is not good yet; ask its issuer for a new one")]
    Ended,
    /// Nobody can say.
    #[error("cannot read the keys of issuer {0}: {1}")]
    NoKeys(String, String),
}

impl TokenIssuer {
    /// Whether a token says that it is of this issuer.
    pub fn is_named_by(&self, token: &str) -> bool {
        let claims = dangerous::insecure_decode_claims::<Claims>(token);
        claims.is_ok_and(|claims| claims.get("iss").and_then(Value::as_str) == Some(&self.issuer))
    }

    /// What the token says, if it is to be believed.
    ///
    /// # Errors
    /// When it is not, or nobody can say.
    pub async fn verify(&self, token: &str) -> Result<Claims, BadToken> {
        let header = decode_header(token).map_err(|_| BadToken::Unknown)?;
        let keys = self.keys.named(header.kid.as_deref()).await;
        let keys = keys.map_err(|why| BadToken::NoKeys(self.issuer.clone(), why))?;
        let mut verdict = Err(BadToken::Unknown);
        for key in keys.iter().filter(|key| key.algorithms.contains(&header.alg)) {
            match decode::<Claims>(token, &key.key, &self.validation(header.alg)) {
                Ok(token) => return self.for_us_alone(token.claims),
                Err(error) => match error.kind() {
                    ErrorKind::ExpiredSignature | ErrorKind::ImmatureSignature => verdict = Err(BadToken::Ended),
                    ErrorKind::InvalidAudience => verdict = Err(BadToken::Audience(self.audience.clone())),
                    _ => {}
                },
            }
        }
        verdict
    }

    fn validation(&self, algorithm: jsonwebtoken::Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_audience(&[&self.audience]);
        validation.set_issuer(&[&self.issuer]);
        validation.validate_nbf = true;
        validation.leeway = APART;
        validation
    }

    /// A token for several opens the others too, so whoever runs the archive could use it there.
    fn for_us_alone(&self, claims: Claims) -> Result<Claims, BadToken> {
        let one = match claims.get("aud") {
            Some(Value::String(_)) => true,
            Some(Value::Array(all)) => all.len() == 1,
            _ => false,
        };
        if claims.get("iss").and_then(Value::as_str) != Some(&self.issuer) {
            return Err(BadToken::Unknown);
        }
        if one { Ok(claims) } else { Err(BadToken::Audience(self.audience.clone())) }
    }
}
