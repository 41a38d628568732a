//! `make demo`: a real control plane, the chart, and one story told with real kubectl commands. `make playground`: the
//! same control plane with nothing told yet; `make demo KEEP=1` ends there too.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::harness::archive::RunningArchive;
use crate::harness::cast::SOON;
use crate::harness::plugin::Plugin;
use crate::harness::users::{self, ADMIN, ALICE, CAROL, GITOPS};
use crate::harness::{ControlPlane, Controller, Daypass, binaries, cast, eventually, shell, trial};

/// Where the kubeconfig of the demo is, below the repository.
pub const KUBECONFIG: &str = "target/demo/kubeconfig";

/// For how long a request of the story stays that is over and recorded.
const RETENTION: &str = "10s";

/// Tells the story. With `keep`, the control plane stays until Ctrl-C.
pub fn run(keep: bool) -> ExitCode {
    trial::runtime().block_on(async {
        // What somebody tries by hand stays as long as it would in their cluster.
        let retention = if keep { "720h" } else { RETENTION };
        let stage = Stage::with(Voice::Loud, Some(retention)).await;
        let fix = stage.play().await;
        stage.tell_of_the_archive(&fix, keep).await;
        if keep {
            stage.clear().await;
            stage.until_interrupted().await;
        } else {
            println!("\n`make demo KEEP=1` leaves it running so that you can go on by hand.");
        }
    });
    ExitCode::SUCCESS
}

/// Sets the stage of the story and leaves it to the person at the terminal until Ctrl-C.
pub fn playground() -> ExitCode {
    trial::runtime().block_on(async { Stage::set(Voice::Loud).await.until_interrupted().await });
    ExitCode::SUCCESS
}

/// Whether the story is told on standard output.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    Loud,
    /// Everything is done and nothing printed.
    Silent,
}

/// A control plane with the chart, a controller and the people of the story, in which nobody has asked for anything.
pub struct Stage {
    // Dropped first, or they would complain about an API server that went before.
    _controller: Controller,
    _archive: Option<RunningArchive>,
    pub control_plane: ControlPlane,
    pub kubeconfig: PathBuf,
    voice: Voice,
}

impl Stage {
    /// Its kubeconfig is [`KUBECONFIG`], or when nobody is to hear of it one in the control plane's own folder.
    pub async fn set(voice: Voice) -> Self {
        Self::with(voice, None).await
    }

    /// The same with an archive, where a request stays for so long that is over and recorded.
    async fn with(voice: Voice, retention: Option<&str>) -> Self {
        voice.print("Starting etcd, a Kubernetes API server and its controller manager on this machine ...");
        let control_plane = ControlPlane::start().await;
        voice.print("Installing the chart and starting the controller ...");
        let values: &[&str] = if retention.is_some() { &["archive.enabled=true"] } else { &[] };
        Daypass::install(&control_plane, values).await;
        let admin = control_plane.kubectl(ADMIN);
        cast::give_rights(&admin).await;
        admin.ok(&["create", "namespace", "shop"]).await;
        cast::until_stamped(&control_plane.kubectl(users::MALLORY)).await;
        let (mut archive, mut flags) = (None, Vec::new());
        if let Some(retention) = retention {
            let running = RunningArchive::start(&control_plane).await;
            flags = running.flags();
            flags.push(format!("--retention={retention}"));
            archive = Some(running);
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let token = Controller::token(&control_plane).await;
        let account = control_plane.kubeconfig_for_token("service-account-daypass", &token);
        let controller = Controller::start_as(&control_plane, "controller", &account, &flags).await;
        let kubeconfig = match voice {
            Voice::Loud => binaries::repository().join(KUBECONFIG),
            Voice::Silent => control_plane.dir().join("demo.kubeconfig"),
        };
        shell::contexts(&control_plane, &kubeconfig).await;
        Self { _controller: controller, _archive: archive, control_plane, kubeconfig, voice }
    }

    /// What `make demo KEEP=1` leaves: the story was told, and its names are free again.
    pub async fn after_the_story(voice: Voice) -> Self {
        let stage = Self::set(voice).await;
        stage.play().await;
        stage.clear().await;
        stage
    }

    async fn until_interrupted(&self) {
        println!("\nEverything keeps running until you press Ctrl-C. In another terminal:\n");
        println!("  export KUBECONFIG={KUBECONFIG} PATH=$PWD/target/controlplane:$PATH");
        println!("\nThen follow the quick start of README.md, or go your own way:\n");
        println!("  kubectl --context alice get areq -n shop");
        println!(
            "\nThe contexts are admin, gitops, alice, bob, carol, dave, eve and mallory; without one you are admin."
        );
        let _ = tokio::signal::ctrl_c().await;
    }

    /// Takes away what the story has made, so that what it is told with can be used again: policies with the access under
    /// them, and requests.
    async fn clear(&self) {
        self.voice.print("\nTaking the policies and requests of the story away, so that its names are free ...");
        let admin = self.control_plane.kubectl(ADMIN);
        admin.ok(&["delete", "accesspolicies", "--all"]).await;
        admin.ok(&["delete", "accessrequests", "--all", "-n", "shop"]).await;
        eventually("the access of the story is gone", SOON, async || {
            let ours =
                ["get", "rolebindings,roles", "-n", "shop", "-l", "app.kubernetes.io/managed-by=daypass", "-o", "name"];
            let left = admin.ok(&ours).await;
            if left.is_empty() { Ok(()) } else { Err(left) }
        })
        .await;
    }

    /// Tells the story, command by command. The name of the request that carol approves.
    pub async fn play(&self) -> String {
        self.narrate("The platform team keeps its policies in Git. A GitOps tool applies them.");
        self.show("examples/tour/policies.yaml");
        self.run(GITOPS.name, "apply -f examples/tour/policies.yaml").await;
        self.run(GITOPS.name, "wait --for=condition=Ready apol --all").await;

        self.narrate("alice is a developer. She has no rights in shop.");
        self.run(ALICE.name, "auth can-i list pods -n shop").await;
        self.narrate("Looking is low risk: the policy asks nobody, so she has it at once.");
        self.show("examples/tour/look.yaml");
        let look = self.create(ALICE.name, "examples/tour/look.yaml").await;
        self.run(ALICE.name, &format!("wait --for=jsonpath={{.status.state}}=Active {look} -n shop")).await;
        self.run(ALICE.name, "auth can-i list pods -n shop").await;

        self.narrate("Changing something takes an approver.");
        self.show("examples/tour/fix.yaml");
        let fix = self.create(ALICE.name, "examples/tour/fix.yaml").await;
        self.run(ALICE.name, &format!("wait --for=jsonpath={{.status.state}}=Pending {fix} -n shop")).await;
        self.run(ALICE.name, &format!("get {fix} -n shop -o jsonpath={{.status.message}}")).await;
        self.narrate("Her own approval has no effect, which goes on record, and nobody can approve in another's name.");
        self.run(ALICE.name, &review(&fix, "alice", "Approve")).await;
        self.run(CAROL.name, &review(&fix, "bob", "Approve")).await;
        self.narrate("carol is an approver. All she needs is kubectl.");
        self.run(CAROL.name, &review(&fix, "carol", "Approve")).await;
        self.run(ALICE.name, &format!("wait --for=jsonpath={{.status.state}}=Active {fix} -n shop")).await;
        self.run(ALICE.name, "get areq -n shop").await;
        self.run(ALICE.name, "auth can-i delete pods -n shop").await;
        self.narrate("What was bound: one role, to one person, with its end written on it.");
        self.run(ADMIN.name, "get rolebinding -n shop -l app.kubernetes.io/managed-by=daypass -o wide").await;

        self.narrate(
            "To delete one pod nobody needs to be asked: the risk is that of what she asks for, not of the role.",
        );
        self.show("examples/tour/restart.yaml");
        let restart = self.create(ALICE.name, "examples/tour/restart.yaml").await;
        self.run(ALICE.name, &format!("wait --for=jsonpath={{.status.state}}=Active {restart} -n shop")).await;
        self.run(ALICE.name, &format!("get {restart} -n shop -o jsonpath={{.status.message}}")).await;
        self.run(ADMIN.name, "get role -n shop -l app.kubernetes.io/managed-by=daypass -o jsonpath={.items[*].rules}")
            .await;

        self.narrate("Fifteen seconds later it is over, and nobody had to remember it.");
        let expired = format!("wait --for=jsonpath={{.status.state}}=Expired {fix} -n shop --timeout=60s");
        self.run(ALICE.name, &expired).await;
        self.run(ALICE.name, "auth can-i delete pods -n shop").await;
        self.narrate("The record stays: who asked, who agreed, what was granted, when it ended.");
        self.run(ADMIN.name, &format!("events -n shop --for {fix}")).await;
        self.run(ADMIN.name, &format!("get {fix} -n shop -o yaml")).await;
        fix.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// What becomes of a request that is over. Where it is removed soon, that is waited for.
    async fn tell_of_the_archive(&self, name: &str, keep: bool) {
        if keep {
            self.narrate("The archive has all of it, so the request may go: 30 days after its end.");
        } else {
            self.narrate(
                "The archive has all of it, so the request may go: after ten seconds here, and 30 days elsewhere.",
            );
            self.run(ADMIN.name, &format!("wait --for=delete areq/{name} -n shop --timeout=60s")).await;
            self.run(ADMIN.name, &format!("get areq {name} -n shop")).await;
        }
        self.narrate("Whoever may read the archive follows it from request to end all the same.");
        let words = ["history", name, "-n", "shop", "--context", ADMIN.name];
        self.voice.print(&format!("\n  $ kubectl daypass {}", words.join(" ")));
        let told = Plugin::with(&self.kubeconfig).done(&words).await;
        told.lines().for_each(|line| self.voice.print(&format!("    {line}")));
    }

    /// Creates a request as a person; what kubectl calls it from then on. Each time it is another one, so that the story can
    /// be told again.
    async fn create(&self, context: &str, file: &str) -> String {
        self.voice.print(&format!("\n  $ kubectl --context {context} create -f {file} -o name"));
        let kubectl = self.control_plane.kubectl_with(&self.kubeconfig);
        let name = kubectl.ok(&["--context", context, "create", "-f", file, "-o", "name"]).await;
        self.voice.print(&format!("    {}", name.trim()));
        name.trim().to_owned()
    }

    fn narrate(&self, text: &str) {
        self.voice.print(&format!("\n# {text}"));
    }

    fn show(&self, path: &str) {
        self.voice.print(&format!("\n  $ cat {path}"));
        let text = std::fs::read_to_string(binaries::repository().join(path)).expect("read an example");
        text.lines().for_each(|line| self.voice.print(&format!("    {line}")));
    }

    /// Runs a kubectl command as a person and shows it with what it prints. A refusal is part of the story.
    async fn run(&self, context: &str, command: &str) {
        self.voice.print(&format!("\n  $ kubectl --context {context} {command}"));
        let words = shell::words(command);
        let mut args = vec!["--context", context];
        args.extend(words.iter().map(String::as_str));
        let kubectl = self.control_plane.kubectl_with(&self.kubeconfig);
        let output = kubectl.run(&args).await;
        for line in output.stdout.lines().chain(output.stderr.lines()) {
            self.voice.print(&format!("    {line}"));
        }
    }
}

fn review(request: &str, name: &str, verdict: &str) -> String {
    let patch = format!(r#"{{"status":{{"reviews":{{"{name}":{{"verdict":"{verdict}","comment":"go ahead"}}}}}}}}"#);
    format!("patch {request} -n shop --subresource=status --type=merge -p '{patch}'")
}

impl Voice {
    fn print(self, line: &str) {
        if self == Self::Loud {
            println!("{line}");
        }
    }
}
