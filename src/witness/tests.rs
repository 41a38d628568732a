//! The witness as archives meet it: what it keeps, and what it refuses.

use std::path::Path;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tower::ServiceExt;

use super::book::{NoBook, NotCosigned, WitnessBook, forks, hash_of};
use super::config::WitnessConfig;
use super::server::routes;
use crate::core::proof::add_checkpoint::{AddCheckpoint, WitnessRefusal};
use crate::core::proof::checkpoint::{Checkpoint, TrustedKeys};
use crate::core::proof::climb::prove_consistency;
use crate::core::proof::tests::{ORIGIN, SampleLog, all_tiles, arithmetic};
use crate::core::proof::tree::TreeHash;

fn config(log: &SampleLog) -> WitnessConfig {
    let keys = TrustedKeys { witnesses: Vec::new(), ..log.trusted.clone() };
    WitnessConfig { name: "w.example/2".to_owned(), logs: [(ORIGIN.to_owned(), keys)].into() }
}

fn open(folder: &Path, log: &SampleLog) -> WitnessBook {
    WitnessBook::open(folder, config(log)).unwrap()
}

fn asked(log: &SampleLog, old: usize, size: usize) -> String {
    let tiles = all_tiles(&log.hashes()[..size]);
    let path = prove_consistency(old as u64, size as u64, &tiles).unwrap();
    let note = log.cosigned(log.signed(&log.checkpoint(size)), 5).to_string();
    AddCheckpoint { old: old as u64, path, note }.text()
}

/// A checkpoint of another history, which the log has signed.
fn forged(log: &SampleLog, size: usize) -> String {
    let other = Checkpoint { root: TreeHash::of_leaf(b"other"), ..log.checkpoint(size) };
    AddCheckpoint { old: size as u64, path: Vec::new(), note: log.signed(&other).to_string() }.text()
}

#[test]
fn what_was_cosigned_is_kept_and_goes_on_after_a_restart() {
    let (folder, log) = (tempfile::tempdir().unwrap(), SampleLog::new());
    let book = open(folder.path(), &log);
    let line = book.add(&asked(&log, 0, 9), 2_000).unwrap();
    let note = format!("{}{line}", log.signed(&log.checkpoint(9)));
    let keys = TrustedKeys { witnesses: vec![book.verifier().clone()], ..log.trusted.clone() };
    assert_eq!(keys.open(&note, &arithmetic).unwrap().witnesses, [("w.example/2".to_owned(), 2_000)].into());
    assert_eq!(book.last(&hash_of(ORIGIN)), Some(note.clone()));
    let key = book.verifier().clone();
    drop(book);
    let book = open(folder.path(), &log);
    assert_eq!((book.verifier(), book.last(&hash_of(ORIGIN))), (&key, Some(note)));
    let set_back = book.add(&asked(&log, 0, 4), 2_001).unwrap_err();
    assert!(matches!(set_back, NotCosigned::Refused(WitnessRefusal::OtherSize(9))), "{set_back}");
    assert!(book.add(&asked(&log, 9, 20), 2_002).is_ok());
    assert_eq!(forks(folder.path()).unwrap(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_crash_while_it_writes_sets_nothing_back() {
    let (folder, log) = (tempfile::tempdir().unwrap(), SampleLog::new());
    let book = open(folder.path(), &log);
    book.add(&asked(&log, 0, 9), 1).unwrap();
    drop(book);
    let half = folder.path().join(format!("{}.checkpoint.new", hash_of(ORIGIN)));
    std::fs::write(&half, "half of a").unwrap();
    assert!(open(folder.path(), &log).add(&asked(&log, 9, 20), 2).is_ok());
    // Whoever changes what was cosigned has the witness stop, and not begin anew.
    let kept = folder.path().join(format!("{}.checkpoint", hash_of(ORIGIN)));
    let text = std::fs::read_to_string(&kept).unwrap();
    std::fs::write(&kept, text.replacen("\n20\n", "\n19\n", 1)).unwrap();
    assert!(matches!(WitnessBook::open(folder.path(), config(&log)), Err(NoBook::Last(..))));
}

#[test]
fn one_process_works_on_a_folder() {
    let (folder, log) = (tempfile::tempdir().unwrap(), SampleLog::new());
    let _first = open(folder.path(), &log);
    assert!(matches!(WitnessBook::open(folder.path(), config(&log)), Err(NoBook::Held(_))));
}

#[test]
fn a_fork_is_refused_and_both_histories_are_kept() {
    let (folder, log) = (tempfile::tempdir().unwrap(), SampleLog::new());
    let book = open(folder.path(), &log);
    book.add(&asked(&log, 0, 9), 1).unwrap();
    for _ in 0..2 {
        let refused = book.add(&forged(&log, 9), 2).unwrap_err();
        assert!(matches!(refused, NotCosigned::Forked { .. }), "{refused}");
    }
    let evidence = forks(folder.path()).unwrap();
    let [file] = evidence.as_slice() else { panic!("{evidence:?}") };
    let both = std::fs::read_to_string(file).unwrap();
    let (one, other) = both.split_once("\n\n\n").unwrap();
    let opened = |note: &str| log.trusted.open(note, &arithmetic).unwrap().checkpoint;
    let (one, other) = (opened(&format!("{one}\n")), opened(other));
    assert_eq!(one.size, other.size);
    assert_ne!(one.root, other.root);
    // The log that was cosigned goes on.
    assert!(book.add(&asked(&log, 9, 20), 3).is_ok());
}

#[tokio::test]
async fn it_answers_as_the_specification_says() {
    let (folder, log) = (tempfile::tempdir().unwrap(), SampleLog::new());
    let routes = routes(Arc::new(open(folder.path(), &log)));
    let call = async |method: &str, path: &str, body: String| {
        let request = Request::builder().method(method).uri(path).body(Body::from(body)).unwrap();
        let answer = routes.clone().oneshot(request).await.unwrap();
        let kind = answer.headers().get("content-type").map(|kind| kind.to_str().unwrap().to_owned());
        let status = answer.status();
        let text = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status.as_u16(), kind.unwrap_or_default(), String::from_utf8(text.to_vec()).unwrap())
    };
    let add = async |body: String| call("POST", "/add-checkpoint", body).await;
    let own = format!("/{}/checkpoint", hash_of(ORIGIN));
    assert_eq!(call("GET", &own, String::new()).await.0, 404);
    let (status, _, line) = add(asked(&log, 0, 9)).await;
    assert!(status == 200 && line.starts_with("\u{2014} w.example/2 ") && line.ends_with('\n'), "{status} {line}");
    assert_eq!(add(asked(&log, 0, 20)).await, (409, "text/x.tlog.size".to_owned(), "9\n".to_owned()));
    assert_eq!(add(forged(&log, 9)).await.0, 422);
    assert_eq!(add(asked(&SampleLog::new(), 9, 20)).await.0, 403);
    assert_eq!(add(asked(&log, 9, 20).replace(ORIGIN, "daypass.dev/archive/other")).await.0, 404);
    assert_eq!(add("old 9\n".to_owned()).await.0, 400);
    assert_eq!(add("x".repeat(65 << 10)).await.0, StatusCode::PAYLOAD_TOO_LARGE.as_u16());
    let (status, _, note) = call("GET", &own, String::new()).await;
    assert!(status == 200 && note.ends_with(&line), "{note}");
    assert_eq!(call("GET", "/livez", String::new()).await.0, 200);
    assert_eq!(call("GET", "/add-checkpoint", String::new()).await.0, 405);
}
