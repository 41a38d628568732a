//! Owns the cast: the people that the API server knows by a static token.

/// A person whom the API server knows.
#[derive(Clone, Copy, Debug)]
pub struct User {
    pub name: &'static str,
    pub uid: &'static str,
    pub groups: &'static [&'static str],
}

impl User {
    /// The bearer token that proves to be this user.
    pub fn token(&self) -> String {
        format!("token-of-{}", self.name)
    }
}

const fn user(name: &'static str, uid: &'static str, groups: &'static [&'static str]) -> User {
    User { name, uid, groups }
}

/// May do everything.
pub const ADMIN: User = user("admin", "u-admin", &["system:masters"]);
/// A developer.
pub const ALICE: User = user("alice", "u-alice", &["dev"]);
/// A developer who also approves.
pub const BOB: User = user("bob", "u-bob", &["dev", "approvers"]);
/// Approves, and is no developer.
pub const CAROL: User = user("carol", "u-carol", &["approvers"]);
/// On call.
pub const DAVE: User = user("dave", "u-dave", &["sre"]);
/// In no group, and up to no good.
pub const MALLORY: User = user("mallory", "u-mallory", &[]);
/// A second developer.
pub const EVE: User = user("eve", "u-eve", &["dev"]);
/// The machine that syncs policy from Git.
pub const GITOPS: User = user("gitops", "u-gitops", &["gitops"]);

/// Everyone.
pub const ALL: [User; 8] = [ADMIN, ALICE, BOB, CAROL, DAVE, MALLORY, EVE, GITOPS];

/// The API server's `--token-auth-file`: one line a user.
pub fn token_file() -> String {
    ALL.iter()
        .map(|user| format!("{},{},{},\"{}\"\n", user.token(), user.name, user.uid, user.groups.join(",")))
        .collect()
}
