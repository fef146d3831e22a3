//! What the client of a conversation in memory does.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// A scripted client for [`converse_with`](super::converse_with): what it sends, how much it reads, and how it ends. By
/// default it behaves well: it reads everything, and closes when it has sent everything.
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
/// // It stops in the middle of a line.
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
    /// A client that connects and closes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends this, as a piece that arrives separately: when the handler has consumed everything before it, and has
    /// found that nothing more is there.
    #[must_use]
    pub fn sends(mut self, piece: impl AsRef<[u8]>) -> Self {
        if !piece.as_ref().is_empty() {
            self.script.extend([Act::Send(piece.as_ref().to_vec()), Act::Pause]);
        }
        self
    }

    /// Sends what `answer` returns. It is called again when the server has consumed that and looks for more, until it
    /// returns nothing, and receives what the server has sent since the last call: for handshakes, and protocols in
    /// which the client has to react to the server. A clone of the client shares `answer`.
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
    /// // Sends a number, and then each number it receives, up to 3.
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

    /// Stops the server once it has consumed what was sent before and looks for more.
    #[must_use]
    pub fn server_stops(mut self) -> Self {
        self.script.push_back(Act::Stop);
        self
    }

    /// Sends nothing more, and does not close: the server's timeouts decide what happens.
    #[must_use]
    pub fn then_is_silent(mut self) -> Self {
        self.then = Then::Wait;
        self
    }

    /// Resets the connection instead of closing it.
    #[must_use]
    pub fn then_resets(mut self) -> Self {
        self.then = Then::Reset;
        self
    }

    /// Reads at most this many bytes.
    #[must_use]
    pub fn reads_at_most(mut self, bytes: usize) -> Self {
        self.appetite = bytes;
        self
    }
}
