//! What the client of a conversation in memory does.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// What the client of a [conversation in memory](super::converse_with) does: what it sends, how much it reads, and how it
/// ends. What it was not told it does as clients do that mean well: it reads all that it is sent, and closes when it has
/// said everything.
///
/// ```
/// use std::io::Write;
/// use std::time::Duration;
/// use socketserver::testing::{Client, converse_with};
/// use socketserver::{End, Flow, ServerOptions, handler};
///
/// let upper = handler::function(|request: &mut socketserver::Stream<_>| {
///     let Some(line) = request.line()? else { return Ok(Flow::Continue) };
///     request.write_all(line.to_uppercase().as_bytes())?;
///     Ok(Flow::Continue)
/// });
/// // One that stops in the middle of a line.
/// let client = Client::new().sends("one\ntw").then_is_silent();
/// let options = ServerOptions::new().read_timeout(Duration::from_millis(20));
/// let outcome = converse_with(upper, client, options);
/// assert_eq!((outcome.output.as_slice(), outcome.end), (&b"ONE\n"[..], End::TimedOut));
/// assert!(outcome.errors[0].is_timeout);
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) script: VecDeque<Act>,
    pub(super) then: Then,
    /// How many bytes it still reads.
    pub(super) appetite: usize,
}

#[derive(Clone, Debug)]
pub(super) enum Act {
    Send(Vec<u8>),
    /// Nothing is there to be read, once.
    Pause,
    Stop,
    Answer(Answer),
}

type Answering = dyn FnMut(&[u8]) -> Vec<u8> + Send;

/// What is to be said in answer to what was heard.
#[derive(Clone)]
pub(super) struct Answer(Arc<Mutex<Answering>>);

impl Answer {
    pub(super) fn to(&self, heard: &[u8]) -> Vec<u8> {
        (self.0.lock())(heard)
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}

/// When it has done everything.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Then {
    Close,
    Wait,
    Reset,
}

impl Default for Client {
    fn default() -> Self {
        Self { script: VecDeque::new(), then: Then::Close, appetite: usize::MAX }
    }
}

impl Client {
    /// One that connects, and closes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// It sends this, which arrives alone: when the handler has taken up all before it, and has met that nothing more is
    /// there.
    #[must_use]
    pub fn sends(mut self, piece: impl AsRef<[u8]>) -> Self {
        if !piece.as_ref().is_empty() {
            self.script.extend([Act::Send(piece.as_ref().to_vec()), Act::Pause]);
        }
        self
    }

    /// It sends what `answer` returns, and is asked again when the server has taken that up and looks for more, until there
    /// is nothing that it says. `answer` is given what the server has sent since it was asked before: for handshakes, and
    /// protocols in which a client has to hear before it can speak. A clone of the client shares it.
    ///
    /// ```
    /// use std::io::Write;
    /// use socketserver::testing::{Client, converse_with};
    /// use socketserver::{Flow, ServerOptions, handler};
    ///
    /// let adds = handler::function(|request: &mut socketserver::Stream<_>| {
    ///     let Some(line) = request.line()? else { return Ok(Flow::Continue) };
    ///     let sum: u32 = line.trim_end().parse::<u32>()? + 1;
    ///     writeln!(request, "{sum}")?;
    ///     Ok(Flow::Continue)
    /// });
    /// // Says a number, and then each that it hears, up to 3.
    /// let client = Client::new().answers(|heard| match heard {
    ///     b"" => b"1\n".to_vec(),
    ///     b"3\n" => Vec::new(),
    ///     number => number.to_vec(),
    /// });
    /// assert_eq!(converse_with(adds, client, ServerOptions::default()).output, b"2\n3\n");
    /// ```
    #[must_use]
    pub fn answers(mut self, answer: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> Self {
        self.script.push_back(Act::Answer(Answer(Arc::new(Mutex::new(answer)))));
        self
    }

    /// The server is told to stop when it looks for more than was sent before.
    #[must_use]
    pub fn server_stops(mut self) -> Self {
        self.script.push_back(Act::Stop);
        self
    }

    /// It says nothing more, and does not close: what happens then is a matter of the server's timeouts.
    #[must_use]
    pub fn then_is_silent(mut self) -> Self {
        self.then = Then::Wait;
        self
    }

    /// It does not close, but resets the connection.
    #[must_use]
    pub fn then_resets(mut self) -> Self {
        self.then = Then::Reset;
        self
    }

    /// It reads this many bytes, and no more.
    #[must_use]
    pub fn reads_at_most(mut self, bytes: usize) -> Self {
        self.appetite = bytes;
        self
    }
}
