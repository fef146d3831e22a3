//! The example `http_files` looks at what is in a folder without opening it, and needs no more of a folder than it uses.

#![cfg(target_os = "linux")]

mod common;

use std::fs;
use std::fs::Permissions;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use rustix::fs::CWD;
use rustix::fs::Mode;
use rustix::fs::inotify;

use common::example::Example;
use common::example::program;
use common::site::Site;
use common::site::assert_status;
use common::site::body;
use common::site::get;

/// Tells which files of a folder have been opened.
struct Watch(OwnedFd);

impl Watch {
    fn of(site: &Site, folder: &str) -> Self {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).expect("inotify");
        inotify::add_watch(&watch, site.path(folder), inotify::WatchFlags::OPEN).expect("a watch");
        Self(watch)
    }

    /// The names of what has been opened since it was last asked; the folder itself has none.
    fn opened(&self) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut events = inotify::Reader::new(&self.0, &mut buffer);
        let mut opened = Vec::new();
        loop {
            match events.next() {
                Ok(event) => opened.extend(event.file_name().map(|name| name.to_str().expect("text").to_owned())),
                Err(rustix::io::Errno::AGAIN) => return opened,
                Err(error) => panic!("inotify: {error}"),
            }
        }
    }
}

#[test]
fn a_page_opens_nothing_that_it_lists() {
    let site = Site::new();
    rustix::fs::mkfifoat(CWD, site.path("fifo"), Mode::RUSR | Mode::WUSR).expect("a FIFO");
    let _socket = UnixListener::bind(site.path("socket")).expect("a socket");
    symlink("fifo", site.path("link to fifo")).expect("a link");
    symlink("a.txt", site.path("link to file")).expect("a link");
    let server = site.serve(&[]);
    let watch = Watch::of(&site, "");
    let page = get(&server, "/", "");
    assert_status(&page, 200);
    for name in ["a.txt", "empty", "folder/", "large", "link%20to%20file"] {
        assert!(page.contains(&format!("href=\"{name}\"")), "{name}: {page}");
    }
    for name in ["fifo", "socket", "leak"] {
        assert!(!page.contains(name), "{name}: {page}");
    }
    assert_eq!(watch.opened(), [""; 0]);
    assert!(server.stop().0.success());
}

/// A writer that waits for a reader would be let in, and one that reads a device may change it.
#[test]
fn what_is_neither_file_nor_folder_is_not_opened() {
    let site = Site::new();
    rustix::fs::mkfifoat(CWD, site.path("fifo"), Mode::RUSR | Mode::WUSR).expect("a FIFO");
    rustix::fs::mkfifoat(CWD, site.path("folder/index.html"), Mode::RUSR | Mode::WUSR).expect("a FIFO");
    symlink("fifo", site.path("link to fifo")).expect("a link");
    let server = site.serve(&[]);
    let (watch, in_folder) = (Watch::of(&site, ""), Watch::of(&site, "folder"));
    for path in ["/fifo", "/fifo/", "/link%20to%20fifo", "/folder/index.html"] {
        assert_status(&get(&server, path, ""), 404);
    }
    let page = get(&server, "/folder/", "");
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("href=\"link\""), "{page}");
    assert_eq!((watch.opened(), in_folder.opened()), (vec!["folder".to_owned()], vec![]));
    assert_eq!(body(&get(&server, "/a.txt", "")), "0123456789");
    assert_eq!(watch.opened(), ["a.txt"], "the watch works");
    assert!(server.stop().0.success());
}

/// To whoever is not its owner, or to its owner as well.
const SEARCH_ONLY: u32 = 0o311;

fn allow(site: &Site, name: &str, mode: u32) {
    fs::set_permissions(site.path(name), Permissions::from_mode(mode)).expect("a new mode");
}

fn serve_unprivileged(site: &Site) -> Example {
    let flags = site.flags();
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    Example::start_unprivileged(&program("http_files"), &flags)
}

#[test]
fn folders_that_may_be_searched_but_not_read() {
    let site = Site::new();
    for name in ["with", "without", "locked", "hidden"] {
        fs::create_dir(site.path(name)).expect("a folder");
        site.write(&format!("{name}/a.txt"), "inside");
    }
    site.write("with/index.html", "the index");
    site.write("hidden/index.html", "the index");
    allow(&site, "hidden/index.html", 0);
    for name in ["with", "without"] {
        allow(&site, name, SEARCH_ONLY);
    }
    allow(&site, "locked", 0);
    site.write("private", "private");
    allow(&site, "private", 0);
    let server = serve_unprivileged(&site);
    let page = get(&server, "/with/", "");
    assert_status(&page, 200);
    assert_eq!(body(&page), "the index");
    assert_eq!(body(&get(&server, "/with/a.txt", "")), "inside");
    assert_eq!(body(&get(&server, "/without/a.txt", "")), "inside");
    assert_status(&get(&server, "/without", ""), 301);
    assert_status(&get(&server, "/without/", ""), 403);
    assert_status(&get(&server, "/locked/", ""), 403);
    assert_status(&get(&server, "/locked/a.txt", ""), 403);
    // An index that may not be read is one all the same: the page would show what it hides.
    assert_status(&get(&server, "/hidden/", ""), 403);
    assert_status(&get(&server, "/private", ""), 403);
    assert!(server.stop().0.success());
    // Or their content could not be removed.
    for name in ["with", "without", "locked"] {
        allow(&site, name, 0o755);
    }
}

#[test]
fn the_folder_that_is_served_may_be_one_of_them() {
    let site = Site::new();
    site.write("index.html", "the index");
    allow(&site, "", SEARCH_ONLY);
    let server = serve_unprivileged(&site);
    assert_eq!(body(&get(&server, "/", "")), "the index");
    assert_eq!(body(&get(&server, "/a.txt", "")), "0123456789");
    assert!(server.stop().0.success());
    allow(&site, "", 0o755);
}

#[test]
fn what_cannot_be_served_is_said_at_the_start() {
    let site = Site::new();
    for (path, why) in [("a.txt", "Not a directory"), ("nothing", "No such file or directory")] {
        let path = site.path(path);
        let output = std::process::Command::new(program("http_files"))
            .args(["--listen", "127.0.0.1:0", "--directory"])
            .arg(&path)
            .output()
            .expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(path.to_str().expect("text")) && said.contains(why),
            "{said}"
        );
    }
}
