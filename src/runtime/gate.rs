//! Whether this process may write, as a view that costs nothing to ask, and the gate that holds all writes to it.
//! Who leads is not decided here but in [`super::leader`].

use std::sync::Arc;

use http::{Method, Request, Response};
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tower::BoxError;

use super::layer::{Interceptor, ResponseFuture};

/// Whether this process may write.
#[derive(Clone, Debug)]
enum LeadState {
    /// It stands by; what is known of who leads, as a clause.
    By(Option<Arc<str>>),
    /// It leads until then; without end when there is no election. And what shakes that, as a clause.
    Leads(Option<Instant>, Option<Arc<str>>),
}

/// Says whether this process leads, now and without asking anybody. Clones say the same.
#[derive(Clone, Debug)]
pub struct Leadership(watch::Receiver<LeadState>);

/// The one place that a [`Leadership`] hears from.
#[derive(Debug)]
pub struct Seat(watch::Sender<LeadState>);

/// A seat that nobody has taken, and the view of it.
pub fn seat() -> (Seat, Leadership) {
    let (message, heard) = watch::channel(LeadState::By(None));
    (Seat(message), Leadership(heard))
}

impl Seat {
    /// Leads from now on: there is no other process.
    pub fn take_for_good(&self) {
        self.0.send_replace(LeadState::Leads(None, None));
    }

    /// Leads until then, on the monotonic clock.
    pub fn take_until(&self, until: Instant) {
        self.0.send_replace(LeadState::Leads(Some(until), None));
    }

    /// Leads for as long as was said, though somebody else has written the Lease.
    pub fn is_shaken(&self, by: &str) {
        self.0.send_if_modified(|standing| {
            if let LeadState::Leads(_, shaken_by) = standing {
                *shaken_by = Some(by.into());
            }
            // Nothing that is waited for.
            false
        });
    }

    /// Stands by from now on; what is known of who leads, as a clause. True when that is news.
    pub fn stand_by(&self, known: Option<Arc<str>>) -> bool {
        self.0.send_if_modified(|standing| {
            let news = !matches!(standing, LeadState::By(before) if *before == known);
            *standing = LeadState::By(known);
            news
        })
    }
}

impl Leadership {
    /// Whether this process leads.
    pub fn holds(&self) -> bool {
        match *self.0.borrow() {
            LeadState::By(_) => false,
            LeadState::Leads(until, _) => until.is_none_or(|until| Instant::now() < until),
        }
    }

    /// Waits until this process leads.
    pub async fn taken(&self) {
        let mut heard = self.0.clone();
        if heard.wait_for(|standing| matches!(standing, LeadState::Leads(..))).await.is_err() {
            // Nobody is left who could take it.
            std::future::pending::<()>().await;
        }
    }

    /// Waits until this process does not lead.
    pub async fn lapsed(&self) {
        let mut heard = self.0.clone();
        while self.holds() {
            let until = match *heard.borrow_and_update() {
                LeadState::By(_) => return,
                LeadState::Leads(until, _) => until,
            };
            let deadline = async {
                match until {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = deadline => {}
                changed = heard.changed() => if changed.is_err() {
                    // What was last said holds, until its time is over.
                    match until {
                        Some(until) => sleep_until(until).await,
                        None => std::future::pending().await,
                    }
                },
            }
        }
    }

    /// The part that this process has, in words.
    pub fn role(&self) -> String {
        match &*self.0.borrow() {
            LeadState::Leads(_, None) => "leads".to_owned(),
            LeadState::Leads(_, Some(shaken)) => format!("leads; {shaken}, and is being taken back"),
            LeadState::By(None) => "stands by".to_owned(),
            LeadState::By(Some(known)) => format!("stands by; {known}"),
        }
    }
}

/// Lets a client's writes pass only while this process leads. Reads always pass.
#[derive(Clone)]
pub struct Gate(pub Leadership);

/// Why a write was not made, or was cut on its way.
#[derive(Debug, thiserror::Error)]
#[error("this replica does not lead")]
pub struct NotLeading;

impl Interceptor for Gate {
    fn intercept<B: 'static, F>(
        &self,
        request: Request<Body>,
        call: impl FnOnce(Request<Body>) -> F,
    ) -> ResponseFuture<B>
    where
        F: Future<Output = Result<Response<B>, BoxError>> + Send + 'static,
    {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Box::pin(call(request));
        }
        if !self.0.holds() {
            return Box::pin(async { Err(NotLeading.into()) });
        }
        let (leadership, answer) = (self.0.clone(), call(request));
        Box::pin(async move {
            tokio::select! {
                biased;
                () = leadership.lapsed() => Err(NotLeading.into()),
                answer = answer => answer,
            }
        })
    }
}

#[cfg(test)]
mod tests;
