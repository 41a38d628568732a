//! What a call is, as the plugin reads it, against what the API server says that it was.

use std::sync::Arc;

use daypass::cli::plugin::refused::message::refused_calls;
use daypass::cli::plugin::run::attributes::refused_call;
use http::Request;
use libtest_mimic::Trial;

use crate::harness::users::MALLORY;
use crate::harness::{ControlPlane, bare};

pub fn trials() -> Vec<Trial> {
    vec![bare("plugin::run::calls::each_call_is_read_as_the_api_server_reads_it", same)]
}

/// What stands between the slashes of paths that are tried, with escapes and what is no name.
const PARTS: [&str; 11] =
    ["pods", "namespaces", "shop", "status", "watch", "a%2Fb", "..", "a%2520", "a+b", "proxy", ""];
const QUERIES: [&str; 14] = [
    "watch",
    "watch=1&limit=5",
    "watch=FALSE",
    "watch=0",
    "watch=%zz",
    "watch=1;a=b",
    "fieldSelector=metadata.name%3Da",
    "fieldSelector=metadata.name%3D%3Da&watch=true",
    "fieldSelector=metadata.name!%3Da",
    "fieldSelector=spec.x%3Db,metadata.name%3Da&limit=7",
    "fieldSelector=metadata.name%3Da&limit=x",
    "fieldSelector=metadata.name%3Da%5C%2Cb",
    "fieldSelector=metadata.name%3Da%252Fb&timeoutSeconds=9",
    "fieldSelector=metadata.name%3D..",
];

fn urls() -> Vec<String> {
    let mut urls: Vec<String> = QUERIES.iter().map(|query| format!("/api/v1/namespaces/shop/pods?{query}")).collect();
    for prefix in ["/api/v1", "/apis/apps/v1", "//api/v1"] {
        for one in PARTS {
            urls.push(format!("{prefix}/{one}"));
            for two in PARTS {
                urls.push(format!("{prefix}/{one}/{two}"));
                urls.push(format!("{prefix}/namespaces/shop/{one}/{two}"));
                urls.push(format!("{prefix}/{one}/shop/{two}/a/exec"));
            }
        }
    }
    urls.extend(["/metrics", "/logs/a%20b", "/api", "/apis/apps", "/x/../y"].map(str::to_owned));
    urls
}

/// Somebody without rights is told of each call what it was.
async fn same(control_plane: Arc<ControlPlane>) {
    let client = control_plane.client(MALLORY).await;
    let mut told = 0;
    for url in urls() {
        for method in ["GET", "POST", "DELETE", "PATCH", "PUT"] {
            let (path, query) = url.split_once('?').unwrap_or((&url, ""));
            let request = Request::builder().method(method).uri(&url).body(Vec::new()).expect("a request");
            let Err(kube::Error::Api(status)) = client.request_text(request).await else { continue };
            // What cannot be read is answered otherwise, and so is what everybody may call.
            let said = refused_calls(&status.message);
            let [said] = &said[..] else { continue };
            told += 1;
            // No rule is for a resource without a name.
            let has_name =
                said.rule().resources.iter().all(|resource| !resource.is_empty() && !resource.starts_with('/'));
            let read = refused_call(method, path, query).map(|call| call.to_string());
            assert_eq!(read, has_name.then(|| said.to_string()), "{method} {url}: {}", status.message);
        }
    }
    assert!(told > 1000, "the API server told of {told} only");
}
