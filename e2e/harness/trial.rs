//! Owns how a trial is run: on a runtime of its own, for a limited time, in a shared or a private cluster.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use libtest_mimic::{Completion, Failed, Trial};
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;

use super::binaries::Version;
use super::cluster::{self, Cluster};
use super::control_plane::ControlPlane;
use super::servers::AUDIT_POLICY;
use super::sign_in::SignInCluster;

/// No trial takes longer, so one that hangs is a failure with a name. The longest takes 70 s on two cores that do nothing else.
const LIMIT: Duration = Duration::from_secs(300);

/// Each private cluster is a control plane of 400 MB; more at a time would only slow each other down.
static PRIVATE_WORLDS: Semaphore = Semaphore::const_new(3);

/// Two browsers keep two cores busy, so one trial at a time has some.
static BROWSERS: Mutex<()> = Mutex::new(());

/// A trial that needs no cluster.
pub fn without_cluster(name: &str, body: fn()) -> Trial {
    Trial::test(name, move || {
        body();
        Ok::<(), Failed>(())
    })
}

/// A trial in the cluster that most trials share. It keeps to a namespace of its own.
pub fn shared<F>(name: &str, body: impl FnOnce(Arc<Cluster>) -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        let cluster = cluster::shared_cluster();
        run(body(cluster.clone()), &cluster.control_plane)
    })
}

/// A trial in the cluster whose people sign in to the page, shared with others. It keeps to a namespace of its own.
pub fn signed_in<F>(name: &str, body: impl FnOnce(Arc<SignInCluster>) -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        let shared = cluster::sign_in_cluster();
        run(body(shared.clone()), &shared.cluster.control_plane)
    })
}

/// A trial in a cluster of its own, which it may break.
pub fn private<F>(name: &str, body: impl FnOnce(Arc<Cluster>) -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        let runtime = runtime();
        let _turn = runtime.block_on(PRIVATE_WORLDS.acquire()).expect("the semaphore is never closed");
        let cluster = runtime.block_on(Cluster::private());
        run(body(cluster.clone()), &cluster.control_plane)
    })
}

/// A trial on the shared control plane that needs no product.
pub fn bare<F>(name: &str, body: impl FnOnce(Arc<ControlPlane>) -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        let control_plane = cluster::shared_control_plane();
        run(body(control_plane.clone()), &control_plane)
    })
}

/// A trial on a control plane of its own with no product on it, which records what `audit_policy` says.
pub fn alone<F>(
    name: &str,
    audit_policy: &'static str,
    body: impl FnOnce(Arc<ControlPlane>) -> F + Send + 'static,
) -> Trial
where
    F: Future<Output = ()>,
{
    audited(name, audit_policy, &[], body)
}

/// The same, with flags for the API server.
pub fn audited<F>(
    name: &str,
    audit_policy: &'static str,
    api_flags: &'static [&'static str],
    body: impl FnOnce(Arc<ControlPlane>) -> F + Send + 'static,
) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        let runtime = runtime();
        let _turn = runtime.block_on(PRIVATE_WORLDS.acquire()).expect("the semaphore is never closed");
        let control_plane = Arc::new(runtime.block_on(ControlPlane::start_with(audit_policy, api_flags)));
        run(body(control_plane.clone()), &control_plane)
    })
}

/// A trial on a control plane of its own whose API server is given more flags. Where `left_out` has a reason, the trial is
/// left out with it.
pub fn flagged<F>(
    name: &str,
    api_flags: &'static [&'static str],
    left_out: fn(&Version) -> Option<&'static str>,
    body: impl FnOnce(Arc<ControlPlane>) -> F + Send + 'static,
) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::ignorable_test(name, move || {
        if let Some(why) = left_out(&Version::run()) {
            return Ok(Completion::ignored_with(why));
        }
        let runtime = runtime();
        let _turn = runtime.block_on(PRIVATE_WORLDS.acquire()).expect("the semaphore is never closed");
        let control_plane = Arc::new(runtime.block_on(ControlPlane::start_with(AUDIT_POLICY, api_flags)));
        run(body(control_plane.clone()), &control_plane).map(|()| Completion::Completed)
    })
}

/// Runs the body of a trial in the cluster that most trials share.
pub fn within<F>(body: impl FnOnce(Arc<Cluster>) -> F) -> Result<(), Failed>
where
    F: Future<Output = ()>,
{
    let cluster = cluster::shared_cluster();
    run(body(cluster.clone()), &cluster.control_plane)
}

/// Runs the body of a trial with browsers in the cluster that such trials share. It begins with no policy and no request.
pub fn browsed<F>(body: impl FnOnce(Arc<Cluster>) -> F) -> Result<(), Failed>
where
    F: Future<Output = ()>,
{
    let _turn = BROWSERS.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = cluster::browsed_cluster();
    let body = async {
        cluster.clear().await;
        body(cluster.clone()).await;
    };
    run(body, &cluster.control_plane)
}

/// Runs the body of a trial with browsers in a cluster of its own, which it may break.
pub fn browsed_alone<F>(body: impl FnOnce(Arc<Cluster>) -> F) -> Result<(), Failed>
where
    F: Future<Output = ()>,
{
    browsed_private(async || body(Cluster::private().await).await)
}

/// Runs the body of a trial with browsers that starts its cluster itself.
pub fn browsed_private<F>(body: impl FnOnce() -> F) -> Result<(), Failed>
where
    F: Future<Output = ()>,
{
    let _turn = BROWSERS.lock().unwrap_or_else(PoisonError::into_inner);
    private_control_plane(body)
}

/// Runs the body of a trial with browsers in the cluster whose people sign in to the page.
pub fn browsed_signed_in<F>(body: impl FnOnce(Arc<SignInCluster>) -> F) -> Result<(), Failed>
where
    F: Future<Output = ()>,
{
    let _turn = BROWSERS.lock().unwrap_or_else(PoisonError::into_inner);
    let shared = cluster::sign_in_cluster();
    run(body(shared.clone()), &shared.cluster.control_plane)
}

/// Runs the body of a trial that starts a control plane itself.
pub fn private_control_plane<F>(body: impl FnOnce() -> F) -> Result<(), Failed>
where
    F: Future<Output = ()>,
{
    let runtime = runtime();
    let _turn = runtime.block_on(PRIVATE_WORLDS.acquire()).expect("the semaphore is never closed");
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async { tokio::time::timeout(LIMIT, body()).await })
    }));
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(format!("no end after {LIMIT:?}").into()),
        Err(panic) => Err(message(panic.as_ref()).into()),
    }
}

/// Runs the body of a trial; its panic is its failure.
fn run(body: impl Future<Output = ()>, control_plane: &ControlPlane) -> Result<(), Failed> {
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
        runtime().block_on(async { tokio::time::timeout(LIMIT, body).await })
    }));
    let failure = match ended {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(_)) => format!("no end after {LIMIT:?}"),
        Err(panic) => message(panic.as_ref()),
    };
    control_plane.keep();
    Err(failure.into())
}

/// The runtime of one trial.
pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("make a runtime")
}

/// What a panic said.
pub fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a message").to_owned()
}
