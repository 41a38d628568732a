//! A stand-in for an API server whose one pod runs what these tests say.

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};

use super::*;
use crate::cli::plugin::cluster::Connection;

const PLACE: ExecPlace<'_> = ExecPlace { namespace: "daypass-system", pod: "notify-1", container: "notify" };
const LINE: [&str; 3] = ["/daypass", "test", "ops & others"];
const SUCCESS: &str = r#"{"metadata":{},"status":"Success"}"#;

/// What a kubelet says of a program that ended with this code.
fn ended_with(code: i32) -> Value {
    json!({
        "metadata": {}, "status": "Failure", "message": format!("command terminated with exit code {code}"),
        "reason": "NonZeroExitCode", "details": { "causes": [{ "reason": "ExitCode", "message": code.to_string() }] }
    })
}

/// A piece of a stream: 1 is standard output, 2 standard error, and 3 has the last word.
fn piece(channel: u8, text: &str) -> Message {
    Message::binary([&[channel], text.as_bytes()].concat())
}

async fn cluster(listener: &TcpListener) -> Cluster {
    let server = format!("http://{}", listener.local_addr().unwrap());
    let file = tempfile::NamedTempFile::new().unwrap();
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{ "name": "c", "cluster": { "server": server } }],
        "users": [{ "name": "u", "user": { "token": "of-admin" } }],
        "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "u" } }]
    });
    std::fs::write(file.path(), kubeconfig.to_string()).unwrap();
    let as_user = Some("boss".to_owned());
    let connection = Connection { kubeconfig: Some(file.path().to_owned()), as_user, ..Connection::default() };
    Cluster::connect(&connection).await.unwrap()
}

/// Answers one exec with these messages, and ends the connection. What was asked: the path, and who.
async fn answers(listener: TcpListener, messages: Vec<Message>) -> Vec<String> {
    let (stream, _) = listener.accept().await.unwrap();
    let mut asked = Vec::new();
    #[expect(clippy::result_large_err, reason = "the library wants it so")]
    let look = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
        asked.push(request.uri().to_string());
        for header in ["authorization", "impersonate-user"] {
            asked.push(request.headers()[header].to_str().unwrap().to_owned());
        }
        response.headers_mut().insert("sec-websocket-protocol", "v5.channel.k8s.io".parse().unwrap());
        Ok(response)
    };
    let mut socket = accept_hdr_async(stream, look).await.unwrap();
    for message in messages {
        socket.send(message).await.unwrap();
    }
    let _ = socket.close(None).await;
    while let Some(Ok(_)) = socket.next().await {}
    asked
}

/// Runs it where the pod answers so.
async fn ran(messages: Vec<Message>) -> (Result<ExecEnd, PluginError>, Vec<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let cluster = cluster(&listener).await;
    let server: JoinHandle<Vec<String>> = tokio::spawn(answers(listener, messages));
    let ended = run(&cluster, PLACE, LINE).await;
    drop(cluster);
    (ended, server.await.unwrap())
}

#[tokio::test]
async fn streams_and_exit_code_come_back_and_the_callers_flags_go_along() {
    let told = [piece(1, "sent to "), piece(2, "a warning\n"), piece(1, "ops\n"), piece(3, SUCCESS)];
    let (ended, asked) = ran(told.into()).await;
    let expected = ExecEnd { out: "sent to ops\n".to_owned(), err: "a warning\n".to_owned(), code: 0 };
    assert_eq!(ended.unwrap(), expected);
    let (path, query) = asked[0].split_once('?').unwrap();
    assert_eq!(path, "/api/v1/namespaces/daypass-system/pods/notify-1/exec");
    let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let values = |key: &str| -> Vec<&str> {
        query.iter().filter(|(name, _)| name == key).map(|(_, value)| value.as_str()).collect()
    };
    assert_eq!(values("command"), LINE);
    assert_eq!((values("container"), values("stdin")), (vec!["notify"], vec![]));
    assert_eq!((values("stdout"), values("stderr")), (vec!["true"], vec!["true"]));
    assert_eq!(asked[1..], ["Bearer of-admin", "boss"]);
}

#[tokio::test]
async fn a_program_that_fails_is_no_fault_of_the_way_there() {
    let (ended, _) = ran(vec![piece(1, "not taken\n"), piece(3, &ended_with(1).to_string())]).await;
    assert_eq!(ended.unwrap(), ExecEnd { out: "not taken\n".to_owned(), err: String::new(), code: 1 });
}

#[tokio::test]
async fn what_cannot_run_and_what_breaks_off_has_no_exit_code() {
    let no_program =
        json!({ "metadata": {}, "status": "Failure", "reason": "InternalError", "message": "no such file" });
    for (messages, expected) in [
        (vec![piece(3, &no_program.to_string())], "no such file"),
        (vec![piece(1, "sent")], "the connection ended before it did"),
    ] {
        let (ended, _) = ran(messages).await;
        let Err(PluginError::NoExecEnd { pod, why, .. }) = ended else { panic!("{ended:?}") };
        assert_eq!((pod.as_str(), why.as_str()), ("notify-1", expected));
    }
}

#[tokio::test]
async fn of_a_long_stream_the_beginning_is_kept_and_the_end_is_not_waited_for_in_vain() {
    let mut messages = vec![piece(1, &"x".repeat(1 << 10)); 100];
    messages.push(piece(3, SUCCESS));
    let (ended, _) = ran(messages).await;
    let ended = ended.unwrap();
    assert_eq!((ended.out.len() as u64, ended.code), (MOST, 0));
}

/// The API server's reason is told, and that it is a right that is missing is known.
#[tokio::test]
async fn a_refusal_is_told_in_the_words_of_the_api_server() {
    for (code, message) in [
        (403, r#"pods "notify-1" is forbidden: User "eve" cannot create resource "pods/exec" in API group """#),
        (
            403,
            r#"pods "notify-1" is forbidden: ValidatingAdmissionPolicy 'daypass-self-guard' denied request: add "eve""#,
        ),
        (400, "pod notify-1 does not have a host assigned"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let cluster = cluster(&listener).await;
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            refuse(stream, code, message).await;
        });
        let error = run(&cluster, PLACE, LINE).await.unwrap_err();
        assert_eq!(error.is_forbidden(), code == 403);
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.to_string().contains("create pods/exec in namespace daypass-system"), "{error}");
    }
}

async fn refuse(mut stream: TcpStream, code: u16, message: &str) {
    let mut head = [0; 4096];
    assert!(stream.read(&mut head).await.unwrap() > 0);
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message,
        "reason": "Forbidden", "metadata": {} });
    let status = status.to_string();
    let answer = format!(
        "HTTP/1.1 {code} No\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{status}",
        status.len()
    );
    stream.write_all(answer.as_bytes()).await.unwrap();
}
