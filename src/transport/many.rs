//! Several listeners of one server.

use std::fmt;
use std::io;
use std::io::ErrorKind;
use std::ops::Deref;

use super::Adopt;
use super::Bind;
use super::Transport;
use crate::error::BindError;
use crate::sys::Descriptor;

/// Several listeners of one type, served as one: with one limit, one drain and one report.
///
/// The server alternates between them, so that a busy one does not delay the others. [`Event::ListenStart`] and
/// [`Event::ListenStop`] name each.
///
/// A transport that wraps this applies to all of them together, and one inside to each alone: `PerSource<Many<Tcp>>`
/// counts the connections of a source to all listeners, `Many<PerSource<Tcp>>` those to each.
///
/// ```
/// use socketserver::handler::function;
/// use socketserver::transport::Many;
/// use socketserver::{Builder, Flow, Pool, Tcp};
///
/// let server = Builder::<Many<Tcp>, Pool, _>::new(function(|_: &mut _| Ok(Flow::Close)))
///     .backlog(128)
///     .bind(["127.0.0.1:0", "127.0.0.2:0"])?;
/// assert_eq!(server.local_addr().len(), 2);
/// # Ok::<(), socketserver::BindError>(())
/// ```
///
/// [`Event::ListenStart`]: crate::Event::ListenStart
/// [`Event::ListenStop`]: crate::Event::ListenStop
#[derive(Debug)]
pub struct Many<T> {
    listeners: Vec<T>,
    /// Whose turn it is, and for how many more.
    turn: usize,
    left: u32,
}

/// This many are accepted from a listener before it is another's turn: to ask one that has nothing costs a system call.
const TURN: u32 = 8;

impl<T> Many<T> {
    /// Serves on existing listeners.
    ///
    /// # Errors
    ///
    /// `listeners` is empty.
    pub fn of(listeners: impl IntoIterator<Item = T>) -> Result<Self, BindError> {
        let listeners: Vec<T> = listeners.into_iter().collect();
        if listeners.is_empty() {
            let reason = "a server without listeners serves no request; it needs at least one".to_owned();
            return Err(BindError::Option { option: "listeners", value: "0".to_owned(), reason });
        }
        Ok(Self { listeners, turn: 0, left: TURN })
    }

    /// The listeners, in order.
    #[must_use]
    pub fn listeners(&self) -> &[T] {
        &self.listeners
    }

    fn next_turn(&mut self) {
        self.turn = (self.turn + 1) % self.listeners.len();
        self.left = TURN;
    }
}

impl<T: Transport> Transport for Many<T> {
    type Request = T::Request;
    type Pending = T::Pending;
    type Addr = Addresses<T::Addr>;

    fn accept(&mut self) -> io::Result<T::Pending> {
        for _ in 0..self.listeners.len() {
            if self.left == 0 {
                self.next_turn();
            }
            match self.listeners[self.turn].accept() {
                Ok(pending) => {
                    self.left -= 1;
                    return Ok(pending);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.next_turn(),
                Err(error) => {
                    // One that goes on failing does not keep the others waiting.
                    self.next_turn();
                    return Err(error);
                }
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.listeners[0].descriptor()
    }

    fn descriptors<'a>(&'a self, show: &mut dyn FnMut(Descriptor<'a>)) {
        self.listeners.iter().for_each(|listener| listener.descriptors(show));
    }

    fn addresses(&self, show: &mut dyn FnMut(&str)) {
        self.listeners.iter().for_each(|listener| listener.addresses(show));
    }

    fn local_addr(&self) -> Addresses<T::Addr> {
        Addresses(self.listeners.iter().map(Transport::local_addr).collect())
    }

    fn has_buffered(&self) -> bool {
        self.listeners.iter().any(Transport::has_buffered)
    }

    fn hand_over(&mut self) {
        self.listeners.iter_mut().for_each(Transport::hand_over);
    }

    fn answers_itself(&self) -> bool {
        self.listeners.iter().any(Transport::answers_itself)
    }
}

impl<T: Bind> Bind for Many<T> {
    type Address = Addresses<T::Address>;
    type Options = T::Options;

    fn bind(addresses: &Self::Address, options: &T::Options) -> Result<Self, BindError> {
        // Those that are bound already are closed if another cannot be.
        let listeners = addresses.iter().map(|address| T::bind(address, options));
        Self::of(listeners.collect::<Result<Vec<_>, _>>()?)
    }
}

impl<T: Adopt> Adopt for Many<T> {
    type Socket = Vec<T::Socket>;

    fn adopt(sockets: Vec<T::Socket>, options: &T::Options) -> Result<Self, BindError> {
        let listeners = sockets.into_iter().map(|socket| T::adopt(socket, options));
        Self::of(listeners.collect::<Result<Vec<_>, _>>()?)
    }
}

/// The addresses of [`Many`] listeners, in order; displayed as a comma-separated list.
///
/// To bind, it is converted from an array or a `Vec` of whatever converts into an address, such as text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Addresses<A>(Vec<A>);

impl<A> Deref for Addresses<A> {
    type Target = [A];

    fn deref(&self) -> &[A] {
        &self.0
    }
}

impl<A: fmt::Display> fmt::Display for Addresses<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            address.fmt(f)?;
        }
        Ok(())
    }
}

impl<A, X: Into<A>> FromIterator<X> for Addresses<A> {
    fn from_iter<I: IntoIterator<Item = X>>(addresses: I) -> Self {
        Self(addresses.into_iter().map(Into::into).collect())
    }
}

impl<A, X: Into<A>> From<Vec<X>> for Addresses<A> {
    fn from(addresses: Vec<X>) -> Self {
        addresses.into_iter().collect()
    }
}

impl<A, X: Into<A>, const N: usize> From<[X; N]> for Addresses<A> {
    fn from(addresses: [X; N]) -> Self {
        addresses.into_iter().collect()
    }
}

impl<A, X: Clone + Into<A>> From<&[X]> for Addresses<A> {
    fn from(addresses: &[X]) -> Self {
        addresses.iter().cloned().collect()
    }
}

/// One address.
impl<'a, A: From<&'a str>> From<&'a str> for Addresses<A> {
    fn from(address: &'a str) -> Self {
        Self(vec![address.into()])
    }
}
