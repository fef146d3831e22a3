/// The answer to the first line of a request: the file, or 404.
pub fn answer(line: &str, folder: &std::path::Path) -> Vec<u8> {
    let path = line.strip_prefix("GET /").and_then(|rest| rest.split(' ').next());
    // A name and no path: nothing outside of the folder is sent.
    let name = path.filter(|name| std::path::Path::new(name).file_name() == Some(name.as_ref()));
    let (status, body) = match name.map(|name| std::fs::read(folder.join(name))) {
        Some(Ok(body)) => ("200 OK", body),
        _ => ("404 Not Found", b"no such file\n".to_vec()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    [head.into_bytes(), body].concat()
}
