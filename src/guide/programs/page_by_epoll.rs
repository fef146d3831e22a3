use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

/// Four: the kernel keeps the list of connections that are waited for, as with Python's `selectors` on Linux, and as
/// `Sync` and `Pool` do.
pub fn serve_with_epoll(listener: &TcpListener, folder: &Path) -> io::Result<()> {
    const LISTENER: u64 = 0;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut clients: HashMap<u64, Client> = HashMap::new();
    let mut last = LISTENER;
    let mut events = Vec::with_capacity(64);
    loop {
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in events.drain(..) {
            match event.data.u64() {
                LISTENER => {
                    last += 1;
                    let client = Client::accept(listener)?;
                    epoll::add(&epoll, &client, EventData::new_u64(last), EventFlags::IN)?;
                    clients.insert(last, client);
                }
                id => {
                    if clients.get_mut(&id).is_some_and(|client| client.read(folder)) {
                        // Closing its socket takes it off the kernel's list.
                        clients.remove(&id);
                    }
                }
            }
        }
    }
}
