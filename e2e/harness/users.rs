//! Owns the cast: the people that the API server knows by a static token.

use std::sync::LazyLock;

/// A person whom the API server knows.
#[derive(Clone, Copy, Debug)]
pub struct User {
    /// Which login it is: a person may have several. Files are named by it, so it is a plain word.
    pub login: &'static str,
    pub name: &'static str,
    pub uid: &'static str,
    pub groups: &'static [&'static str],
}

impl User {
    /// The bearer token that proves to be this user.
    pub fn token(&self) -> String {
        format!("token-of-{}", self.login)
    }
}

const fn user(name: &'static str, uid: &'static str, groups: &'static [&'static str]) -> User {
    User { login: name, name, uid, groups }
}

const fn login(login: &'static str, name: &'static str, uid: &'static str, groups: &'static [&'static str]) -> User {
    User { login, name, uid, groups }
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

/// The cast.
pub const ALL: [User; 8] = [ADMIN, ALICE, BOB, CAROL, DAVE, MALLORY, EVE, GITOPS];

/// alice by a login that has one group more.
pub const ALICE_APPROVES: User = login("alice-approves", "alice", "u-alice", &["dev", "approvers"]);
/// alice under another name.
pub const ALICE_RENAMED: User = login("alice-renamed", "alice-renamed", "u-alice", &["approvers"]);
/// Somebody else who has that name.
pub const NOT_ALICE: User = login("not-alice", "alice-renamed", "u-not-alice", &["approvers"]);
/// bob after he has left the approvers.
pub const BOB_LEFT: User = login("bob-left", "bob", "u-bob", &["dev"]);
/// Somebody whose name differs from bob's by a capital letter.
pub const BIG_BOB: User = login("big-bob", "Bob", "u-big-bob", &["dev"]);
/// May write requests, policies and statuses as RBAC goes, and may neither bind a role nor purge a request.
pub const PETRA: User = user("petra", "u-petra", &[]);

/// A developer who may read all that requests are decided by.
pub const GRETA: User = user("greta", "u-greta", &["dev"]);

/// May write in every namespace, as `edit` lets, and is in no group.
pub const TRUDY: User = user("trudy", "u-trudy", &[]);
/// The same with `admin`, and may debug pods.
pub const OSCAR: User = user("oscar", "u-oscar", &[]);
/// A kubelet.
pub const KUBELET: User = login("kubelet", "system:node:n1", "u-node-n1", &["system:nodes"]);
/// The scheduler of Kubernetes.
pub const SCHEDULER: User = login("scheduler", "system:kube-scheduler", "u-scheduler", &[]);
/// May edit everything in every namespace, and so act as any service account.
pub const EDDA: User = user("edda", "u-edda", &[]);
/// A job of GitHub Actions, by the name that its ID token has at a cluster.
pub const GITHUB_JOB: User = login("github-job", "github:repo:acme/shop:environment:production", "u-github-job", &[]);
/// A job of GitLab CI, likewise.
pub const GITLAB_JOB: User = login("gitlab-job", "gitlab:acme/shop:production", "u-gitlab-job", &[]);
/// Somebody whose name has a character that no terminal shows.
pub const HIDDEN: User = login("hidden", "ali\u{202e}ce", "u-hidden", &["dev"]);

pub const SLASH: User = login("slash", "team/anna", "u-slash", &["dev"]);
pub const TILDE: User = login("tilde", "anna~1ops", "u-tilde", &["dev"]);
pub const QUOTE: User = login("quote", "o\"neil", "u-quote", &["dev"]);
pub const TICK: User = login("tick", "d'arc", "u-tick", &["dev"]);
pub const BACKSLASH: User = login("backslash", "corp\\anna", "u-backslash", &["dev"]);
pub const SPACE: User = login("space", "anna smith", "u-space", &["dev"]);
pub const UNICODE: User = login("unicode", "\u{17e}ofie-\u{43a}\u{43b}\u{44e}\u{447}", "u-unicode", &["dev"]);
pub const BRACES: User = login("braces", "${anna}[0]", "u-braces", &["dev"]);
/// As long a name as can be recorded: 253 characters.
pub static LONG: LazyLock<User> = LazyLock::new(|| login("long", leak("n".repeat(253)), "u-long", &["dev"]));
/// One character longer.
pub static TOO_LONG: LazyLock<User> =
    LazyLock::new(|| login("too-long", leak("n".repeat(254)), "u-too-long", &["dev"]));
/// In 256 groups.
pub static CROWDED: LazyLock<User> = LazyLock::new(|| of_groups("crowded", 255));
/// In more groups than can be recorded.
pub static OVERFULL: LazyLock<User> = LazyLock::new(|| of_groups("overfull", 600));
/// In no group; there are as many as a request can have reviews.
pub static VOTERS: LazyLock<Vec<User>> = LazyLock::new(|| {
    let voter = |n| {
        let name = leak(format!("voter-{n}"));
        user(name, name, &[])
    };
    (0..64).map(voter).collect()
});

/// Names that are hard to quote, to escape or to store.
pub fn with_odd_names() -> Vec<User> {
    vec![SLASH, TILDE, QUOTE, TICK, BACKSLASH, SPACE, UNICODE, BRACES, *LONG]
}

/// dev and some more, `system:authenticated` not counted.
fn of_groups(name: &'static str, many: usize) -> User {
    let groups = std::iter::once("dev").chain((1..many).map(|n| leak(format!("group-{n}"))));
    user(name, name, Vec::leak(groups.collect()))
}

/// The users live as long as the program.
fn leak(text: String) -> &'static str {
    String::leak(text)
}

/// The API server's `--token-auth-file`: one line a login.
pub fn token_file() -> String {
    let more = [
        ALICE_APPROVES,
        ALICE_RENAMED,
        NOT_ALICE,
        BOB_LEFT,
        BIG_BOB,
        PETRA,
        EDDA,
        TRUDY,
        OSCAR,
        KUBELET,
        SCHEDULER,
        HIDDEN,
        GITHUB_JOB,
        GITLAB_JOB,
        GRETA,
        *TOO_LONG,
        *CROWDED,
        *OVERFULL,
    ];
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let everybody = ALL.into_iter().chain(more).chain(with_odd_names()).chain(VOTERS.iter().copied());
    everybody
        .map(|user| {
            let groups = user.groups.join(",");
            let mut fields = vec![user.token(), user.name.to_owned(), user.uid.to_owned()];
            // An empty column would be a group without a name.
            fields.extend((!groups.is_empty()).then_some(groups));
            let fields: Vec<String> = fields.iter().map(|field| quoted(field)).collect();
            format!("{}\n", fields.join(","))
        })
        .collect()
}
