use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;

/// Two: a thread for each client, which is what `ThreadPerRequest` does.
pub fn serve_with_threads(listener: &TcpListener, folder: &Path) -> io::Result<()> {
    for client in listener.incoming() {
        let (client, folder) = (client?, folder.to_owned());
        thread::spawn(move || serve_one(client, &folder));
    }
    Ok(())
}

fn serve_one(client: TcpStream, folder: &Path) -> io::Result<()> {
    let mut client = BufReader::new(client);
    let (mut first, mut rest) = (String::new(), String::new());
    client.read_line(&mut first)?;
    // Input left unread would turn the close into a reset, and lose the response.
    while client.read_line(&mut rest)? > 2 {
        rest.clear();
    }
    client.get_mut().write_all(&answer(&first, folder))
}
