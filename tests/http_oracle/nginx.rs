//! nginx on a folder of ours.

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use crate::common::TempDir;
use crate::common::eventually;

/// It is killed at the end.
pub struct Nginx {
    child: Child,
    folder: TempDir,
}

impl Nginx {
    pub fn serve(site: &Path) -> Self {
        let folder = TempDir::new();
        let at = |name| folder.join(name).to_str().expect("text").to_owned();
        let (site, socket) = (site.to_str().expect("text"), at("socket"));
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|name| format!("{name}_temp_path {};\n", at(name)))
            .concat();
        let config = format!(
            "daemon off;
             master_process off;
             pid {pid};
             error_log {log} info;
             events {{}}
             http {{
                 access_log off;
                 {temporary}
                 types {{ text/plain txt; text/html html; }}
                 client_header_timeout 1s;
                 client_body_timeout 1s;
                 lingering_timeout 1s;
                 server {{
                     listen unix:{socket};
                     root {site};
                     autoindex on;
                     # As we say it, and as RFC 9110 allows.
                     absolute_redirect off;
                     if_modified_since before;
                 }}
             }}",
            pid = at("pid"),
            log = at("log"),
        );
        std::fs::write(folder.join("config"), config).expect("the configuration");
        let child = Command::new("nginx")
            .args(["-c", &at("config"), "-e", &at("log")])
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("nginx: {error}: install it"));
        let nginx = Self { child, folder };
        eventually("nginx listens", || std::os::unix::net::UnixStream::connect(nginx.socket()).is_ok());
        nginx
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("socket")
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
