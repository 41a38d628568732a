//! What an approver was shown, so that what is approved is that and nothing else.

use crate::api::request::{AccessRequest, PolicyRef};

/// What a review was given in the light of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    uid: Option<String>,
    /// Digest over the rules of the role, as the controller last saw them.
    role: Option<String>,
    /// The policy that decides, and its generation.
    policy: Option<PolicyRef>,
}

/// What is another thing now than what was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    Request,
    Role,
    Policy,
}

impl std::fmt::Display for Changed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Request => "it was deleted, and another request has its name",
            Self::Role => "the rules of its role are others than those that you were shown",
            Self::Policy => "another policy decides than the one that you were shown, or it was changed",
        })
    }
}

impl Shown {
    /// What of a request a reviewer relies on. Its spec cannot be changed.
    pub fn of(request: &AccessRequest) -> Self {
        let status = request.status.as_ref();
        Self {
            uid: request.metadata.uid.clone(),
            role: status.and_then(|status| status.role.as_ref()).map(|role| role.digest.clone()),
            policy: status.and_then(|status| status.policy.clone()),
        }
    }

    /// Whether the request as it is now is still what was shown, and if not, what of it.
    ///
    /// # Errors
    /// What has changed.
    pub fn still_holds(&self, now: &AccessRequest) -> Result<(), Changed> {
        let now = Self::of(now);
        if self.uid != now.uid {
            Err(Changed::Request)
        } else if self.role != now.role {
            Err(Changed::Role)
        } else if self.policy != now.policy {
            Err(Changed::Policy)
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::laws::fixtures::request;
    use serde_json::{Value, json};

    fn with(uid: &str, status: Value) -> AccessRequest {
        let mut request = request(json!({}));
        request.metadata.uid = Some(uid.to_owned());
        request.status = serde_json::from_value(status).unwrap();
        request
    }

    #[test]
    fn only_what_a_reviewer_relies_on_counts_as_a_change() {
        let policy = |generation: i64| json!({ "name": "p", "uid": "u", "generation": generation });
        let status = |digest: &str, generation| json!({ "role": { "digest": digest }, "policy": policy(generation) });
        let shown = Shown::of(&with("a", status("d", 1)));
        let mut reviewed = status("d", 1);
        reviewed["reviews"] = json!({ "bob": { "verdict": "Approve" } });
        reviewed["message"] = json!("one more");
        for (now, expected) in [
            (with("a", reviewed), Ok(())),
            (with("b", status("d", 1)), Err(Changed::Request)),
            (with("a", status("e", 1)), Err(Changed::Role)),
            (with("a", status("d", 2)), Err(Changed::Policy)),
            (with("a", json!({ "policy": policy(1) })), Err(Changed::Role)),
        ] {
            assert_eq!(shown.still_holds(&now), expected, "{now:?}");
        }
    }
}
