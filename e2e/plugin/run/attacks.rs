//! Who else tries the endpoint: another user of the machine, a web page, what the command leaves behind, whoever sends calls
//! that can be read in two ways, and an API server that lies.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use libtest_mimic::{Completion, Trial};

use super::{OpenRun, StandIn, alone, answered, timed};
use crate::harness::eventually;
use crate::harness::plugin::Plugin;

/// Somebody else of this machine: nobody.
const NOBODY: [&str; 3] = ["--reuid=65534", "--regid=65534", "--clear-groups"];
/// Longer than any call takes that is answered.
const UNANSWERED: Duration = Duration::from_secs(2);

pub fn trials() -> Vec<Trial> {
    vec![
        Trial::ignorable_test("plugin::run::attack::another_user_gets_neither_file_nor_connection", || {
            let tried = Command::new("setpriv").args(NOBODY).arg("true").status();
            if !tried.is_ok_and(|status| status.success()) {
                return Ok(Completion::ignored_with("only root can be somebody else here"));
            }
            timed(another_user()).map(|()| Completion::Completed)
        }),
        alone("plugin::run::attack::a_page_gets_nothing", page),
        alone("plugin::run::attack::the_token_is_in_no_list_of_processes", lists),
        alone("plugin::run::attack::what_outlives_the_command_has_no_access", outlives),
        alone("plugin::run::attack::a_call_is_one_call", smuggled),
        alone("plugin::run::attack::nobody_but_the_login_says_who_calls", said_who),
        alone("plugin::run::attack::an_api_server_leads_the_command_nowhere", lying),
    ]
}

/// What a shell does as somebody.
fn shell(user: &[&str], script: &str, args: &[&str]) -> Output {
    let shell = ["bash", "-c", script];
    match user {
        [] => Command::new(shell[0]).args(&shell[1..]).args(args).output(),
        _ => Command::new("setpriv").args(user).args(shell).args(args).output(),
    }
    .unwrap()
}

async fn another_user() {
    let stand_in = StandIn::kind().await;
    let folder = tempfile::tempdir().unwrap();
    let run = OpenRun::start(&stand_in.plugin(&folder)).await;
    let file = run.kubeconfig.to_str().unwrap();
    let reads = |user: &[&str]| shell(user, "cat \"$0\"; ls \"${0%/*}\"", &[file]);
    assert!(String::from_utf8_lossy(&reads(&[]).stdout).contains(&run.token));
    // Each would do without the other.
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&run.kubeconfig), mode(run.kubeconfig.parent().unwrap())), (0o600, 0o700));
    assert!(reads(&NOBODY).stdout.is_empty(), "neither the file nor the folder");
    // What is no TLS is answered by an alert, to whom it is answered at all.
    let knock = "exec 3<>/dev/tcp/${0%:*}/${0#*:}; printf 'GET / HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3";
    let knocks = |user: &'static [&str]| {
        let host = run.host.clone();
        tokio::task::spawn_blocking(move || shell(user, knock, &[&host]).stdout)
    };
    assert!(!knocks(&[]).await.unwrap().is_empty());
    assert!(knocks(&NOBODY).await.unwrap().is_empty(), "the connection ends before anything is said");
}

async fn page() {
    let stand_in = StandIn::kind().await;
    let folder = tempfile::tempdir().unwrap();
    let run = OpenRun::start(&stand_in.plugin(&folder)).await;
    let (host, token) = (&run.host, &run.token);
    let login = format!("Authorization: Bearer {token}\r\n");
    let good = format!("Host: {host}\r\n");
    let rebound = "Host: rebound.evil.example\r\n";
    for (headers, code) in [
        // A page can make a browser send no token of its own.
        (good.clone(), 401),
        (format!("{good}Authorization: Bearer guessed\r\n"), 401),
        (format!("{good}Cookie: token={token}\r\nAuthorization: Basic {token}\r\n"), 401),
        // One that has the token by some other way.
        (format!("{rebound}{login}"), 421),
        (format!("Host: localhost:{}\r\n{login}", host.rsplit(':').next().unwrap()), 421),
        (format!("{good}{login}Origin: https://evil.example\r\n"), 403),
        (format!("{good}{login}Origin: http://{host}\r\n"), 403),
        (format!("{good}{login}Origin: https://{host}\r\nSec-Fetch-Site: same-origin\r\n"), 403),
        (format!("{good}{login}Sec-Fetch-Mode: no-cors\r\n"), 403),
    ] {
        for line in ["GET /api/v1/secrets", "OPTIONS /api/v1/secrets", "POST /api/v1/namespaces"] {
            let answer = run.answer(&format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n")).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{headers}: {answer}");
            assert!(!answer.to_lowercase().contains("access-control-"), "{answer}");
        }
    }
    // A token in the address, as a WebSocket of a page might have it.
    let by_address = format!("GET /api?token={token} HTTP/1.1\r\n{good}Connection: close\r\n\r\n");
    assert!(run.answer(&by_address).await.starts_with("HTTP/1.1 401 "));
    assert_eq!(stand_in.heard(), Vec::<String>::new());
    assert!(run.answer(&run.head("GET /api", "")).await.starts_with("HTTP/1.1 200 "));
    // Clients of WebSockets that are no browser write the origin of whom they call.
    let own = format!("Origin: https://{host}\r\n");
    assert!(run.answer(&run.head("GET /api", &own)).await.starts_with("HTTP/1.1 200 "));
}

async fn lists() {
    let stand_in = StandIn::kind().await;
    let folder = tempfile::tempdir().unwrap();
    let run = OpenRun::start(&stand_in.plugin(&folder)).await;
    // A process has no environment for a moment while it becomes another program.
    eventually("the command is what it becomes", UNANSWERED, async || {
        let name = std::fs::read_to_string(format!("/proc/{}/comm", run.command)).unwrap_or_default();
        if name.trim() == "tail" { Ok(()) } else { Err(name) }
    })
    .await;
    let list = |process: u32, list: &str| {
        String::from_utf8_lossy(&std::fs::read(format!("/proc/{process}/{list}")).unwrap()).into_owned()
    };
    for process in [run.running.pid(), run.command] {
        for name in ["cmdline", "environ"] {
            let list = list(process, name);
            // Not shown: it is the environment of whoever runs the trials.
            assert!(!list.is_empty() && !list.contains(&run.token), "{name} of {process}");
        }
    }
    assert!(list(run.command, "environ").contains(run.kubeconfig.to_str().unwrap()), "only where the file is");
}

async fn outlives() {
    let stand_in = StandIn::kind().await;
    let folder = tempfile::tempdir().unwrap();
    let plugin: Plugin = stand_in.plugin(&folder);
    let kept = folder.path().join("kept");
    // A process that the command leaves behind has the kubeconfig, and asks when the command is over.
    let script = format!("cp \"$KUBECONFIG\" {}", kept.display());
    plugin.done(&["run", "--", "sh", "-c", &script]).await;
    let kept = std::fs::read_to_string(kept).unwrap();
    let file: serde_json::Value = serde_json::from_str(&kept).unwrap();
    let host = file["clusters"][0]["cluster"]["server"].as_str().unwrap().trim_start_matches("https://").to_owned();
    assert!(tokio::net::TcpStream::connect(&host).await.is_err());
    assert!(!kept.contains("the-callers-own"), "the login was never there to be kept");
    assert!(stand_in.heard().is_empty());
}

async fn smuggled() {
    let stand_in = StandIn::kind().await;
    let folder = tempfile::tempdir().unwrap();
    let run = OpenRun::start(&stand_in.plugin(&folder)).await;
    let hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n";
    let length = hidden.len();
    let head = |more: &str| run.head("POST /seen", more).replace("Connection: close\r\n", "");
    let chunked = format!("{length:x}\r\n{hidden}\r\n0\r\n\r\n");
    let calls = [
        head(&format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", chunked.len())) + &chunked,
        head("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n") + "0\r\n\r\n" + hidden,
        head(&format!("Content-Length: 0\r\nContent-Length: {length}\r\n")) + hidden,
        head(&format!("Content-Length: 0, {length}\r\n")) + hidden,
        head(&format!("Content-Length: +{length}\r\n")) + hidden,
        head(&format!("Content-Length: 0\r\nContent-Length : {length}\r\n")) + hidden,
        head(&format!("X-Folded: a\r\n Content-Length: {length}\r\n")) + hidden,
        head("Transfer-Encoding: chunked, identity\r\n") + "0\r\n\r\n" + hidden,
        head("Transfer-Encoding: xchunked\r\n") + "0\r\n\r\n" + hidden,
        head("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n") + "0\r\n\r\n" + hidden,
        head("Transfer-Encoding: chunked\r\n") + "0 ;\n" + hidden + "\r\n0\r\n\r\n",
        head("Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\n") + hidden,
        run.head("GET http://127.0.0.1:1/hidden", ""),
        run.head("CONNECT 127.0.0.1:1", ""),
        run.head("TRACE /hidden", ""),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(),
        run.head("GET /hidden", "").replace("HTTP/1.1", "HTTP/1.0"),
        run.head("GET /hidden", "Host: other\r\n"),
    ];
    for call in calls {
        let before = stand_in.heard().len();
        // A call that is in order behind it, so that the connection comes to an end where the two are told apart.
        let lines = call.clone() + &run.head("GET /last", "");
        let answer = tokio::time::timeout(UNANSWERED, run.answer(&lines)).await.unwrap_or_default();
        let heard = stand_in.heard();
        let own = |heard: &String| heard.starts_with("POST /seen ") || heard.starts_with("GET /last ");
        let once = |heard: &String| !heard.to_lowercase().contains("transfer-encoding");
        assert!(heard[before..].iter().all(|heard| own(heard) && once(heard)), "{call}\n-> {answer}\n-> {heard:?}");
    }
    // What looks like another host in a path stays a path.
    run.answer(&run.head("GET //evil.example/api", "")).await;
    let heard = stand_in.heard();
    assert!(heard.last().unwrap().starts_with("GET //evil.example/api HTTP/1.1\r\n"), "{heard:?}");
    assert!(heard.last().unwrap().contains(&stand_in.address.to_string()));
}

async fn said_who() {
    let stand_in = StandIn::kind().await;
    let folder = tempfile::tempdir().unwrap();
    let run = OpenRun::start(&stand_in.plugin(&folder)).await;
    let more = "X-Remote-User: admin\r\nX-Remote-Group: system:masters\r\nX-Forwarded-For: 10.0.0.1\r\n\
        Forwarded: for=10.0.0.1\r\nVia: 1.1 x\r\nProxy-Authorization: Basic x\r\nCookie: a=b\r\nX-Kept: yes\r\n\
        Sec-WebSocket-Protocol: v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.YWRtaW4\r\n";
    run.answer(&run.head("GET /api", more)).await;
    let heard = stand_in.heard();
    let mut names: Vec<String> =
        heard[0].lines().skip(1).filter_map(|line| Some(line.split_once(": ")?.0.to_lowercase())).collect();
    names.sort();
    assert_eq!(names, ["authorization", "host", "sec-websocket-protocol", "x-kept"], "{heard:?}");
    assert!(heard[0].to_lowercase().contains("authorization: bearer the-callers-own\r\n"), "{heard:?}");
    assert!(!heard[0].contains(&run.token) && !heard[0].contains("YWRtaW4") && heard[0].contains("v5.channel.k8s.io"));
}

async fn lying() {
    let elsewhere = StandIn::kind().await;
    let trap = elsewhere.address;
    let lies = StandIn::start(move |call| {
        let path = call.split(' ').nth(1).unwrap_or_default().to_owned();
        match path.as_str() {
            "/away" => answered(307, &format!("Location: http://{trap}/login\r\nSet-Cookie: a=b\r\n"), "{}"),
            "/near" => answered(307, "Location: /api/v1/\r\n", "{}"),
            "/challenge" => answered(401, "WWW-Authenticate: Basic realm=\"x\"\r\nAlt-Svc: h3=\":1\"\r\n", "{}"),
            "/shared" => answered(200, "Access-Control-Allow-Origin: *\r\n", "{}"),
            "/upgrade" => "HTTP/1.1 101 Said\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nx".to_owned(),
            _ => answered(200, "", "{\"kind\": \"Status\", \"apiVersion\": \"v1\"}"),
        }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let run = OpenRun::start(&lies.plugin(&folder)).await;
    for (path, code, has, has_not) in [
        ("/away", 307, None, vec!["location:", "set-cookie:"]),
        ("/near", 307, Some("location: /api/v1/"), vec![]),
        ("/challenge", 401, None, vec!["www-authenticate:", "alt-svc:"]),
        ("/shared", 200, None, vec!["access-control-"]),
        ("/upgrade", 502, None, vec!["upgrade:"]),
    ] {
        let answer = run.answer(&run.head(&format!("GET {path}"), "")).await.to_lowercase();
        assert!(answer.starts_with(&format!("http/1.1 {code} ")), "{path}: {answer}");
        assert!(has.is_none_or(|has| answer.contains(has)), "{path}: {answer}");
        assert!(has_not.iter().all(|not| !answer.contains(not)), "{path}: {answer}");
    }
    assert_eq!(elsewhere.heard(), Vec::<String>::new(), "nobody followed, and no login went there");
    // kubectl sends its token wherever a redirect leads.
    let kubectl = crate::harness::binaries::Binaries::find().unwrap().kubectl.display().to_string();
    let (code, ..) = lies.plugin(&folder).run(&["run", "--", &kubectl, "get", "--raw", "/away"]).await;
    assert_eq!(code, Some(1));
    assert_eq!(elsewhere.heard(), Vec::<String>::new());
}
