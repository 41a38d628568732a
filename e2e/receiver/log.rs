//! The log of a real archive with real records, by way of the API server, read by another program.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use daypass::core::proof::checkpoint::{Checkpoint, SigningPlace};
use daypass::core::proof::climb::tiles_of_root;
use daypass::core::proof::note::SignedNote;
use daypass::core::proof::tile::{TILE_WIDTH, Tile, TileKind};
use daypass::runtime::note_signer::{NoteSigner, SignerUse};
use http::Request;
use kube::client::Body;
use serde_json::{Value, json};

use super::{LIMIT, Receiver, code};
use crate::harness::binaries::repository;
use crate::harness::eventually;
use crate::harness::users::{BOB, CAROL, User};

const LOG: &str = "/apis/archive.daypass.dev/v1/log?path=";
const OPENINGS: &str = "/apis/archive.daypass.dev/v1/openings";

impl Receiver<'_> {
    async fn bytes(&self, user: User, path: &str) -> Result<Vec<u8>, u16> {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = self.cluster.client(user).await.send(request).await.expect("an answer");
        let (code, body) = (answer.status().as_u16(), answer.into_body().collect_bytes().await.expect("a body"));
        if code == 200 { Ok(body.to_vec()) } else { Err(code) }
    }

    async fn log(&self, path: &str) -> Vec<u8> {
        self.bytes(CAROL, &format!("{LOG}{path}")).await.unwrap_or_else(|code| panic!("{path}: {code}"))
    }
}

/// All that was pushed is in the log that is served to carol, and its leaves tell of nobody. The key that checks it.
pub async fn is_read_by_another_program(archive: &Receiver<'_>) -> String {
    assert_eq!(archive.bytes(BOB, &format!("{LOG}checkpoint")).await, Err(403), "a right in one namespace");
    assert_eq!(archive.bytes(BOB, OPENINGS).await, Err(403));
    let (note, checkpoint) = eventually("both records are signed", LIMIT, async || {
        let note = archive.bytes(CAROL, &format!("{LOG}checkpoint")).await.map_err(|code| code.to_string())?;
        let note = String::from_utf8(note).map_err(|error| error.to_string())?;
        let text = SignedNote::read(&note).map_err(|error| error.to_string())?.text().to_owned();
        let checkpoint = Checkpoint::read(&text).map_err(|error| error.to_string())?;
        if checkpoint.size >= 3 { Ok((note, checkpoint)) } else { Err(text) }
    })
    .await;
    assert!(checkpoint.origin.starts_with("daypass.dev/archive/"), "{checkpoint:?}");
    assert_eq!(checkpoint.place, SigningPlace::Inside);
    let (size, mut tiles, mut entries) = (checkpoint.size, BTreeMap::new(), Vec::new());
    let of_leaves = (0..size).step_by(TILE_WIDTH.into());
    let of_leaves = of_leaves.clone().filter_map(|start| Tile::holding(TileKind::Hashes(0), start, size));
    for tile in tiles_of_root(size).into_iter().chain(of_leaves) {
        tiles.insert(tile.to_string(), STANDARD.encode(archive.log(&tile.to_string()).await));
    }
    for start in (0..size).step_by(TILE_WIDTH.into()) {
        let tile = Tile::holding(TileKind::Entries, start, size).expect("a tile");
        let bundle = archive.log(&tile.to_string()).await;
        let told = String::from_utf8_lossy(&bundle).into_owned();
        assert!(told.contains("of-shop/0") && !told.contains("alice") && !told.contains("carol"), "{told}");
        entries.push(STANDARD.encode(bundle));
    }
    let key = format!("{}.log-key", archive.archive.database().display());
    let key = std::fs::read_to_string(key).expect("the key of the log");
    let verifier = NoteSigner::read(&key, "", SignerUse::Log).expect("a key").verifier_key();
    let question = json!({ "checkpoint": note, "verifier": verifier, "tiles": tiles, "entries": entries });
    assert_eq!(by_go(&question), json!({ "leaves": size }));
    let openings = archive.bytes(CAROL, OPENINGS).await.expect("openings");
    let openings: Value = serde_json::from_slice(&openings).expect("JSON");
    let records: Vec<&str> =
        openings["items"].as_array().expect("items").iter().filter_map(|item| item["record"].as_str()).collect();
    assert!(records.iter().any(|record| record.contains("of-bank/0")), "{openings}");
    let direct = Request::get("/log/checkpoint").body(Vec::new()).expect("a request");
    assert_eq!(archive.archive.client("any").request_text(direct).await.map_err(code), Err(401));
    verifier
}

/// What Go's own reading of such logs says.
fn by_go(question: &Value) -> Value {
    let mut go = Command::new("go");
    go.args(["run", "./served"]).current_dir(repository().join("e2e/proof/oracle"));
    let mut child = go.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("run go");
    let mut input = child.stdin.take().expect("its input");
    input.write_all(question.to_string().as_bytes()).expect("write the question");
    drop(input);
    let output = child.wait_with_output().expect("an answer");
    assert!(output.status.success(), "{}", output.status);
    serde_json::from_slice(&output.stdout).expect("JSON")
}
