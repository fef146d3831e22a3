//! What `.ci/packages` installs beside the packages of the system.

#![allow(unreachable_pub, reason = "a module of a test")]

use std::path::PathBuf;

/// The folder of one of them.
pub fn installed(name: &str) -> PathBuf {
    let given = std::env::var_os("SOCKETSERVER_CLIENTS").map(PathBuf::from);
    let folder = given.unwrap_or_else(|| {
        let home = std::env::var_os("HOME").expect("HOME, or what .ci/packages has installed in SOCKETSERVER_CLIENTS");
        PathBuf::from(home).join(".cache/socketserver-clients")
    });
    let folder = folder.join(name);
    assert!(folder.is_dir(), "{}: no such folder: .ci/packages makes it", folder.display());
    folder
}
