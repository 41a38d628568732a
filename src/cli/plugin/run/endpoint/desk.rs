//! Who decides what becomes of a call that the API server has refused.
//!
//! The endpoint keeps the call while the desk decides. It must not know how a right is asked for.

use http::{Method, StatusCode};
use hyper::body::Bytes;

/// A call that was refused, and whose answer the command has not seen yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldCall {
    pub method: Method,
    /// Path at the API server, as the command wrote it: still percent-encoded.
    pub path: String,
    /// What is behind the question mark, if there is one.
    pub query: Option<String>,
    /// Body of the answer. A client that takes protobuf gets a `Status` in protobuf.
    pub answer: Bytes,
}

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRefusal {
    /// It is sent once more, and whatever is answered then goes to the command.
    SendAgain,
    /// The command gets the answer that was first.
    Pass,
}

/// Decides what becomes of refused calls.
pub trait RefusalDesk: Send + Sync + 'static {
    /// Whether an answer may be a refusal, by the path of the call and the code.
    fn looks_at(&self, _path: &str, code: StatusCode) -> bool {
        code == StatusCode::FORBIDDEN
    }

    /// Whether it reads what is answered at this path, and so needs it as JSON.
    fn reads(&self, _path: &str) -> bool {
        false
    }

    /// Decides on one call, which waits for as long as that takes. Several may wait at the same time.
    ///
    /// Calls that impersonate somebody, and those whose body is too large to be sent twice, are not brought here. When the
    /// command gives a call up, the future is dropped: it must leave nothing behind that only its end would put in order.
    fn refused(&self, call: HeldCall) -> impl Future<Output = AfterRefusal> + Send;
}
