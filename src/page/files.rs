//! How the files of the front end are sent: under a name that changes with any of them, so that a browser asks for each once,
//! and compressed where a network lies in between.
//!
//! Nothing else is compressed: an answer that holds what two people wrote would tell by its length how alike that is
//! (BREACH, https://www.breachattack.com). It must not change what a file says.

use std::io::Write;
use std::sync::{LazyLock, OnceLock};

use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{HeaderMap, Response, StatusCode};
use hyper::body::Bytes;
use sha2::{Digest, Sha256};

use super::answer::{PageBody, bytes};
use super::assets::{ASSETS, INDEX, PageAsset};

/// Where the files are, in the page and in what it loads.
pub const ASSETS_PATH: &str = "/assets/";
/// For a year, without asking: behind such a name there is never anything else.
const FOR_GOOD: &str = "public, max-age=31536000, immutable";
/// Kept by the browser, but never shown without asking whether it still is so.
const ASK_FIRST: &str = "no-cache";

/// What all files together are, in a name.
static VERSION: LazyLock<String> = LazyLock::new(|| version(ASSETS.iter().chain([&INDEX])));
/// The page itself, which names what it loads by that version.
static INDEX_TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let text = String::from_utf8_lossy(INDEX.bytes);
    let versioned = format!("{ASSETS_PATH}{}/", *VERSION);
    text.split(ASSETS_PATH).collect::<Vec<_>>().join(&versioned).into_bytes()
});
/// Files that somebody has asked for compressed, by their place in the list; the last is the page itself.
static COMPRESSED: LazyLock<Vec<OnceLock<Vec<u8>>>> =
    LazyLock::new(|| ASSETS.iter().chain([&INDEX]).map(|_| OnceLock::new()).collect());

/// What a path asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedFile {
    /// The page itself.
    Index,
    /// What it loads, by its place in the list, and whether the path names the version.
    Asset(usize, bool),
}

impl AskedFile {
    /// The file at this path below [`ASSETS_PATH`].
    pub fn of(path: &str) -> Option<Self> {
        let place = |name: &str| ASSETS.iter().position(|asset| asset.name == name);
        let versioned = path.split_once('/').filter(|(version, _)| *version == *VERSION);
        match versioned {
            Some((_, name)) => place(name).map(|place| Self::Asset(place, true)),
            None => place(path).map(|place| Self::Asset(place, false)),
        }
    }

    /// The answer to whoever sent these headers. `far`: compressed, if they take that.
    pub fn answer(self, headers: &HeaderMap, far: bool) -> Response<PageBody> {
        let (asset, text, place, for_good) = self.parts();
        let compressed = far && takes_gzip(headers);
        let tag = format!("\"{}{}\"", *VERSION, if compressed { "-gz" } else { "" });
        let known = headers.get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
        let is_known = known.flat_map(|tags| tags.split(',')).any(|known| known.trim().trim_start_matches("W/") == tag);
        let body = match (is_known, compressed) {
            (true, _) => Bytes::new(),
            (false, true) => Bytes::from_static(COMPRESSED[place].get_or_init(|| gzip(text))),
            (false, false) => Bytes::from_static(text),
        };
        let mut answer = bytes(if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK }, asset.kind, body);
        let headers = answer.headers_mut();
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(if for_good { FOR_GOOD } else { ASK_FIRST }));
        if let Ok(tag) = HeaderValue::try_from(tag) {
            headers.insert(ETAG, tag);
        }
        if far {
            headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
        }
        if compressed && !is_known {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        answer
    }

    /// The file, its text, its place, and whether it may be kept for good.
    fn parts(self) -> (&'static PageAsset, &'static [u8], usize, bool) {
        match self {
            Self::Index => (&INDEX, &INDEX_TEXT, ASSETS.len(), false),
            Self::Asset(place, for_good) => (&ASSETS[place], ASSETS[place].bytes, place, for_good),
        }
    }
}

/// What files together are, in a name.
fn version<'a>(files: impl Iterator<Item = &'a PageAsset>) -> String {
    let mut all = Sha256::new();
    for asset in files {
        all.update(asset.name);
        all.update(asset.bytes);
    }
    all.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether an answer may be compressed, by https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).any(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").map_or(Ok(1.0), str::parse::<f32>);
        name.trim().eq_ignore_ascii_case("gzip") && weight.is_ok_and(|weight| weight > 0.0)
    })
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Into memory, which takes all of it.
    let _ = encoder.write_all(text);
    encoder.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use http::header::HeaderName;
    use http_body_util::BodyExt;

    use super::*;

    async fn got(asked: AskedFile, headers: &[(HeaderName, &str)], far: bool) -> (http::response::Parts, Vec<u8>) {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        let (head, body) = asked.answer(&headers, far).into_parts();
        (head, body.collect().await.unwrap().to_bytes().to_vec())
    }

    fn unpacked(bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut text).unwrap();
        text
    }

    fn all() -> impl Iterator<Item = AskedFile> {
        ASSETS.iter().map(|asset| AskedFile::of(asset.name).unwrap()).chain([AskedFile::Index])
    }

    #[tokio::test]
    async fn a_browser_that_takes_it_gets_less_and_reads_the_same() {
        let (mut plain, mut sent) = (0, 0);
        for asked in all() {
            let (head, whole) = got(asked, &[], true).await;
            assert!(!head.headers.contains_key(CONTENT_ENCODING) && head.headers[VARY] == "Accept-Encoding");
            let (head, packed) = got(asked, &[(ACCEPT_ENCODING, "deflate, gzip;q=0.9, br")], true).await;
            assert_eq!(head.headers[CONTENT_ENCODING], "gzip");
            assert_eq!(unpacked(&packed), whole);
            (plain, sent) = (plain + whole.len(), sent + packed.len());
            let near = got(asked, &[(ACCEPT_ENCODING, "gzip")], false).await;
            assert!(near.1 == whole && !near.0.headers.contains_key(CONTENT_ENCODING), "no network lies in between");
        }
        println!("files of the front end: {plain} bytes, {sent} with gzip");
        assert!(sent * 2 < plain, "{sent} of {plain}");
    }

    #[test]
    fn nobody_gets_gzip_who_does_not_take_it() {
        let takes = |value: &str| takes_gzip(&HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().unwrap())]));
        assert!(["gzip", "GZIP", "br, gzip", "gzip; q=0.1", "gzip;q=1"].iter().all(|value| takes(value)));
        assert!(
            !["", "br", "identity", "gzip;q=0", "gzip;q=0.0", "gzip;q=x", "x-gzip"].iter().any(|value| takes(value))
        );
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[tokio::test]
    async fn what_was_got_once_is_not_sent_again() {
        let (head, text) = got(AskedFile::Index, &[], true).await;
        assert_eq!(head.headers[CACHE_CONTROL], "no-cache");
        let text = String::from_utf8(text).unwrap();
        let loaded: Vec<&str> = text.split('"').filter_map(|part| part.strip_prefix(ASSETS_PATH)).collect();
        assert!(loaded.len() > 20, "{text}");
        for path in loaded {
            let asked = AskedFile::of(path).unwrap();
            let (head, _) = got(asked, &[], true).await;
            assert_eq!(head.headers[CACHE_CONTROL], "public, max-age=31536000, immutable", "{path}");
            let plain = AskedFile::of(path.split_once('/').unwrap().1).unwrap();
            assert_eq!(got(plain, &[], true).await.0.headers[CACHE_CONTROL], "no-cache");
        }
        for encoding in ["", "gzip"] {
            let tag = got(AskedFile::Index, &[(ACCEPT_ENCODING, encoding)], true).await.0.headers[ETAG].clone();
            for known in [tag.to_str().unwrap().to_owned(), format!("\"x\", W/{}", tag.to_str().unwrap())] {
                let again = [(ACCEPT_ENCODING, encoding), (IF_NONE_MATCH, known.as_str())];
                let (head, body) = got(AskedFile::Index, &again, true).await;
                assert_eq!((head.status, body.len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
                assert_eq!(head.headers[ETAG], tag);
            }
        }
        let plain = got(AskedFile::Index, &[], true).await.0.headers[ETAG].clone();
        let packed = [(ACCEPT_ENCODING, "gzip"), (IF_NONE_MATCH, plain.to_str().unwrap())];
        assert_eq!(got(AskedFile::Index, &packed, true).await.0.status, StatusCode::OK, "it is another text");
        let (head, _) = got(AskedFile::Index, &[(IF_NONE_MATCH, "\"another\"")], true).await;
        assert_eq!(head.status, StatusCode::OK);
    }

    #[test]
    fn no_other_version_is_sent_under_its_name() {
        let file = |name, bytes| PageAsset { name, kind: "text/plain", bytes };
        let of = |file: PageAsset| version([file].iter());
        assert_eq!(of(file("a.js", b"1")), of(file("a.js", b"1")));
        assert_ne!(of(file("a.js", b"1")), of(file("a.js", b"2")));
        assert_ne!(of(file("a.js", b"1")), of(file("b.js", b"1")));
        for path in ["0000000000000000/main.js", "main.js/main.js", "", "index.html", "../main.js", "/main.js"] {
            assert_eq!(AskedFile::of(path), None, "{path}");
        }
        assert_eq!(AskedFile::of(&format!("{}/index.html", *VERSION)), None);
    }
}
