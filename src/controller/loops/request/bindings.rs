//! The bindings of one request in a pass: those in the store, without those that this pass deleted, with those that it
//! wrote. Owns that view and has `write` change them. It must not decide which bindings there should be.

use futures::{StreamExt, stream};
use tracing::warn;

use crate::api::request::{AccessRequestStatus, BindingRef};
use crate::controller::bind_error::BindError;
use crate::controller::context::Context;
use crate::controller::error::Error;
use crate::controller::loops::lost_namespace;
use crate::controller::observe;
use crate::core::rbac::bind_refusal::BindRefusal;
use crate::core::rbac::binding::{self, Observed, Wanted};

/// How many bindings of one request are written at a time.
const CONCURRENT: usize = 16;

/// Bindings of one request.
pub(super) struct PassBindings<'a> {
    context: &'a Context,
    /// Written in this pass; the store may not have them yet.
    made: Vec<Observed>,
    /// Deleted before or in this pass; the store may have them still.
    unbound: Vec<BindingRef>,
    /// Why one was refused in this pass.
    refused: Option<BindRefusal>,
}

impl<'a> PassBindings<'a> {
    /// Nothing has been written yet. `unbound` has been deleted before the pass.
    pub(super) fn new(context: &'a Context, unbound: Vec<BindingRef>) -> Self {
        Self { context, made: Vec::new(), unbound, refused: None }
    }

    /// Why the API server refused one in this pass.
    pub(super) fn refused(&self) -> Option<&BindRefusal> {
        self.refused.as_ref()
    }

    /// Those written in this pass.
    #[cfg(test)]
    pub(super) fn made(&self) -> &[Observed] {
        &self.made
    }

    /// What stands in the place of each recorded binding. The store answers when it can. When it has nothing
    /// where a binding is known to have been made, the API server is asked: the binding may be newer than the
    /// store, or have lost the label that the store selects by.
    ///
    /// # Errors
    /// When the API server cannot be asked.
    pub(super) async fn seen(&self, status: Option<&AccessRequestStatus>) -> Result<Vec<Observed>, Error> {
        let rbac = &self.context.stores.rbac;
        let mut seen = Vec::new();
        let Some(status) = status else { return Ok(self.with_own_writes(seen)) };
        for recorded in &status.bindings {
            seen.extend(binding::self_binding_of(recorded).and_then(|self_binding| rbac.binding(&self_binding)));
            let made_role = recorded.role.as_ref().is_some_and(|role| role.uid.is_some());
            match rbac.binding(recorded) {
                Some(binding) if binding.made_role.is_some() || !made_role => seen.push(binding),
                _ if recorded.uid.is_some() && !status.state.is_final() => {
                    seen.extend(lost_namespace::binding(self.context, recorded).await?);
                }
                _ => {}
            }
        }
        Ok(self.with_own_writes(seen))
    }

    fn with_own_writes(&self, mut seen: Vec<Observed>) -> Vec<Observed> {
        let is_gone = |b: &Observed| {
            self.unbound.iter().any(|gone| b.is_at(gone) && (gone.uid.is_none() || gone.uid == b.metadata.uid))
        };
        seen.retain(|b| !is_gone(b));
        for made in &self.made {
            let place = made.reference();
            seen.retain(|b| !b.is_at(&place));
            seen.push(made.clone());
        }
        seen
    }

    /// Deletes every binding that can be deleted, also when one of them cannot. `request_uid` is whose they are.
    ///
    /// # Errors
    /// When one may still be there.
    pub(super) async fn unbind(&mut self, request_uid: &str, bindings: Vec<BindingRef>) -> Result<(), Error> {
        let context = self.context;
        let results: Vec<_> = stream::iter(bindings)
            .map(
                |binding| async move { lost_namespace::unbind(context, &binding, request_uid).await.map(|()| binding) },
            )
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        let mut failed = Ok(());
        for result in results {
            match result {
                Ok(binding) => {
                    self.made.retain(|made| !made.is_at(&binding));
                    self.unbound.push(binding);
                }
                Err(error) => failed = Err(error),
            }
        }
        failed
    }

    /// Creates bindings. One that the API server refuses for good is noted in [`PassBindings::refused`].
    ///
    /// # Errors
    /// When one could not be created and may be later.
    pub(super) async fn bind(&mut self, wanted: Vec<Wanted>) -> Result<(), Error> {
        let writer = &self.context.writer;
        self.unbound.extend(wanted.iter().filter_map(|wanted| binding::self_binding_of(&wanted.reference())));
        let results: Vec<_> = stream::iter(wanted)
            .map(|wanted| async move { writer.bind(wanted).await })
            .buffer_unordered(CONCURRENT)
            .collect()
            .await;
        let (mut retry, mut refused) = (None, None);
        for result in results {
            match result {
                Ok(binding) => {
                    self.unbound.retain(|gone| !binding.is_at(gone));
                    self.made.push(binding);
                }
                Err(BindError::Refused(why)) => refused = Some(why),
                Err(BindError::Retry(error)) => retry = Some(error),
            }
        }
        if let Some(error) = retry {
            return Err(error);
        }
        if let Some(why) = refused {
            // One that has just started forbids what roles allow that it does not know yet.
            let ready = observe::is_ready(&self.context.reader).await;
            ready.inspect_err(|_| warn!("refused, but not by an API server that is ready: {why}"))?;
            self.refused = Some(why);
        }
        Ok(())
    }

    /// Puts changed bindings back to what they should be.
    ///
    /// # Errors
    /// When one could not be written.
    pub(super) async fn restore(&mut self, wanted: Vec<Wanted>) -> Result<(), Error> {
        for wanted in wanted {
            self.made.push(self.context.writer.restore(&wanted).await?);
        }
        Ok(())
    }
}
