//! The file of a Unix-domain socket: replaced only when dead, never when it is something else, removed only when it is
//! ours.
#![cfg(unix)]

mod common;

use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net;
use std::path::Path;
use std::sync::Barrier;
use std::sync::Mutex;
use std::sync::mpsc;

use common::Listen;
use common::PATIENCE;
use common::Start;
use common::TempDir;
use common::ask;
use common::connect_unix;
use common::echo::echo_line;
use common::echo::echo_message;
use common::read_line;
use common::receive;
use socketserver::BindError;
use socketserver::Datagram;
use socketserver::HandlerResult;
use socketserver::Server;
use socketserver::Stream;
use socketserver::ThreadingUnixStreamServer;
use socketserver::UnixAddress;
use socketserver::UnixDatagramServer;
use socketserver::UnixStreamServer;
use socketserver::handler::Function;
use socketserver::handler::function;

type Answer = fn(&mut Stream<net::UnixStream>) -> HandlerResult;
type Reply = fn(&mut Datagram<UnixAddress>) -> HandlerResult;

fn stream_server(path: &Path) -> Result<UnixStreamServer<Function<Answer>>, BindError> {
    UnixStreamServer::bind_fn(path, echo_line as Answer)
}

fn datagram_server(path: &Path) -> Result<UnixDatagramServer<Function<Reply>>, BindError> {
    UnixDatagramServer::bind_fn(path, echo_message as Reply)
}

fn is_socket(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

#[test]
fn the_file_is_there_while_the_server_is_and_goes_with_it() {
    let folder = TempDir::new();
    let path = folder.join("socket");
    let server = stream_server(&path).unwrap();
    assert!(is_socket(&path));
    assert_eq!(server.local_addr().as_path(), Some(&*path));
    drop(server);
    assert!(!path.exists());

    let server = datagram_server(&path).unwrap();
    assert!(is_socket(&path));
    drop(server);
    assert!(!path.exists());
}

#[test]
fn the_file_goes_with_a_server_that_has_served() {
    let folder = TempDir::new();
    let path = folder.join("socket");
    let server = ThreadingUnixStreamServer::builder_fn(echo_line).start_at(&path);
    let client = connect_unix(&path);
    assert_eq!(ask(&client, "hello"), "hello");
    let report = server.stop();
    assert_eq!(report.accepted, 1);
    assert!(!path.exists());
}

#[test]
fn a_path_that_cannot_be_one_is_named_and_nothing_is_made() {
    let folder = TempDir::new();
    let long = folder.join(&"x".repeat(200));
    let cut = folder.join("cut\0off");
    for (path, why) in [
        (Path::new(""), "the path is empty"),
        (&long, "and the name of a socket at most "),
        (&cut, "a path cannot contain a zero byte"),
    ] {
        for error in [stream_server(path).map(drop).unwrap_err(), datagram_server(path).map(drop).unwrap_err()] {
            let text = error.to_string();
            assert!(text.starts_with(&format!("cannot bind to {}: ", path.display())), "{text}");
            assert!(text.contains(why), "{text}");
        }
    }
    let made: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert!(made.is_empty(), "{made:?}");
}

#[test]
fn the_longest_path_can_be_bound() {
    let folder = TempDir::new();
    let most = size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path) - 1;
    let room = most - folder.path().as_os_str().len() - 1;
    drop(stream_server(&folder.join(&"x".repeat(room))).unwrap());
    assert!(stream_server(&folder.join(&"x".repeat(room + 1))).is_err());
}

#[test]
fn a_mode_whose_digits_are_not_octal_is_refused() {
    let folder = TempDir::new();
    for mode in [600, 660, 666, 777, 0o1600, u32::MAX] {
        let server = UnixStreamServer::builder_fn(echo_line as Answer).mode(mode);
        let text = server.bind(folder.join("socket")).unwrap_err().to_string();
        assert_eq!(
            text,
            format!("option mode = 0o{mode:o}: permissions are octal numbers up to 0o777: write 0o660, not 660")
        );
        assert!(!folder.join("socket").exists());
    }
}

#[test]
fn what_a_killed_server_has_left_is_replaced() {
    let folder = TempDir::new();
    let path = folder.join("socket");
    drop(net::UnixListener::bind(&path).unwrap());
    assert!(is_socket(&path), "the standard library leaves the file");
    drop(stream_server(&path).unwrap());
    assert!(!path.exists());

    drop(net::UnixDatagram::bind(&path).unwrap());
    assert!(is_socket(&path));
    drop(datagram_server(&path).unwrap());
    assert!(!path.exists());
}

/// Starts servers at once, again and again, over a file that a killed one has left, or over none: one of them has the
/// path then and is reached there, and the others say that it is taken.
fn starts_one_of_many<S>(
    leave: impl Fn(&Path),
    start: impl Fn(&Path) -> Result<S, BindError> + Sync,
    reach: impl Fn(&Path) + Sync,
) {
    const ROUNDS: usize = 200;
    const SERVERS: usize = 8;
    let folder = TempDir::new();
    let path = folder.join("socket");
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            leave(&path);
        }
        let (together, all_started) = (Barrier::new(SERVERS), Barrier::new(SERVERS));
        let begin = &|| {
            together.wait();
            let outcome = start(&path);
            all_started.wait();
            match outcome {
                Ok(server) => {
                    reach(&path);
                    drop(server);
                    true
                }
                Err(error) => {
                    assert!(matches!(error, BindError::UnixPathInUse { .. }), "round {round}: {error}");
                    false
                }
            }
        };
        let started = std::thread::scope(|scope| {
            let servers: Vec<_> = (0..SERVERS).map(|_| scope.spawn(begin)).collect();
            servers.into_iter().map(|server| server.join().unwrap()).filter(|started| *started).count()
        });
        assert_eq!(started, 1, "round {round}");
        assert!(!path.exists(), "round {round}");
    }
}

#[test]
fn of_stream_servers_that_start_at_once_one_has_the_path() {
    let leave = |path: &Path| drop(net::UnixListener::bind(path).unwrap());
    starts_one_of_many(leave, stream_server, |path| drop(net::UnixStream::connect(path).unwrap()));
}

#[test]
fn of_datagram_servers_that_start_at_once_one_has_the_path() {
    let leave = |path: &Path| drop(net::UnixDatagram::bind(path).unwrap());
    let reach = |path: &Path| net::UnixDatagram::unbound().unwrap().connect(path).unwrap();
    starts_one_of_many(leave, datagram_server, reach);
}

#[test]
fn a_folder_that_is_locked_by_another_program_delays_a_start_and_does_not_prevent_it() {
    let folder = TempDir::new();
    let lock = std::fs::File::open(folder.path()).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let server = stream_server(&folder.join("socket")).unwrap();
    drop(server);
    assert!(!folder.join("socket").exists());
}

#[test]
fn a_folder_that_cannot_be_read_can_hold_the_file() {
    let folder = TempDir::new();
    let inner = folder.join("inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::set_permissions(&inner, std::fs::Permissions::from_mode(0o300)).unwrap();
    drop(stream_server(&inner.join("socket")).unwrap());
    assert!(!inner.join("socket").exists());
}

#[test]
fn a_live_server_is_not_replaced() {
    let folder = TempDir::new();
    let path = folder.join("socket");
    let server = stream_server(&path).unwrap();
    let inode = std::fs::metadata(&path).unwrap().ino();
    let error = stream_server(&path).unwrap_err();
    assert!(matches!(&error, BindError::UnixPathInUse { path: tried } if *tried == path.display().to_string()));
    assert_eq!(
        error.to_string(),
        format!("cannot bind to {}: another server is listening there; stop it or choose another path", path.display())
    );
    // A server of another type is one, too.
    let error = datagram_server(&path).unwrap_err();
    assert!(matches!(error, BindError::UnixPathInUse { .. }), "{error}");
    assert_eq!(std::fs::metadata(&path).unwrap().ino(), inode);
    drop(server);

    let server = datagram_server(&path).unwrap();
    let error = datagram_server(&path).unwrap_err();
    assert!(matches!(error, BindError::UnixPathInUse { .. }), "{error}");
    assert!(is_socket(&path));
    drop(server);
}

#[test]
fn a_server_whose_backlog_is_full_is_alive() {
    let folder = TempDir::new();
    let path = folder.join("socket");
    let _server = UnixStreamServer::builder_fn(echo_line as Answer).backlog(0).bind(&path).unwrap();
    let _waiting = net::UnixStream::connect(&path).unwrap();
    let error = stream_server(&path).unwrap_err();
    assert!(matches!(error, BindError::UnixPathInUse { .. }), "{error}");
    assert!(is_socket(&path));
}

#[test]
fn a_file_that_is_no_socket_is_not_touched() {
    let folder = TempDir::new();
    let path = folder.join("precious");
    std::fs::write(&path, "precious").unwrap();
    let expected = format!(
        "cannot bind to {}: a file that is not a socket is there; move it away or choose another path",
        path.display()
    );
    for error in [stream_server(&path).unwrap_err(), datagram_server(&path).unwrap_err()] {
        assert!(matches!(error, BindError::NotASocket { .. }), "{error}");
        assert_eq!(error.to_string(), expected);
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");

    let directory = folder.join("folder");
    std::fs::create_dir(&directory).unwrap();
    assert!(matches!(stream_server(&directory).unwrap_err(), BindError::NotASocket { .. }));
    assert!(directory.is_dir());

    // Nor is a symbolic link, wherever it leads.
    let link = folder.join("link");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(stream_server(&link).unwrap_err(), BindError::NotASocket { .. }));
    assert_eq!(std::fs::read_link(&link).unwrap(), path);
}

#[test]
fn what_has_taken_the_place_of_our_file_is_not_removed() {
    let folder = TempDir::new();
    let path = folder.join("socket");
    let server = stream_server(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    let other = net::UnixListener::bind(&path).unwrap();
    drop(server);
    assert!(is_socket(&path));
    drop(other);

    std::fs::remove_file(&path).unwrap();
    let server = stream_server(&path).unwrap();
    // Moved away before the other takes the name, so that the two do not share an inode number.
    std::fs::rename(&path, folder.join("moved")).unwrap();
    std::fs::write(&path, "another").unwrap();
    drop(server);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "another");
}

#[test]
fn the_mode_is_what_was_asked_for() {
    let folder = TempDir::new();
    for mode in [0o600, 0o660, 0o666, 0o777] {
        let path = folder.join("socket");
        let server = UnixStreamServer::builder_fn(echo_line as Answer).mode(mode).bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
        drop(server);
        let server = UnixDatagramServer::builder_fn(echo_message as Reply).mode(mode).bind(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, mode);
        drop(server);
    }
}

#[cfg(target_os = "linux")]
mod abstract_names {
    use super::*;
    use std::os::linux::net::SocketAddrExt;

    fn name(suffix: &str) -> String {
        format!("socketserver-{}-{suffix}", std::process::id())
    }

    #[test]
    fn a_name_with_an_at_sign_is_not_a_file() {
        let name = name("stream");
        let server = UnixStreamServer::builder_fn(echo_line as Answer).listen_at(format!("@{name}"));
        assert_eq!(server.local_addr().to_string(), format!("@{name}"));
        assert!(!Path::new(&format!("@{name}")).exists());
        let error = stream_server(Path::new(&format!("@{name}"))).unwrap_err();
        assert!(error.to_string().starts_with(&format!("cannot bind to @{name}: ")), "{error}");

        let stop = server.stop_handle();
        let address = net::SocketAddr::from_abstract_name(&name).unwrap();
        let client = std::thread::spawn(move || {
            let client = net::UnixStream::connect_addr(&address).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            let answer = ask(&client, "hello");
            stop.shutdown();
            answer
        });
        let report = server.serve_forever();
        assert_eq!(client.join().unwrap(), "hello");
        assert_eq!(report.accepted, 1);
        // The name is free again.
        drop(stream_server(Path::new(&format!("@{name}"))).unwrap());
    }

    #[test]
    fn a_peer_with_an_abstract_name_is_answered() {
        let mut server = datagram_server(Path::new(&format!("@{}", name("datagram")))).unwrap();
        let client =
            net::UnixDatagram::bind_addr(&net::SocketAddr::from_abstract_name(name("client")).unwrap()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.connect_addr(&net::SocketAddr::from_abstract_name(name("datagram")).unwrap()).unwrap();
        client.send(b"hello").unwrap();
        server.handle_request().unwrap();
        let mut buffer = [0; 16];
        let length = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"hello");
    }

    #[test]
    fn a_mode_needs_a_file() {
        let error = UnixStreamServer::builder_fn(echo_line as Answer).mode(0o600).bind("@nobody").unwrap_err();
        let expected = "option mode = 0o600: @nobody is not a path, so it has no file to set the mode of";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn verify_request_sees_who_it_is() {
        use socketserver::transport::UnixSocketExt;
        let folder = TempDir::new();
        let path = folder.join("socket");
        let (tell, told) = mpsc::channel();
        let tell = Mutex::new(tell);
        let server = Server::<socketserver::UnixStream, socketserver::Sync, _>::builder(function(echo_line))
            .verify(move |request: &Stream<net::UnixStream>| {
                let who = request.get_ref().peer_credentials().unwrap();
                tell.lock().unwrap().send(who).unwrap();
                who.uid == rustix::process::getuid().as_raw()
            })
            .start_at(&path);
        let client = connect_unix(&path);
        assert_eq!(ask(&client, "hello"), "hello");
        let who = told.recv_timeout(PATIENCE).unwrap();
        assert_eq!(who.pid, std::process::id().cast_signed());
        assert_eq!(who.uid, rustix::process::getuid().as_raw());
        assert_eq!(who.gid, rustix::process::getgid().as_raw());
        drop(server);
    }
}

/// The kernel takes a path that fills its field, without the zero byte that ends others: unix(7), BUGS.
#[cfg(target_os = "linux")]
mod peers_with_the_longest_path {
    use super::*;
    use rustix::net::AddressFamily;
    use rustix::net::SocketAddrUnix;
    use rustix::net::SocketType;
    use socketserver::Flow;

    const ALL: usize = size_of::<libc::sockaddr_un>() - std::mem::offset_of!(libc::sockaddr_un, sun_path);

    /// A socket bound to a path of that length in the folder, and the path.
    fn bind(folder: &TempDir, kind: SocketType) -> (std::os::fd::OwnedFd, std::path::PathBuf) {
        let path = folder.join(&"x".repeat(ALL - folder.path().as_os_str().len() - 1));
        let socket = rustix::net::socket(AddressFamily::UNIX, kind, None).unwrap();
        rustix::net::bind(&socket, &SocketAddrUnix::new(&path).unwrap()).unwrap();
        assert_eq!(path.as_os_str().len(), ALL);
        (socket, path)
    }

    #[test]
    fn are_served_on_streams() {
        let folder = TempDir::new();
        let server = ThreadingUnixStreamServer::builder_fn(|request: &mut Stream<net::UnixStream>| {
            let peer = request.peer_addr().and_then(|peer| peer.as_path()).map(|path| path.display().to_string());
            writeln!(request, "{}", peer.unwrap_or_default())?;
            echo_line(request)
        })
        .start_at(folder.join("server"));
        let (socket, path) = bind(&folder, SocketType::STREAM);
        rustix::net::connect(&socket, &SocketAddrUnix::new(folder.join("server")).unwrap()).unwrap();
        let mut client = net::UnixStream::from(socket);
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(ask(&client, "hello"), path.display().to_string());
        assert_eq!(read_line(&mut client), "hello");
        drop(client);
        server.seen.wait_for_ends(1);
        let report = server.stop();
        assert_eq!(report.finished, 1, "{report}");
    }

    #[test]
    fn are_served_with_datagrams() {
        let folder = TempDir::new();
        let server = socketserver::PoolUnixDatagramServer::builder_fn(|request: &mut Datagram<UnixAddress>| {
            let path = request.peer_addr().map(ToString::to_string).unwrap_or_default();
            request.reply(path.as_bytes())?;
            request.reply_now(path.as_bytes())?;
            Ok(Flow::Close)
        })
        .start_at(folder.join("server"));
        let (socket, path) = bind(&folder, SocketType::DGRAM);
        let client = net::UnixDatagram::from(socket);
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.send_to(b"hello", folder.join("server")).unwrap();
        for _ in 0..2 {
            assert_eq!(receive(|buffer| client.recv(buffer)), path.as_os_str().as_bytes());
        }
        let report = server.stop();
        assert_eq!(report.finished, 1, "{report}");
    }
}

#[test]
fn a_missing_folder_is_named() {
    let folder = TempDir::new();
    let path = folder.join("missing").join("socket");
    for error in [stream_server(&path).unwrap_err(), datagram_server(&path).unwrap_err()] {
        let text = error.to_string();
        assert!(text.starts_with(&format!("cannot bind to {}: ", path.display())), "{text}");
        assert!(text.ends_with("; the folder does not exist"), "{text}");
    }
}

#[test]
fn a_path_that_is_too_long_is_named() {
    let folder = TempDir::new();
    let path = folder.join(&"x".repeat(200));
    for error in [stream_server(&path).unwrap_err(), datagram_server(&path).unwrap_err()] {
        assert!(error.to_string().starts_with(&format!("cannot bind to {}: ", path.display())), "{error}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn the_file_of_an_adopted_listener_stays() {
    let folder = TempDir::new();
    let path = folder.join("socket");
    let listener = net::UnixListener::bind(&path).unwrap();
    let server = UnixStreamServer::builder_fn(echo_line as Answer).adopt(listener).unwrap();
    assert_eq!(server.local_addr().as_path(), Some(&*path));
    drop(server);
    assert!(is_socket(&path));

    let path = folder.join("datagram");
    let socket = net::UnixDatagram::bind(&path).unwrap();
    drop(UnixDatagramServer::builder_fn(echo_message as Reply).adopt(socket).unwrap());
    assert!(is_socket(&path));
}

#[test]
fn a_failed_start_leaves_no_file() {
    let folder = TempDir::new();
    let path = folder.join("socket");
    let error = UnixStreamServer::builder_fn(echo_line as Answer).max_connections(0).bind(&path).unwrap_err();
    assert!(matches!(error, BindError::Option { option: "max_connections", .. }), "{error}");
    let error = UnixDatagramServer::builder_fn(echo_message as Reply).max_datagram_size(0).bind(&path).unwrap_err();
    assert!(matches!(error, BindError::Option { option: "max_datagram_size", .. }), "{error}");
    assert!(!path.exists());
}
