//! `daypass check`: asks a probe over HTTP whether it answers 200, for images that hold no other program. Knows
//! nothing of what the probe is about, and speaks no TLS: the probes of the controller have none.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

use http::Uri;
use http::uri::Scheme;

/// How long one try may take to connect, and then to answer.
const ONE_TRY: Duration = Duration::from_secs(5);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(250);
/// The most that is read of an answer: the reason why something is not ready is one line.
const LONGEST_ANSWER: u64 = 64 * 1024;

/// What to ask, and for how long.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// What to ask, for example http://daypass.daypass-system:8080/readyz.
    #[arg(long)]
    url: Uri,
    /// For how many seconds to ask again while the answer is not 200.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    within: u64,
}

/// Why a probe does not answer 200.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// Not an address of HTTP.
    #[error("{0} cannot be asked: write it as http://HOST:PORT/PATH")]
    Url(Uri),
    /// Nobody answers.
    #[error("{0} does not answer: {1}")]
    Silent(Uri, #[source] io::Error),
    /// It answers something else.
    #[error("{0} answers {1}")]
    Says(Uri, String),
}

/// Asks until the answer is 200, and returns what it says.
///
/// # Errors
/// The last answer, when the time is up.
pub fn run(args: &CheckArgs) -> Result<String, CheckError> {
    let deadline = Instant::now() + Duration::from_secs(args.within);
    loop {
        match ask(&args.url) {
            Err(error) if !matches!(error, CheckError::Url(_)) && Instant::now() + PAUSE < deadline => {
                thread::sleep(PAUSE);
            }
            answer => return answer,
        }
    }
}

fn ask(url: &Uri) -> Result<String, CheckError> {
    let host = url.host().filter(|_| url.scheme() == Some(&Scheme::HTTP));
    let host = host.ok_or_else(|| CheckError::Url(url.clone()))?;
    // Brackets belong to the notation of an IPv6 address, not to the address.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    let answer = exchange(host, url.port_u16().unwrap_or(80), path);
    let answer = answer.map_err(|error| CheckError::Silent(url.clone(), error))?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status_line = head.lines().next().unwrap_or_default();
    match status_line.split_once(' ') {
        Some((_, status)) if status.starts_with("200") => Ok(body.trim().to_owned()),
        Some((_, status)) => Err(CheckError::Says(url.clone(), format!("{status}: {}", body.trim()))),
        None => Err(CheckError::Says(url.clone(), format!("no HTTP: {status_line:?}"))),
    }
}

/// The whole answer to `GET path`. HTTP/1.0 ends it with the connection, so there is no framing to read.
fn exchange(host: &str, port: u16, path: &str) -> io::Result<String> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, ONE_TRY) {
            Ok(mut stream) => {
                stream.set_read_timeout(Some(ONE_TRY))?;
                stream.set_write_timeout(Some(ONE_TRY))?;
                stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {host}:{port}\r\n\r\n").as_bytes())?;
                let mut answer = Vec::new();
                stream.take(LONGEST_ANSWER).read_to_end(&mut answer)?;
                return Ok(String::from_utf8_lossy(&answer).into_owned());
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that gives these answers, one a connection, and its port.
    fn serving(answers: &'static [&'static str]) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut asked = [0; 1024];
                let length = stream.read(&mut asked).unwrap();
                assert!(asked[..length].starts_with(b"GET /readyz HTTP/1.0\r\nHost: 127.0.0.1:"));
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        port
    }

    fn check(url: &str, within: u64) -> Result<String, String> {
        run(&CheckArgs { url: url.parse().unwrap(), within }).map_err(|error| error.to_string())
    }

    const READY: &str = "HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nok\n";
    const WAITING: &str = "HTTP/1.0 503 Service Unavailable\r\n\r\nwaiting for: guard (it is missing)\n";

    #[test]
    fn what_is_ready_is_told_from_what_is_not() {
        let port = serving(&[READY, WAITING]);
        let url = format!("http://127.0.0.1:{port}/readyz");
        assert_eq!(check(&url, 0), Ok("ok".to_owned()));
        let why = format!("{url} answers 503 Service Unavailable: waiting for: guard (it is missing)");
        assert_eq!(check(&url, 0), Err(why));
    }

    #[test]
    fn it_asks_again_while_there_is_time() {
        let port = serving(&[WAITING, "no HTTP", READY]);
        assert_eq!(check(&format!("http://127.0.0.1:{port}/readyz"), 60), Ok("ok".to_owned()));
    }

    #[test]
    fn what_nobody_serves_is_an_error_that_names_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}/readyz", listener.local_addr().unwrap().port());
        drop(listener);
        let error = check(&url, 0).unwrap_err();
        assert!(error.starts_with(&format!("{url} does not answer: ")), "{error}");
    }

    #[test]
    fn only_http_can_be_asked() {
        for url in ["https://127.0.0.1/readyz", "/readyz", "daypass:8080"] {
            let error = check(url, 60).unwrap_err();
            assert_eq!(error, format!("{url} cannot be asked: write it as http://HOST:PORT/PATH"));
        }
    }
}
