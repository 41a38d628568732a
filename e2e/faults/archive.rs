//! Owns two stories that are judged: an archive that is killed, frozen and out of space, on a line that is cut, slow and
//! loses answers, while two controllers deliver to it at the same time; and one whose database is away for a minute. What a
//! controller printed must be held, byte for byte and once, and what is held must be removed from the cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daypass::api::record::Record;
use kube::ResourceExt;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::weather::Dice;
use crate::harness::archive::{ArchiveDatabase, RunningArchive};
use crate::harness::install::Controller;
use crate::harness::line::{Line, LineFault};
use crate::harness::postgres::PostgresServer;
use crate::harness::users::{ADMIN, ALICE};
use crate::harness::{Cluster, ControlPlane, Daypass, cast, eventually};

/// Requests of a story.
const REQUESTS: usize = 150;
/// How long the database is away.
const GONE_FOR: Duration = Duration::from_secs(60);
/// How long all may take to be held and removed when nothing is wrong any more: the longest time between two tries, and more.
const AFTERWARDS: Duration = Duration::from_secs(120);
/// Bytes of the disk on which SQLite keeps its files.
const DISK: &str = "24m";

/// What happens to an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Blow {
    Killed,
    Frozen,
    DiskFull,
    LeaderKilled,
    OnTheLine(LineFault),
}

const BLOWS: [Blow; 7] = [
    Blow::Killed,
    Blow::Frozen,
    Blow::DiskFull,
    Blow::LeaderKilled,
    Blow::OnTheLine(LineFault::Cut),
    Blow::OnTheLine(LineFault::AnswersLost),
    Blow::OnTheLine(LineFault::Slow),
];

/// Tells both, each on a control plane of its own. The complaints.
pub async fn play(seed: u64) -> Vec<String> {
    let mut complaints = battered(seed).await;
    match PostgresServer::start(&[]) {
        Some(server) => complaints.extend(database_away(server).await),
        None => PostgresServer::say_left_out("a database that is away for a minute"),
    }
    complaints.iter().for_each(|complaint| println!("NOT WELL: {complaint}"));
    complaints
}

/// Two controllers that deliver to one archive, neither knowing of the other.
struct Delivering {
    // Dropped before the control plane.
    controllers: [Controller; 2],
    cluster: Cluster,
    archive: RunningArchive,
    line: Line,
    namespace: String,
}

impl Delivering {
    async fn start(database: impl FnOnce(&ControlPlane) -> ArchiveDatabase) -> Self {
        let control_plane = Arc::new(ControlPlane::start().await);
        Daypass::install(&control_plane, &["bindableRoles={deployer}", "archive.enabled=true"]).await;
        cast::give_rights(&control_plane.kubectl(ADMIN)).await;
        let archive = RunningArchive::start_on(&control_plane, database(&control_plane)).await;
        let line = Line::start(archive.listens()).await;
        let mut flags = archive.flags_by(line.address);
        flags.extend(["--retention=5s", "--no-leader-election"].map(str::to_owned));
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let start = async |name: &str| Controller::start_with(&control_plane, name, &flags).await;
        let controllers = [start("one").await, start("two").await];
        let idle = start("idle").await;
        idle.kill();
        let cluster = Cluster { controller: idle, control_plane };
        cast::until_stamped(&cluster.kubectl(crate::harness::users::MALLORY)).await;
        let namespace = cluster.namespace("recorded").await;
        cluster.allow(&namespace, &namespace, json!({})).await;
        Self { controllers, cluster, archive, line, namespace }
    }

    /// Somebody asks, now and then, for a few seconds or for what nobody may have.
    async fn ask(&self, number: usize) {
        let spec = match number % 5 {
            0 => json!({ "role": { "name": "cluster-admin" } }),
            n => json!({ "duration": format!("{n}s") }),
        };
        self.cluster.ask(ALICE, &self.namespace, &format!("fix-{number}"), spec).await;
    }

    /// Waits until nothing is left in the cluster, then judges what the archive has.
    async fn judge(&self, asked: usize) -> Vec<String> {
        let requests = self.cluster.requests(&self.namespace).await;
        let began = Instant::now();
        eventually("all is held and removed", AFTERWARDS, async || {
            let left = requests.list(&Default::default()).await.map_err(|error| error.to_string())?.items;
            let of = |request: &daypass::api::AccessRequest| {
                let status = request.status.clone().unwrap_or_default();
                format!("{} {:?} {:?}", request.name_any(), status.state, status.recorded)
            };
            if left.is_empty() { Ok(()) } else { Err(left.iter().map(of).collect::<Vec<_>>().join(", ")) }
        })
        .await;
        println!("  all held and removed after {:.1} s", began.elapsed().as_secs_f64());
        let held = self.held().await;
        let printed = self.printed();
        let uids: BTreeSet<&str> = held.values().map(|(record, _)| record.request.uid.as_str()).collect();
        println!("  {} requests, {} records held, {} printed", uids.len(), held.len(), printed.len());
        let mut complaints = Vec::new();
        if uids.len() != asked {
            complaints.push(format!("{asked} requests were made, {} are held", uids.len()));
        }
        for (id, line) in &printed {
            match held.get(id) {
                None => complaints.push(format!("{id} was printed and is lost")),
                Some((_, bytes)) if bytes != line => complaints.push(format!("{id} is held as {bytes}, not {line}")),
                Some(_) => {}
            }
        }
        complaints.extend(uids.iter().flat_map(|uid| broken(uid, &held)));
        complaints
    }

    /// Every record that is held about the namespace, by its id.
    async fn held(&self) -> BTreeMap<String, (Record, String)> {
        let mut held = BTreeMap::new();
        let mut next = String::new();
        loop {
            let path = format!("/apis/archive.daypass.dev/v1/namespaces/{}/records", self.namespace);
            let path = format!("{path}?limit=500&continue={next}");
            let page = self.cluster.kubectl(ADMIN).ok(&["get", "--raw", &path]).await;
            let page: Value = serde_json::from_str(&page).expect("JSON");
            for item in page["items"].as_array().expect("a list") {
                let record: Record = serde_json::from_value(item["record"].clone()).expect("a record");
                let bytes = record.bytes();
                let before = held.insert(record.id.clone(), (record, bytes));
                assert!(before.is_none(), "held twice: {before:?}");
            }
            match page["metadata"]["continue"].as_str() {
                Some(more) if !more.is_empty() => more.clone_into(&mut next),
                _ => return held,
            }
        }
    }

    /// Every record that either controller printed about the namespace, by its id.
    fn printed(&self) -> BTreeMap<String, String> {
        let logs = self.controllers.iter().map(Controller::log);
        let mut printed = BTreeMap::new();
        for log in logs {
            for line in log.lines().filter(|line| line.contains(r#""schema":"daypass.dev/record/v1""#)) {
                // A line that a kill cut off is printed again by the next.
                let Ok(record) = serde_json::from_str::<Record>(line) else { continue };
                if record.request.namespace == self.namespace {
                    printed.insert(record.id, line.to_owned());
                }
            }
        }
        printed
    }

    async fn strike(&mut self, blow: Blow, dice: &mut Dice, disk: &Disk) {
        let lasts = Duration::from_millis(dice.within([300, 3_000]));
        match blow {
            Blow::Killed => {
                self.archive.kill();
                sleep(lasts).await;
                self.archive.run().await;
            }
            Blow::Frozen => {
                self.archive.freeze();
                sleep(lasts).await;
                self.archive.thaw();
            }
            Blow::DiskFull => {
                disk.fill();
                sleep(lasts).await;
                disk.clear();
            }
            Blow::LeaderKilled => {
                let victim = &self.controllers[usize::from(dice.percent(50))];
                victim.kill();
                sleep(lasts).await;
                victim.restart().await;
            }
            Blow::OnTheLine(fault) => {
                self.line.set(Some(fault));
                sleep(lasts).await;
                self.line.set(None);
            }
        }
    }
}

/// What is wrong with the chain of a request.
fn broken(uid: &str, held: &BTreeMap<String, (Record, String)>) -> Option<String> {
    let mut chain: Vec<&Record> = held.values().map(|(record, _)| record).filter(|r| r.request.uid == uid).collect();
    chain.sort_by_key(|record| record.index);
    let whole = chain.iter().enumerate().all(|(at, record)| usize::try_from(record.index) == Ok(at));
    let linked = chain.windows(2).all(|pair| pair[1].previous == Some(pair[0].digest()));
    let kinds: Vec<&str> = chain.iter().map(|record| record.kind.as_str()).collect();
    let ended = matches!(kinds.last(), Some(&"Expired" | &"Denied" | &"Lapsed"));
    (!(whole && linked && ended)).then(|| format!("{uid} is held as {kinds:?}, whole: {whole}, linked: {linked}"))
}

async fn battered(seed: u64) -> Vec<String> {
    let mut disk = None;
    let mut story = Delivering::start(|control_plane| {
        let made = Disk::make(control_plane.dir().join("disk"));
        let file = made.folder.join("archive.db");
        disk = Some(made);
        ArchiveDatabase::File(file)
    })
    .await;
    let disk = disk.expect("a disk");
    let (mut dice, mut blows, mut asked) = (Dice::new(seed), BTreeMap::<Blow, usize>::new(), 0);
    println!("An archive under blows, two controllers that deliver (seed {seed}):");
    while asked < REQUESTS {
        for _ in 0..dice.within([3, 9]) {
            story.ask(asked).await;
            asked += 1;
        }
        let blow = dice.pick(&BLOWS);
        if blow == Blow::DiskFull && !disk.is_small {
            continue;
        }
        *blows.entry(blow).or_default() += 1;
        let more = asked;
        story.strike(blow, &mut dice, &disk).await;
        asked = more;
    }
    for (blow, count) in blows {
        println!("  {:<28} {count:>6}", format!("{blow:?}"));
    }
    println!("  {:<28} {:>6}", "answers lost", story.line.lost());
    story.judge(asked).await
}

async fn database_away(mut server: PostgresServer) -> Vec<String> {
    let url = server.database("archive");
    let story = Delivering::start(|_| ArchiveDatabase::Postgres(url)).await;
    for number in 0..20 {
        story.ask(number).await;
    }
    println!("An archive whose PostgreSQL is away for {GONE_FOR:?}:");
    server.stop();
    let (begun, mut asked) = (Instant::now(), 20);
    while begun.elapsed() < GONE_FOR {
        story.ask(asked).await;
        asked += 1;
        sleep(Duration::from_millis(500)).await;
    }
    server.start_again();
    story.judge(asked).await
}

/// A disk that can be full: a file system in memory, where this machine lets one be mounted.
struct Disk {
    folder: PathBuf,
    is_small: bool,
}

impl Disk {
    fn make(folder: PathBuf) -> Self {
        std::fs::create_dir_all(&folder).expect("make a folder");
        let size = format!("size={DISK}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(&folder).output();
        let is_small = mounted.is_ok_and(|mounted| mounted.status.success());
        if !is_small {
            println!("left out, since this machine lets nobody mount a file system: a disk that is full");
        }
        Self { folder, is_small }
    }

    fn filler(&self) -> PathBuf {
        self.folder.join("filler")
    }

    /// Takes all the space that is left.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.filler()).expect("make a file");
        let block = [0; 4096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }

    fn clear(&self) {
        let _ = std::fs::remove_file(self.filler());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_small {
            unmount(&self.folder);
        }
    }
}

/// The archive may still have its files open.
fn unmount(folder: &Path) {
    let _ = Command::new("umount").arg("--lazy").arg(folder).status();
}
