//! Clients say a password first: a transport over any other that has streams.

use std::io;
use std::io::BufRead;

use socketserver::BindError;
use socketserver::Refusal;
use socketserver::Socket;
use socketserver::Stream;
use socketserver::Transport;
use socketserver::request::Fill;
use socketserver::request::Request;
use socketserver::transport::Advance;
use socketserver::transport::Bind;
use socketserver::transport::Descriptor;
use socketserver::transport::Interest;
use socketserver::transport::Preamble;
use socketserver::transport::PreamblePending;

/// Serves those who know the password.
#[derive(Debug)]
pub struct Guarded<T>(pub T);

/// What has to be said.
#[derive(Debug)]
pub struct Password;

const PASSWORD: &[u8] = b"open sesame\n";

impl<T: Transport<Request = Stream<S>>, S: Socket + 'static> Transport for Guarded<T> {
    type Request = Stream<S>;
    type Pending = PreamblePending<T::Pending, S, Password>;
    type Addr = T::Addr;

    fn accept(&mut self) -> io::Result<Self::Pending> {
        Ok(PreamblePending::new(self.0.accept()?, Password))
    }

    fn descriptor(&self) -> Descriptor<'_> {
        self.0.descriptor()
    }

    fn descriptors<'a>(&'a self, show: &mut dyn FnMut(Descriptor<'a>)) {
        self.0.descriptors(show);
    }

    fn addresses(&self, show: &mut dyn FnMut(&str)) {
        self.0.addresses(show);
    }

    fn local_addr(&self) -> T::Addr {
        self.0.local_addr()
    }

    fn hand_over(&mut self) {
        self.0.hand_over();
    }
}

impl<S: Socket> Preamble<S> for Password {
    type Socket = S;

    fn advance(&mut self, stream: &mut Stream<S>) -> io::Result<Advance> {
        while stream.buffered().len() < PASSWORD.len() {
            match stream.fill()? {
                Fill::Data => {}
                Fill::NotReady => return Ok(Advance::Wait(Interest::Read)),
                _ => return Ok(Advance::Closed),
            }
        }
        if !stream.buffered().starts_with(PASSWORD) {
            return Ok(Advance::Refused(Refusal::Untrusted));
        }
        stream.consume(PASSWORD.len());
        Ok(Advance::Done)
    }

    fn into_stream(self, stream: Stream<S>) -> Stream<S> {
        stream
    }
}

impl<T: Bind<Request = Stream<S>>, S: Socket + 'static> Bind for Guarded<T> {
    type Address = T::Address;
    type Options = T::Options;

    fn bind(address: &T::Address, options: &T::Options) -> Result<Self, BindError> {
        T::bind(address, options).map(Self)
    }
}
