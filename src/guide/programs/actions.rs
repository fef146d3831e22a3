use std::fs;
use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use socketserver::{Flow, Handler, HandlerResult, Socket, Stream};

/// Stores and returns files. A message is a line of JSON whose `action` names the method; a file follows its line.
#[derive(Debug)]
pub struct Files {
    pub folder: PathBuf,
}

const LARGEST: u64 = 16 << 20;

impl<S: Socket> Handler<Stream<S>> for Files {
    fn handle(&mut self, request: &mut Stream<S>) -> HandlerResult {
        let mut line = String::new();
        if request.read_line(&mut line)? == 0 {
            return Ok(Flow::Close);
        }
        let message: Value = serde_json::from_str(&line)?;
        match message["action"].as_str() {
            Some("put") => self.put(&message, request)?,
            Some("get") => self.get(&message, request)?,
            _ => reply(request, &json!({ "error": format!("there is no action {}", message["action"]) }))?,
        }
        Ok(Flow::Continue)
    }
}

impl Files {
    fn put<S: Socket>(&self, message: &Value, request: &mut Stream<S>) -> HandlerResult<()> {
        let size = message["size"].as_u64().filter(|size| *size <= LARGEST).ok_or("no size, or too large a file")?;
        let mut content = Vec::new();
        if request.take(size).read_to_end(&mut content)? as u64 != size {
            return Err("the file has ended early".into());
        }
        if message["sha256"] != hash(&content) {
            return Ok(reply(request, &json!({ "error": "the hash is another" }))?);
        }
        fs::write(self.path(message)?, &content)?;
        Ok(reply(request, &json!({ "stored": size }))?)
    }

    fn get<S: Socket>(&self, message: &Value, request: &mut Stream<S>) -> HandlerResult<()> {
        let Ok(content) = fs::read(self.path(message)?) else {
            return Ok(reply(request, &json!({ "error": "there is no such file" }))?);
        };
        reply(request, &json!({ "size": content.len(), "sha256": hash(&content) }))?;
        Ok(request.write_all(&content)?)
    }

    /// A file of the folder, and no other.
    fn path(&self, message: &Value) -> HandlerResult<PathBuf> {
        let name = message["name"].as_str().map(PathBuf::from).unwrap_or_default();
        match name.file_name() {
            Some(file) if file == name => Ok(self.folder.join(file)),
            _ => Err(format!("{} is not the name of a file", message["name"]).into()),
        }
    }
}

fn hash(content: &[u8]) -> String {
    format!("{:x}", Sha256::digest(content))
}

fn reply<S: Socket>(request: &mut Stream<S>, message: &Value) -> io::Result<()> {
    writeln!(request, "{message}")
}
