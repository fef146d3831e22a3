//! Values that go from one process to another.

use std::fmt::Debug;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::time::Duration;

use socketserver::End;
use socketserver::Refusal;
use socketserver::Stage;

/// Something that can be told as bytes.
pub trait Entry: Sized {
    fn encode(&self) -> Vec<u8>;
    fn decode(bytes: &[u8]) -> Self;
}

impl Entry for Vec<u8> {
    fn encode(&self) -> Vec<u8> {
        self.clone()
    }

    fn decode(bytes: &[u8]) -> Self {
        bytes.to_vec()
    }
}

impl Entry for String {
    fn encode(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Self {
        Self::from_utf8(bytes.to_vec()).expect("text")
    }
}

impl Entry for () {
    fn encode(&self) -> Vec<u8> {
        Vec::new()
    }

    fn decode(_: &[u8]) -> Self {}
}

impl Entry for Duration {
    fn encode(&self) -> Vec<u8> {
        (self.as_secs(), self.subsec_nanos()).encode()
    }

    fn decode(bytes: &[u8]) -> Self {
        let (seconds, nanos) = <(u64, u32)>::decode(bytes);
        Self::new(seconds, nanos)
    }
}

/// Values whose text can be read again.
macro_rules! by_their_text {
    ($($type:ty),+) => {$(
        impl Entry for $type {
            fn encode(&self) -> Vec<u8> {
                self.to_string().into_bytes()
            }

            fn decode(bytes: &[u8]) -> Self {
                String::decode(bytes).parse().expect("what was written")
            }
        }
    )+};
}

by_their_text!(bool, i32, u16, u32, u64, usize, IpAddr, SocketAddr);

/// Values that are known by their names.
macro_rules! by_their_names {
    ($($type:ident: $($name:ident)+;)+) => {$(
        impl Entry for $type {
            fn encode(&self) -> Vec<u8> {
                format!("{self:?}").into_bytes()
            }

            fn decode(bytes: &[u8]) -> Self {
                one_of(&[$($type::$name),+], bytes)
            }
        }
    )+};
}

by_their_names! {
    End: Detached Drained Failed Forced HandlerClosed IdleTimeout Panicked PeerClosed Refused Shed TimedOut;
    Refusal: AtLimit PerSource Rejected SourceRate SourcesFull Stopping Untrusted Unverified;
    Stage: Accept Close Dispatch Establish Finish Handle ServiceActions Setup Verify;
}

fn one_of<T: Copy + Debug>(all: &[T], name: &[u8]) -> T {
    let name = String::decode(name);
    *all.iter().find(|value| format!("{value:?}") == name).unwrap_or_else(|| panic!("{name} is none of {all:?}"))
}

impl<T: Entry> Entry for Option<T> {
    fn encode(&self) -> Vec<u8> {
        self.as_ref().map_or_else(Vec::new, |value| [b"+", &*value.encode()].concat())
    }

    fn decode(bytes: &[u8]) -> Self {
        bytes.strip_prefix(b"+").map(T::decode)
    }
}

/// The length of each but the last, before it.
macro_rules! of_several {
    ($($name:ident)+; $last:ident) => {
        #[allow(non_snake_case, reason = "a type and its value")]
        impl<$($name: Entry,)+ $last: Entry> Entry for ($($name,)+ $last) {
            fn encode(&self) -> Vec<u8> {
                let ($($name,)+ $last) = self;
                let mut all = Vec::new();
                $(
                    let bytes = $name.encode();
                    all.extend((bytes.len() as u32).to_ne_bytes());
                    all.extend(bytes);
                )+
                all.extend($last.encode());
                all
            }

            fn decode(bytes: &[u8]) -> Self {
                $(
                    let (length, bytes) = bytes.split_first_chunk().expect("a length");
                    let (value, bytes) = bytes.split_at(u32::from_ne_bytes(*length) as usize);
                    let $name = $name::decode(value);
                )+
                ($($name,)+ $last::decode(bytes))
            }
        }
    };
}

of_several!(A; B);
of_several!(A B; C);
of_several!(A B C; D);
