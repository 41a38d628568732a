//! Bodies that pass through: kept whole where they are small enough to be sent twice, and passed on as they come where not.

use std::time::Duration;

use futures::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use hyper::body::{Body, Bytes, Frame};
use tokio::time::{Instant, timeout_at};
use tower::BoxError;

use crate::runtime::carried::CarriedBody;

/// How long a body may take whose length nobody has said. One that takes longer may wait for what is answered to its
/// beginning, as streams through a proxy of the API server do.
const UNTIL_STREAM: Duration = Duration::from_secs(1);

/// A body that came in, up to a limit.
pub enum BodyRead {
    /// All of it.
    Whole(Bytes),
    /// What came until one of the limits was passed, with all that is still to come.
    More(UnsyncBoxBody<Bytes, BoxError>),
}

/// Reads a body until it ends, or until it is longer than `limit`, in bytes, or turns out to be a stream.
///
/// # Errors
/// When whoever sends it stops.
pub async fn read<B>(mut body: B, limit: usize) -> Result<BodyRead, BoxError>
where
    B: Body<Data = Bytes, Error = BoxError> + Send + Unpin + 'static,
{
    if body.size_hint().lower() > limit as u64 {
        return Ok(BodyRead::More(body.boxed_unsync()));
    }
    let until = body.size_hint().exact().is_none().then(|| Instant::now() + UNTIL_STREAM);
    let (mut pieces, mut length): (Vec<Bytes>, usize) = (Vec::new(), 0);
    while length <= limit {
        let next = match until {
            Some(until) => timeout_at(until, body.frame()).await,
            None => Ok(body.frame().await),
        };
        let Ok(next) = next else { break };
        match next.transpose()?.map(Frame::into_data) {
            Some(Ok(piece)) => {
                length += piece.len();
                pieces.push(piece);
            }
            // What follows a body in a trailer, kubectl and the API server do not use.
            Some(Err(_)) => {}
            None => return Ok(BodyRead::Whole(pieces.concat().into())),
        }
    }
    let read = stream::iter(pieces.into_iter().map(|piece| Ok(Frame::data(piece))));
    let rest = BodyStream::new(body);
    Ok(BodyRead::More(BodyExt::boxed_unsync(StreamBody::new(read.chain(rest)))))
}

impl BodyRead {
    /// The whole of it, where it is.
    pub fn whole(&self) -> Option<&Bytes> {
        match self {
            Self::Whole(bytes) => Some(bytes),
            Self::More(_) => None,
        }
    }

    /// To send it.
    pub fn into_body(self) -> CarriedBody {
        match self {
            Self::Whole(bytes) => bytes.into(),
            Self::More(rest) => rest.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    async fn read_of(pieces: &[&'static str], limit: usize) -> (bool, String) {
        let frames: Vec<Result<Frame<Bytes>, BoxError>> =
            pieces.iter().map(|piece| Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).collect();
        let read = read(StreamBody::new(stream::iter(frames)), limit).await.unwrap();
        let is_whole = read.whole().is_some();
        let bytes = read.into_body().collect().await.unwrap().to_bytes();
        (is_whole, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn nothing_is_lost_and_only_what_is_small_is_kept() {
        assert_eq!(read_of(&[], 4).await, (true, String::new()));
        assert_eq!(read_of(&["ab", "cd"], 4).await, (true, "abcd".to_owned()));
        assert_eq!(read_of(&["ab", "cd", "e", "f"], 4).await, (false, "abcdef".to_owned()));
        let long = read(Full::new(Bytes::from_static(b"abcde")).map_err(|never| match never {}), 4).await.unwrap();
        assert!(long.whole().is_none());
        assert_eq!(long.into_body().size_hint().exact(), Some(5), "its length goes on with it");
    }
    #[tokio::test(start_paused = true)]
    async fn a_stream_is_passed_on_as_it_comes() {
        let (sender, frames) = futures::channel::mpsc::unbounded::<Result<Frame<Bytes>, BoxError>>();
        let send = |text: &'static str| sender.unbounded_send(Ok(Frame::data(Bytes::from_static(text.as_bytes()))));
        send("ask").unwrap();
        let read = read(StreamBody::new(frames), 100).await.unwrap();
        assert!(read.whole().is_none());
        let mut body = read.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "ask");
        send(" more").unwrap();
        drop(sender);
        assert_eq!(body.collect().await.unwrap().to_bytes(), " more");
    }
}
