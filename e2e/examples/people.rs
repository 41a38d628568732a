//! The pages of `examples/people` and `examples/review.md`, played in the order in which a company comes to them: by an
//! administrator, an author of policies, somebody who asks, an approver and an auditor, each with their own login, on one
//! control plane. Nobody has a right there that a page does not give.
//!
//! A command has to answer what its page shows, where `...` stands for any lines; where `...` is all, or nothing is shown, it has
//! to end well.

use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use daypass::api::campaign::{ShownCampaign, ShownItem};
use daypass::api::{AccessRequest, State};
use kube::ResourceExt;
use libtest_mimic::Trial;
use serde_json::json;

use crate::harness::archive::RunningArchive;
use crate::harness::cast::SOON;
use crate::harness::plugin::PROGRAM;
use crate::harness::servers::AUDIT_POLICY;
use crate::harness::users::{ADMIN, ALICE, CAROL, GITOPS, GRETA, User};
use crate::harness::wait::poll;
use crate::harness::{Cluster, ControlPlane, Controller, Daypass, alone, binaries, eventually, without_cluster};
use crate::plugin::doctor::run_as_pod;
use crate::tutorial::{Command, Part, timeless};

const SET_UP: Part = Part { file: "examples/people/administrator.md", heading: "\n## Set up\n", more_than: 9 };
const LOOK_AFTER: Part = Part { heading: "\n## Look after it\n", more_than: 3, ..SET_UP };
const AUTHOR: Part =
    Part { file: "examples/people/policy-author.md", heading: "\n## Write, try, apply\n", more_than: 5 };
const REQUESTER: Part =
    Part { file: "examples/people/requester.md", heading: "\n## Ask, work, give back\n", more_than: 8 };
const APPROVER: Part = Part { file: "examples/people/approver.md", heading: "\n## Decide\n", more_than: 5 };
const AUDITOR: Part =
    Part { file: "examples/people/auditor.md", heading: "\n## Look, and take it along\n", more_than: 6 };
const OWNERS: Part = Part { file: "examples/review.md", heading: "\n## For owners\n", more_than: 3 };
const CAMPAIGN: Part = Part { heading: "\n## For who has access reviewed\n", more_than: 4, ..OWNERS };
const REVIEWED: Part = Part { heading: "\n## For auditors\n", more_than: 2, ..OWNERS };
/// Each page fits on a screen: it has no more lines.
const LONGEST: usize = 70;
/// Stands in a page for lines that are not shown there.
const LEFT_OUT: &str = "...";
/// Ends every name that the pages show and the API server makes.
const MADE: &str = "x7k2p";
/// Stand in the answers of commands that wait for carol.
const APPROVED: [&str; 2] = ["approved by carol\n", "extended: "];
/// What asks once more at a terminal, and takes `--yes` where there is none.
const ASKS: [&str; 7] =
    ["approve ", "deny ", "revoke ", "review confirm ", "review remove ", "review start ", "review close "];
/// What only looks, and may be given again until the cluster has caught up.
const LOOKS: [&str; 6] =
    [" can-i ", "daypass list", "daypass who", "daypass history", "daypass report", "daypass show"];

pub fn trials() -> Vec<Trial> {
    vec![
        alone("examples::people::each_page_tells_what_happens", AUDIT_POLICY, played),
        without_cluster("examples::people::what_a_page_leaves_out_may_be_anything", leaves_out),
    ]
}

async fn played(control_plane: Arc<ControlPlane>) {
    let mut story = Story::begin(control_plane).await;
    story.play(&SET_UP, ADMIN, SET_UP.commands()).await;
    story.write_policy().await;
    story.play(&REQUESTER, ALICE, REQUESTER.commands()).await;
    story.alice_asks().await;
    story.play(&APPROVER, CAROL, APPROVER.commands()).await;
    story.review().await;
    story.until_recorded().await;
    story.play(&AUDITOR, GRETA, AUDITOR.commands()).await;
    story.play(&REVIEWED, GRETA, REVIEWED.commands()).await;
    story.play(&LOOK_AFTER, ADMIN, LOOK_AFTER.commands()).await;
    assert!(story.faults.is_empty(), "{}", story.faults.join("\n\n"));
    for file in [SET_UP.file, AUTHOR.file, REQUESTER.file, APPROVER.file, AUDITOR.file] {
        let lines = text_of(file).lines().count();
        assert!(lines <= LONGEST, "{file} has {lines} lines, and is to fit on a screen of {LONGEST}");
    }
}

fn text_of(file: &str) -> String {
    std::fs::read_to_string(binaries::repository().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// What the pages tell, as far as it has come.
struct Story {
    cluster: Cluster,
    _archive: RunningArchive,
    /// Where the commands are given: it has the examples in it.
    folder: PathBuf,
    /// What stands in the pages for what is otherwise in each run, and what it is in this one.
    names: Vec<(String, String)>,
    faults: Vec<String>,
}

impl Story {
    /// The chart is installed with an archive, and nobody but the administrator may do anything.
    async fn begin(control_plane: Arc<ControlPlane>) -> Self {
        Daypass::install(&control_plane, &["archive.enabled=true"]).await;
        let archive = RunningArchive::start(&control_plane).await;
        let flags = archive.flags();
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let controller = Controller::start_with(&control_plane, "controller", &flags).await;
        let folder = control_plane.dir().join("pages");
        std::fs::create_dir_all(&folder).expect("make a folder");
        std::os::unix::fs::symlink(binaries::repository().join("examples"), folder.join("examples")).expect("a link");
        let cluster = Cluster { controller, control_plane };
        run_as_pod(&cluster).await;
        Self { cluster, _archive: archive, folder, names: Vec::new(), faults: Vec::new() }
    }

    /// gitops writes a policy as the page says, with what its YAML adds at the end of the file.
    async fn write_policy(&mut self) {
        let mut first = AUTHOR.commands();
        let rest = first.split_off(1);
        self.play(&AUTHOR, GITOPS, first).await;
        let page = text_of(AUTHOR.file);
        let more = page.split("```yaml\n").nth(1).and_then(|more| more.split("```").next()).expect("a block of YAML");
        let file = self.folder.join("access/policies/dev-edit.yaml");
        let policy = std::fs::read_to_string(&file).expect("the policy that was written");
        std::fs::write(&file, format!("{policy}{more}")).expect("write the policy");
        self.play(&AUTHOR, GITOPS, rest).await;
    }

    /// What waits for carol, and an emergency that she has not reviewed.
    async fn alice_asks(&self) {
        let pod =
            json!([{ "verbs": ["delete"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["checkout-0"] }]);
        for (name, spec) in [
            ("fix", json!({ "duration": "20m", "reason": "checkout-0 hangs", "rules": pod })),
            ("all", json!({ "duration": "2h", "reason": "I am not sure" })),
            ("outage", json!({ "duration": "20m", "reason": "orders fail", "breakGlass": true })),
        ] {
            self.cluster.ask(ALICE, "shop", name, spec).await;
        }
        for name in ["fix", "all"] {
            self.cluster.until_reason("shop", name, "Approved", "ApprovalNeeded").await;
        }
        self.cluster.until("shop", "outage", State::Active).await;
    }

    /// What people hold for good in the shop is reviewed, from the start to the end of a campaign.
    async fn review(&mut self) {
        let admin = self.cluster.kubectl(ADMIN);
        for (name, role, who) in
            [("on-call", "edit", "--user=dave"), ("old-team", "edit", "--user=eve"), ("leads", "admin", "--user=carol")]
        {
            let role = format!("--clusterrole={role}");
            admin.ok(&["create", "rolebinding", name, "-n", "shop", &role, who]).await;
        }
        let mut start = CAMPAIGN.commands();
        let end = start.iter().position(|command| command.line.contains("review look")).expect("a second look");
        let rest = start.split_off(end);
        self.play(&CAMPAIGN, ADMIN, start).await;
        let shown = admin_of(&self.cluster, "kubectl daypass review show 2027-h1 -o json", &self.folder).await;
        let campaign: ShownCampaign = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
        for (subject, page) in [("User/dave", "2565f8a11d25"), ("User/eve", "f526b788de08")] {
            let holds = |item: &&ShownItem| {
                item.item.holder.as_ref().is_some_and(|holder| holder.subject.to_string() == subject)
            };
            let id = &campaign.items.iter().find(holds).unwrap_or_else(|| panic!("no item of {subject}: {shown}")).id;
            // A page may give as much of it as tells it from others.
            self.names.extend([12, 6].map(|long| (page[..long].to_owned(), id[..long].to_owned())));
        }
        self.names.sort_by_key(|(_, real)| Reverse(real.len()));
        self.play(&OWNERS, CAROL, OWNERS.commands()).await;
        let left = admin.ok(&["get", "rolebindings", "-n", "shop", "-o", "jsonpath={.items[*].metadata.name}"]).await;
        assert!(left.contains("on-call") && !left.contains("old-team"), "{left}");
        self.play(&CAMPAIGN, ADMIN, rest).await;
    }

    /// The archive has all that is over.
    async fn until_recorded(&self) {
        eventually("the archive has what is over", SOON, async || {
            let over = |request: &AccessRequest| {
                let status = request.status.clone().unwrap_or_default();
                let is_reviewed = status.break_glass.is_none_or(|review| review.closed_by.is_some());
                is_reviewed && status.state != State::Active && status.recorded.is_none()
            };
            let open: Vec<String> =
                self.requests().await.iter().filter(|one| over(one)).map(ResourceExt::name_any).collect();
            if open.is_empty() { Ok(()) } else { Err(format!("{open:?}")) }
        })
        .await;
    }

    async fn requests(&self) -> Vec<AccessRequest> {
        self.cluster.requests("shop").await.list(&Default::default()).await.expect("list requests").items
    }

    /// Has somebody give these commands of a page.
    async fn play(&mut self, part: &Part, reader: User, commands: Vec<Command>) {
        for command in commands {
            let before: Vec<String> = self.requests().await.iter().map(ResourceExt::name_any).collect();
            let line = self.names.iter().fold(command.line.clone(), |line, (page, real)| line.replace(page, real));
            let asks = ASKS.iter().any(|asks| line.contains(&format!("daypass {asks}"))) && !line.contains("--dry-run");
            let line = if asks { format!("{line} --yes") } else { line };
            let given = if APPROVED.iter().any(|said| command.answer.contains(said)) && line.contains(" --reason ") {
                tokio::join!(self.given(reader, &line), self.approve(&before)).0
            } else {
                self.given(reader, &line).await
            };
            self.names_made(&before).await;
            let mut told = self.judged(&command, given);
            if told.is_err() && LOOKS.iter().any(|looks| line.contains(looks)) {
                told = poll(SOON, async || match self.judged(&command, self.given(reader, &line).await) {
                    Ok(()) => ControlFlow::Break(()),
                    Err(answer) => ControlFlow::Continue(answer),
                })
                .await;
            }
            if let Err(answer) = told {
                let Part { file, .. } = part;
                self.faults.push(format!("{file}: $ {}\n{answer}\nbut it says:\n{}", command.line, command.answer));
            }
        }
    }

    /// Whether a command was answered as its page says; or else its answer.
    fn judged(&self, command: &Command, (ok, answer): (bool, String)) -> Result<(), String> {
        let answer = self.as_in_the_page(&answer);
        let is_right = match ["", "...\n"].contains(&command.answer.as_str()) {
            true => ok,
            false => has_lines(&timeless(&answer), &timeless(&command.answer)),
        };
        if is_right { Ok(()) } else { Err(answer) }
    }

    /// Gives a line in a shell: whether it ended well, and all that it printed.
    async fn given(&self, reader: User, line: &str) -> (bool, String) {
        let plugin = Path::new(PROGRAM).parent().expect("a folder").display();
        let line = format!("PATH=\"$PATH:{plugin}\"\ncd '{}'\n{line} 2>&1", self.folder.display());
        let ended = self.cluster.control_plane.shell(reader, &line).await;
        (ended.ok, ended.stdout)
    }

    /// carol agrees to what was not there before.
    async fn approve(&self, before: &[String]) {
        let new = eventually("one more request is made", SOON, async || {
            let names: Vec<String> = self.requests().await.iter().map(ResourceExt::name_any).collect();
            names.into_iter().find(|name| !before.contains(name)).ok_or_else(|| "there is none".to_owned())
        })
        .await;
        self.cluster.until("shop", &new, State::Pending).await;
        self.cluster.review(CAROL, "shop", &new, "Approve", "go ahead").await;
    }

    /// Notes what new requests are called in the pages: whatever was made last of a name is meant by it.
    async fn names_made(&mut self, before: &[String]) {
        for name in self.requests().await.iter().map(ResourceExt::name_any).filter(|name| !before.contains(name)) {
            let Some((stem, _)) = name.rsplit_once('-') else { continue };
            let page = self.as_in_the_page(&format!("{stem}-{MADE}"));
            self.names.retain(|(known, _)| *known != page);
            self.names.push((page, name));
            self.names.sort_by_key(|(_, real)| Reverse(real.len()));
        }
    }

    /// An answer with the names that a page can know.
    fn as_in_the_page(&self, answer: &str) -> String {
        self.names.iter().fold(answer.to_owned(), |answer, (page, real)| answer.replace(real, page))
    }
}

/// What a line prints to the administrator.
async fn admin_of(cluster: &Cluster, line: &str, folder: &Path) -> String {
    let plugin = Path::new(PROGRAM).parent().expect("a folder").display();
    let line = format!("PATH=\"$PATH:{plugin}\"\ncd '{}'\n{line}", folder.display());
    cluster.control_plane.shell(ADMIN, &line).await.stdout
}

/// Whether a text is what a page says, in which `...` stands for any lines.
fn has_lines(text: &str, page: &str) -> bool {
    let (text, page): (Vec<&str>, Vec<&str>) = (text.lines().collect(), page.lines().collect());
    let parts: Vec<&[&str]> = page.split(|line| *line == LEFT_OUT).collect();
    let [first, middle @ .., last] = &parts[..] else { return text == page };
    let Some(mut left) = text.strip_prefix(*first).and_then(|left| left.strip_suffix(*last)) else { return false };
    middle.iter().all(|part| {
        let at = (0..=left.len()).find(|at| left[*at..].starts_with(part));
        at.map(|at| left = &left[at + part.len()..]).is_some()
    })
}

/// What is left out may be anything; what is shown must be there, and in this order.
fn leaves_out() {
    let text = "a\nb\nc\nd";
    for right in [text, "...\nd", "a\n...", "a\n...\nd", "...\nb\n...\nd", "...\nb\nc\n...", "a\nb\n...\nc\nd", "..."] {
        assert!(has_lines(text, right), "{right:?}");
    }
    for wrong in
        ["a\nb", "...\nc", "b\n...", "a\n...\nd\n...\nd", "...\nc\n...\nb\n...", "...\nb\nd", "a\nb\nc\n...\nc\nd"]
    {
        assert!(!has_lines(text, wrong), "{wrong:?}");
    }
}
