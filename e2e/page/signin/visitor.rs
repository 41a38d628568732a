//! Owns who visits a page through its sign-in: they keep cookies, go where they are led and fill in the form of the
//! provider, as a browser does.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::harness::https::Tls;
use crate::harness::sign_in::{Person, SignInCluster, Site};
use crate::page::tab::{Answer, JSON, OF_PAGE};

/// More redirects than a sign-in has.
const REDIRECTS: usize = 10;

/// Somebody with a browser. A copy of it has the cookies of that moment.
#[derive(Clone)]
pub struct Visitor {
    tls: Tls,
    /// Host and port of the page.
    pub host: String,
    provider: String,
    /// Name of a host, and name and value of the cookie: cookies ignore ports.
    cookies: Vec<(String, String, String)>,
}

/// Where a browser has come to, and what it shows.
pub struct Arrived {
    /// Host, port and path.
    pub at: String,
    pub answer: Answer,
}

impl Visitor {
    /// Somebody who was not there before.
    pub fn of(shared: &SignInCluster, site: Site) -> Self {
        let host = shared.site(site).host.clone();
        Self { tls: shared.tls.clone(), host, provider: shared.provider.clone(), cookies: Vec::new() }
    }

    /// Somebody who has opened the page and signed in.
    pub async fn signed_in(shared: &SignInCluster, site: Site, person: Person) -> Self {
        let mut visitor = Self::of(shared, site);
        visitor.signs_in("/", person).await;
        visitor
    }

    /// Opens a path of the page, signs in at the provider, and is led back to that path.
    pub async fn signs_in(&mut self, path: &str, person: Person) -> Answer {
        let form = self.opens(path).await;
        let shown = self.fills_in(&form, person.email, person.password).await;
        assert_eq!(shown.at, format!("{}{path}", self.host), "{:?}", shown.answer);
        assert_eq!(shown.answer.status, 200, "{:?}", shown.answer);
        shown.answer
    }

    /// Opens a path of the page.
    pub async fn opens(&mut self, path: &str) -> Arrived {
        let host = self.host.clone();
        self.follows("GET", &host, path, "").await
    }

    /// Sends the provider's form, which must be what it has come to.
    pub async fn fills_in(&mut self, form: &Arrived, email: &str, password: &str) -> Arrived {
        assert!(form.at.starts_with(&format!("{}/login?", self.provider)), "at {} and no form", form.at);
        let id = form.at.split_once("id=").expect("the number of a sign-in").1;
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("id", id), ("email", email), ("password", password)])
            .finish();
        let provider = self.provider.clone();
        self.follows("POST", &provider, "/login", &body).await
    }

    /// Goes to a place and where it is led from there.
    async fn follows(&mut self, method: &str, host: &str, path: &str, body: &str) -> Arrived {
        let (mut method, mut host, mut path, mut body) =
            (method.to_owned(), host.to_owned(), path.to_owned(), body.to_owned());
        for _ in 0..REDIRECTS {
            let form = "Content-Type: application/x-www-form-urlencoded\r\n";
            let headers = if body.is_empty() { "" } else { form };
            let answer = self.send(&host, &format!("{method} {path}"), headers, &body).await;
            let Some(led) = header(&answer, "location").filter(|_| (300..400).contains(&answer.status)) else {
                return Arrived { at: format!("{host}{path}"), answer };
            };
            (method, body) = ("GET".to_owned(), String::new());
            match led.strip_prefix("https://").and_then(|led| led.split_once('/')) {
                Some((other, rest)) => (host, path) = (other.to_owned(), format!("/{rest}")),
                None => path = led,
            }
        }
        panic!("led from place to place without end, at last to {host}{path}")
    }

    /// A call of the page's own, with more headers, each with its end of line.
    pub async fn calls(&mut self, line: &str, more: &str, body: &str) -> Answer {
        let host = self.host.clone();
        self.send(&host, line, &format!("{OF_PAGE}{more}"), body).await
    }

    pub async fn gets(&mut self, path: &str) -> Answer {
        self.calls(&format!("GET {path}"), "", "").await
    }

    pub async fn posts(&mut self, path: &str, body: &serde_json::Value) -> Answer {
        self.calls(&format!("POST {path}"), JSON, &body.to_string()).await
    }

    /// Begins a call whose answer comes bit by bit.
    pub async fn begins(&self, path: &str) -> TlsStream<TcpStream> {
        let mut stream = self.tls.connect(&self.host).await.expect("a connection");
        let call = self.call(&self.host, &format!("GET {path}"), OF_PAGE, "");
        stream.write_all(call.as_bytes()).await.expect("send a call");
        stream
    }

    async fn send(&mut self, host: &str, line: &str, headers: &str, body: &str) -> Answer {
        let call = self.call(host, line, headers, body);
        let answer = Answer::of(&self.tls.exchange(host, &call).await.expect("an answer"));
        self.keeps_cookies(host, &answer);
        answer
    }

    fn call(&self, host: &str, line: &str, headers: &str, body: &str) -> String {
        let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let cookies: Vec<String> = self.of_host(host).map(|(_, name, value)| format!("{name}={value}")).collect();
        let cookies = match cookies.is_empty() {
            true => String::new(),
            false => format!("Cookie: {}\r\n", cookies.join("; ")),
        };
        format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{cookies}{headers}{length}\r\n{body}")
    }

    fn of_host(&self, host: &str) -> impl Iterator<Item = &(String, String, String)> {
        let name = bare(host).to_owned();
        self.cookies.iter().filter(move |(of, _, _)| *of == name)
    }

    fn keeps_cookies(&mut self, host: &str, answer: &Answer) {
        for set in headers(answer, "set-cookie") {
            let (cookie, attributes) = set.split_once(';').expect("attributes of a cookie");
            let (name, value) = cookie.split_once('=').expect("a cookie");
            self.cookies.retain(|(of, known, _)| of != bare(host) || known != name);
            if !attributes.contains("Max-Age=0") {
                self.cookies.push((bare(host).to_owned(), name.to_owned(), value.to_owned()));
            }
        }
    }
}

fn bare(host: &str) -> &str {
    host.rsplit_once(':').expect("host and port").0
}

/// The values of a header of an answer.
pub fn headers(answer: &Answer, name: &str) -> Vec<String> {
    let lines = answer.head.lines().filter_map(|line| line.split_once(": "));
    lines.filter(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).collect()
}

/// The first of them.
pub fn header(answer: &Answer, name: &str) -> Option<String> {
    headers(answer, name).into_iter().next()
}
