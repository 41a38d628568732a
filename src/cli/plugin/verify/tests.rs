//! Logs in folders: what is found of what somebody did to them, and what is not.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;

use super::keep::KeptFolder;
use super::keys::arithmetic;
use super::reading::LogReading;
use super::source::{FiledCheckpoint, KeptOpening, LogSource};
use crate::cli::plugin::error::PluginError;
use crate::cli::plugin::output::console::Console;
use crate::cli::plugin::proof::OpenedLog;
use crate::core::laws::fixtures::noon;
use crate::core::proof::audit::AuditFinding;
use crate::core::proof::checkpoint::Checkpoint;
use crate::core::proof::leaf::LeafEntry;
use crate::core::proof::log_proof::{LogProven, LogUnproven, LogVerdict};
use crate::core::proof::tests::{SampleLog, salts};
use crate::core::proof::tile::{Tile, TileKind, entry_bytes, hash_bytes};
use crate::core::proof::tile_rows::TileRows;

/// So many that there are full tiles.
const COPIES: usize = 16;
/// Times when the log was signed before, by its size.
const EARLIER: [usize; 4] = [1, 100, 256, 300];

/// A log in a folder, as `--keep` writes it.
fn write(log: &SampleLog, folder: &Path) {
    let (size, mut keep) = (log.leaves.len() as u64, KeptFolder::new(folder).unwrap());
    let now = log.cosigned(log.signed(&log.checkpoint(log.leaves.len())), 2_000);
    keep.file("checkpoint", now.to_string().as_bytes()).unwrap();
    let mut rows = TileRows::default();
    let mut tiles: Vec<_> = log.hashes().into_iter().flat_map(|hash| rows.push(hash)).collect();
    tiles.extend(rows.partial());
    for (tile, hashes) in tiles {
        keep.file(&tile.to_string(), &hash_bytes(&hashes)).unwrap();
    }
    for (bundle, leaves) in (0_u64..).zip(log.leaves.chunks(256)) {
        let tile = Tile::holding(TileKind::Entries, bundle * 256, size).unwrap();
        let entries: Vec<String> = leaves.iter().map(LeafEntry::bytes).collect();
        keep.file(&tile.to_string(), &entry_bytes(entries.iter().map(String::as_bytes)).unwrap()).unwrap();
        let stored = log.stored.iter().zip(0_u64..).skip(usize::try_from(tile.start()).unwrap()).take(leaves.len());
        let items: Vec<KeptOpening> = stored
            .filter_map(|(stored, place)| {
                let (record, salts) = stored.as_ref()?;
                let salts = salts.iter().map(|(path, salt)| (path.clone(), in_base64(salt.as_bytes())));
                Some(KeptOpening { place, record: Some(record.clone()), event: None, salts: salts.collect() })
            })
            .collect();
        keep.openings(bundle, &items).unwrap();
    }
    let earlier = EARLIER.iter().filter(|size| **size < log.leaves.len()).map(|size| {
        let checkpoint = log.checkpoint(*size);
        let note = log.cosigned(log.signed(&checkpoint), 1_500).to_string();
        FiledCheckpoint { size: *size as u64, at: checkpoint.at.unwrap(), note }
    });
    keep.checkpoints(&earlier.collect::<Vec<_>>()).unwrap();
    keep.finish().unwrap();
}

fn in_base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// What comes of reading a folder, which waits for nobody.
fn now<T>(reading: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(reading)
}

/// A folder that a log is in.
struct LogFolder {
    folder: tempfile::TempDir,
}

impl LogFolder {
    fn of(log: &SampleLog) -> Self {
        let folder = tempfile::tempdir().unwrap();
        write(log, &folder.path().join("log"));
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn walked(
        &self,
        log: &SampleLog,
        against: &[Checkpoint],
        now: Option<Timestamp>,
        keep: Option<&Path>,
    ) -> Result<LogVerdict, PluginError> {
        let source = LogSource::Folder(self.path());
        let against = against.to_vec();
        let reading = LogReading { source: &source, keys: &log.trusted, against, most_silence: 7_200, now };
        let keep = keep.map(|folder| KeptFolder::new(folder).unwrap());
        super::tests::now(reading.walk(keep, &mut Console::silent()))
    }

    fn verdict(&self, log: &SampleLog, against: &[Checkpoint]) -> LogVerdict {
        self.walked(log, against, None, None).unwrap()
    }

    /// All files, by their path within.
    fn files(&self) -> Vec<PathBuf> {
        let (mut folders, mut files) = (vec![self.path()], Vec::new());
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        files
    }
}

#[test]
fn a_log_that_nobody_touched_is_sound_and_kept_as_it_is() {
    let log = SampleLog::repeated(COPIES);
    let size = log.leaves.len() as u64;
    assert!(size > 512, "{size}");
    let of = LogFolder::of(&log);
    let again = of.folder.path().join("again");
    let found = of.walked(&log, &[log.checkpoint(400)], None, Some(&again)).unwrap();
    assert_eq!(found.walked.findings, []);
    for proven in [
        LogProven::Signed { size, at: found.checkpoint.at },
        LogProven::OnlyGrew { checkpoints: 4 },
        LogProven::HeldElsewhere { size: 400 },
        LogProven::Seen { name: "w.example/1".to_owned(), size, at: 2_000 },
        LogProven::Unchanged { leaves: size },
    ] {
        assert!(found.proven.contains(&proven), "{proven:?} of {:?}", found.proven);
    }
    assert_eq!(found.unproven, [LogUnproven::Truth]);
    for file in of.files() {
        let kept = again.join(file.strip_prefix(of.path()).unwrap());
        assert!(std::fs::read(&file).unwrap() == std::fs::read(&kept).unwrap(), "{}", file.display());
    }
    assert!(matches!(KeptFolder::new(&again).map(drop), Err(PluginError::Flag { flag: "--keep", .. })));
    // Leaves alone prove less.
    std::fs::remove_dir_all(of.path().join("openings")).unwrap();
    let found = of.verdict(&log, &[]);
    assert!(found.is_sound() && found.unproven.contains(&LogUnproven::Kept), "{:?}", found.unproven);
}

/// Of whatever was done: a finding, an error, or, where the name of a witness was changed, a witness less.
fn is_found(log: &SampleLog, folder: &LogFolder) -> bool {
    let size = log.leaves.len() as u64;
    folder.walked(log, &[], None, None).map_or(true, |found| {
        let is_seen = |what: &LogProven| matches!(what, LogProven::Seen { size: seen, .. } if *seen == size);
        !found.is_sound() || !found.proven.iter().any(is_seen)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_a_file_is_found(
        what in 0..5_usize, file in any::<Index>(), other in any::<Index>(), at in any::<Index>(), byte in 1_u8..=255,
    ) {
        static MADE: std::sync::LazyLock<(SampleLog, LogFolder)> = std::sync::LazyLock::new(|| {
            let log = SampleLog::repeated(COPIES);
            let folder = LogFolder::of(&log);
            (log, folder)
        });
        let (log, folder) = &*MADE;
        let files = folder.files();
        let (file, other) = (&files[file.index(files.len())], &files[other.index(files.len())]);
        let (before, beside) = (std::fs::read(file).unwrap(), std::fs::read(other).unwrap());
        // What witnesses said before the last checkpoint proves nothing more, so it may be lost.
        prop_assume!(!file.ends_with("checkpoints.json") && !other.ends_with("checkpoints.json"));
        let mut changed = before.clone();
        let at = at.index(before.len());
        match what {
            0 => changed[at] ^= byte,
            1 => changed.truncate(at),
            2 => changed.insert(at, byte),
            3 => drop(changed.remove(at)),
            _ => changed.clone_from(&beside),
        }
        prop_assume!(changed != before);
        std::fs::write(file, &changed).unwrap();
        let is_found = is_found(log, folder);
        std::fs::write(file, &before).unwrap();
        prop_assert!(is_found, "{what} at {at} of {}", file.display());
        std::fs::remove_file(file).unwrap();
        let is_missed = self::is_found(log, folder);
        std::fs::write(file, &before).unwrap();
        prop_assert!(is_missed, "{}", file.display());
    }
}

#[test]
fn an_earlier_checkpoint_that_was_changed_is_found() {
    let log = SampleLog::repeated(COPIES);
    let folder = LogFolder::of(&log);
    let file = folder.path().join("checkpoints.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let found = |text: String| {
        std::fs::write(&file, text).unwrap();
        folder.verdict(&log, &[]).walked.findings
    };
    assert_eq!(found(text.clone()), []);
    assert_eq!(found(text.replacen("\"size\":100", "\"size\":101", 1)), [AuditFinding::Misfiled(101)]);
    assert_eq!(found(text.replacen("\"at\":1100", "\"at\":1099", 1)), [AuditFinding::Misfiled(100)]);
    let signed = found(text.replacen("\\n100\\n", "\\n101\\n", 1));
    assert!(matches!(signed.as_slice(), [AuditFinding::BadCheckpoint(100, _)]), "{signed:?}");
}

#[test]
fn what_was_removed_without_a_word_is_withheld() {
    let mut lacking = SampleLog::repeated(2);
    lacking.stored[3] = None;
    lacking.stored[1] = None;
    let folder = LogFolder::of(&lacking);
    let found = folder.verdict(&lacking, &[]).walked.findings;
    assert_eq!(found, [AuditFinding::Withheld { leaves: 2, first: 1 }]);
}

/// Puts another message into a record. Whoever is careful has the records after it follow it.
fn rewritten(log: &mut SampleLog, place: usize, is_careful: bool) {
    let name = log.leaves[place].record_name().unwrap();
    let mut changed: Option<String> = None;
    for at in place..log.leaves.len() {
        if log.leaves[at].record_name().is_none_or(|other| other.request != name.request) {
            continue;
        }
        let (text, _) = log.stored[at].clone().unwrap();
        let mut record: crate::api::record::Record = serde_json::from_str(&text).unwrap();
        match &changed {
            None => record.message = Some("nothing happened".to_owned()),
            Some(former) if is_careful => record.previous = Some(former.clone()),
            Some(_) => break,
        }
        changed = Some(record.digest());
        let (leaf, drawn) = LeafEntry::of_record(&record.bytes(), salts()).unwrap();
        log.leaves[at] = leaf;
        log.stored[at] = Some((record.bytes(), drawn));
    }
}

/// The rows of the table of attacks. Whoever attacks has the archive; sometimes the log's key too.
mod attacks {
    use super::*;

    fn roots(findings: &[AuditFinding]) -> usize {
        findings.iter().filter(|finding| matches!(finding, AuditFinding::OtherRoot { .. })).count()
    }

    #[test]
    fn to_edit_an_old_record() {
        let mut log = SampleLog::repeated(4);
        let honest = (log.signed(&log.checkpoint(log.leaves.len())).to_string(), log.checkpoint(9));
        // Chain: seen if sloppy, though all was signed anew.
        rewritten(&mut log, 1, false);
        assert_eq!(LogFolder::of(&log).verdict(&log, &[]).walked.findings, [AuditFinding::BrokenChain(2)]);
        // Not seen by chain and signature of whoever is careful and has the key.
        rewritten(&mut log, 1, true);
        let folder = LogFolder::of(&log);
        assert_eq!(folder.verdict(&log, &[]).walked.findings, []);
        assert!(folder.verdict(&log, &[]).unproven.contains(&LogUnproven::Truth));
        // A head elsewhere: seen.
        assert_eq!(roots(&folder.verdict(&log, &[honest.1]).walked.findings), 1);
        // Signed checkpoint whose key is out of reach: seen.
        std::fs::write(folder.path().join("checkpoint"), honest.0).unwrap();
        std::fs::write(folder.path().join("checkpoints.json"), "{\"items\":[]}\n").unwrap();
        assert_eq!(roots(&folder.verdict(&log, &[]).walked.findings), 1);
    }

    #[test]
    fn to_rewrite_all_since_a_time() {
        let mut log = SampleLog::repeated(4);
        let since =
            (0..log.leaves.len()).filter(|at| log.leaves[*at].record_name().is_some_and(|name| name.index == 1));
        let since: Vec<usize> = since.filter(|at| *at > 40).collect();
        let (before, behind) = (log.checkpoint(40), log.checkpoint(log.leaves.len() - 1));
        since.iter().for_each(|at| rewritten(&mut log, *at, true));
        let folder = LogFolder::of(&log);
        // Neither by chain, nor by a signature whose key is in reach.
        assert_eq!(folder.verdict(&log, &[]).walked.findings, []);
        // A head elsewhere from before does not see it, and that is said.
        let found = folder.verdict(&log, std::slice::from_ref(&before));
        assert!(found.is_sound() && found.proven.contains(&LogProven::HeldElsewhere { size: 40 }));
        log.trusted.witnesses.clear();
        let leaves = log.leaves.len() as u64 - 40;
        let found = folder.verdict(&log, &[before]);
        assert!(found.unproven.contains(&LogUnproven::BehindAnchors { leaves }), "{:?}", found.unproven);
        // One from after it does.
        assert_eq!(roots(&folder.verdict(&log, &[behind]).walked.findings), 1);
    }

    #[test]
    fn to_cut_the_tail() {
        let mut log = SampleLog::repeated(4);
        let (head, length) = (log.checkpoint(log.leaves.len()), log.leaves.len());
        let last_beat = log.leaves.iter().rev().find_map(|leaf| leaf.clear("/at")?.as_str()?.parse::<Timestamp>().ok());
        log.leaves.truncate(40);
        log.stored.truncate(40);
        let folder = LogFolder::of(&log);
        // Neither by chain, nor by a signature: an old checkpoint that was put back needs no key.
        assert_eq!(folder.verdict(&log, &[]).walked.findings, []);
        let cut = AuditFinding::Cut { said: length as u64, real: 40 };
        assert_eq!(folder.verdict(&log, &[head]).walked.findings, [cut]);
        // Whoever asks the archive itself sees that no heartbeat comes any more.
        let later = last_beat.unwrap_or(noon()) + SignedDuration::from_hours(3);
        let found = folder.walked(&log, &[], Some(later), None).unwrap().walked.findings;
        assert!(matches!(found.as_slice(), [AuditFinding::Silent { .. }]), "{found:?}");
    }

    #[test]
    fn to_show_two_readers_two_histories() {
        let one = SampleLog::repeated(4);
        let head = one.checkpoint(one.leaves.len());
        let shown_to_one = LogFolder::of(&one);
        let mut other = one;
        rewritten(&mut other, 1, true);
        let shown_to_other = LogFolder::of(&other);
        // Each by itself sees nothing.
        assert!(shown_to_one.verdict(&other, &[]).is_sound() && shown_to_other.verdict(&other, &[]).is_sound());
        // A witness cosigns one of them; see `witness::tests`. Whoever is shown the other has none that has seen it.
        let alone = other.signed(&other.checkpoint(other.leaves.len())).to_string();
        std::fs::write(shown_to_other.path().join("checkpoint"), alone).unwrap();
        std::fs::write(shown_to_other.path().join("checkpoints.json"), "{\"items\":[]}\n").unwrap();
        let found = shown_to_other.verdict(&other, &[]);
        assert!(found.is_sound() && found.unproven.contains(&LogUnproven::OneHistory), "{:?}", found.unproven);
        // And the checkpoint that the witness has says of which history it is.
        assert_eq!(roots(&shown_to_other.verdict(&other, &[head]).walked.findings), 1);
    }

    /// Nothing of it is recorded, so no log shows it: the archive holds bindings against the API server's audit log. Where
    /// the archive was stopped with the controller, the log was silent.
    #[test]
    fn to_stop_daypass_and_bind_by_hand() {
        let log = SampleLog::repeated(4);
        let found = LogFolder::of(&log).verdict(&log, &[log.checkpoint(40)]);
        assert!(found.is_sound() && found.unproven.contains(&LogUnproven::Truth));
        let beats: Vec<usize> = (0..log.leaves.len()).filter(|at| log.leaves[*at].record_name().is_none()).collect();
        let mut stopped = log;
        let mut late = stopped.leaves[beats[beats.len() - 1]].as_json();
        late["heartbeat"]["at"] = (noon() + SignedDuration::from_hours(4)).to_string().into();
        stopped.leaves[beats[beats.len() - 1]] = LeafEntry::of_json(late).unwrap();
        let found = LogFolder::of(&stopped).verdict(&stopped, &[]).walked.findings;
        assert!(matches!(found.as_slice(), [AuditFinding::Silent { .. }]), "{found:?}");
    }
}

/// The command and the script of the examples on the same file.
#[test]
fn the_proof_of_a_request_is_made_of_a_folder_and_two_programs_judge_it_alike() {
    let log = SampleLog::repeated(COPIES);
    let folder = LogFolder::of(&log);
    let source = LogSource::Folder(folder.path());
    let request = log.leaves[300..].iter().find_map(LeafEntry::record_name).unwrap().request;
    let mut console = Console::silent();
    let proof = async { OpenedLog::at(&source).await?.proof(&request, &mut console).await };
    let text = now(proof).unwrap().text();
    assert_eq!(text, log.proof(&request).text());
    let file = folder.folder.path().join("proof.json");
    let keys: Vec<String> = log.trusted.log.iter().chain(&log.trusted.witnesses).map(ToString::to_string).collect();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/record/verify.py");
    let right = text.clone();
    let changed = [
        text.clone(),
        text.replacen("\"/message\":", "\"/massage\":", 1),
        text.replacen("\"place\":", "\"place\":1", 1),
        text.replacen("\"value\":\"", "\"value\":\"x", 1),
        text.replacen("\\n", "\\n\\n", 1),
        text[..text.len() / 2].to_owned(),
    ];
    for (at, text) in changed.into_iter().enumerate() {
        assert!(at == 0 || text != right, "{at}");
        std::fs::write(&file, &text).unwrap();
        let read = crate::core::proof::proof_file::ProofFile::read(&text);
        let ours = read.and_then(|file| file.verify(&log.trusted, &arithmetic)).is_ok();
        assert_eq!(ours, at == 0, "{at}");
        let Ok(theirs) = Command::new("python3").arg(&script).arg(&file).args(&keys).output() else { return };
        assert_eq!(theirs.status.success(), ours, "{at}: {}", String::from_utf8_lossy(&theirs.stderr));
    }
}
