//! A kubeconfig that a trial changes: what [`super::reach`] and [`super::login`] have in common.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::ControlPlane;
use crate::harness::plugin::Plugin;
use crate::harness::users::User;

/// A command that asks the API server more than once.
pub const LISTS: [&str; 3] = ["list", "-o", "name"];

/// A kubeconfig that is changed for a trial.
pub struct Kubefile {
    pub folder: tempfile::TempDir,
    pub value: Value,
}

impl Kubefile {
    pub fn of(cluster: &ControlPlane, user: User) -> Self {
        let text = std::fs::read_to_string(cluster.kubeconfig(user)).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), value: serde_json::from_str(&text).unwrap() }
    }

    pub fn cluster(&mut self) -> &mut Value {
        &mut self.value["clusters"][0]["cluster"]
    }

    pub fn user(mut self, user: Value) -> Self {
        self.value["users"][0]["user"] = user;
        self
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("config")
    }

    pub fn plugin(&self) -> Plugin {
        std::fs::write(self.path(), self.value.to_string()).unwrap();
        Plugin::with(&self.path())
    }

    /// A script beside it, by the name that the kubeconfig has for it.
    pub fn script(&self, text: &str) -> &'static str {
        let path = self.folder.path().join("login");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        "./login"
    }

    pub fn lines(&self, name: &str) -> usize {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default().lines().count()
    }
}
