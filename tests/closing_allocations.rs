//! What the server does to close a connection takes no memory: the worker's read buffer serves it, too.

#![allow(unsafe_code, reason = "an allocator that counts")]

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use socketserver::Flow;
use socketserver::TcpServer;

/// Allocations of the size of a read buffer.
static BUFFERS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

const BUFFER: usize = 64 * 1024;

// SAFETY: as the system's allocator, which is called with what it was called with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() == BUFFER {
            BUFFERS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.size() == BUFFER {
            BUFFERS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_lingering_close_allocates_no_buffer() {
    let server = TcpServer::bind_fn("127.0.0.1:0", |request| {
        request.write_all(b"bye")?;
        Ok(Flow::Close)
    })
    .unwrap();
    let address = server.local_addr();
    let server = server.serve_in_background().unwrap();
    let mut allocated = Vec::new();
    for _ in 0..50 {
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"?").unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"bye");
        allocated.push(BUFFERS.load(Ordering::Relaxed));
    }
    // The worker has one buffer, taken with the first connection.
    assert_eq!(allocated.first(), allocated.last(), "{allocated:?}");
    drop(server);
}
