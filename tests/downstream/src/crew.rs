//! A fixed number of threads that take requests from a queue, each to its end.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::mpsc;
use std::thread::JoinHandle;

use socketserver::BindError;
use socketserver::ServeError;
use socketserver::dispatch::Dispatch;
use socketserver::dispatch::Process;
use socketserver::dispatch::Rejected;
use socketserver::dispatch::ServeLoop;
use socketserver::dispatch::ServesInBackground;
use socketserver::dispatch::Task;

/// This many threads.
#[derive(Clone, Copy, Debug)]
pub struct Crew(pub usize);

impl Default for Crew {
    fn default() -> Self {
        Self(2)
    }
}

impl Dispatch for Crew {
    const NAME: &'static str = "Crew";

    fn check(&self) -> Result<(), BindError> {
        if self.0 > 0 {
            return Ok(());
        }
        let reason = "a crew without members serves no request".to_owned();
        Err(BindError::Option { option: "Crew", value: self.0.to_string(), reason })
    }
}

impl ServesInBackground for Crew {}

/// The threads, and the queue that feeds them.
#[derive(Debug)]
pub struct Running<J> {
    queue: Option<mpsc::Sender<J>>,
    threads: Vec<JoinHandle<()>>,
}

impl<J: Task + Send + 'static> Process<J> for Crew {
    type Running = Running<J>;

    fn start(&self, _: &mut ServeLoop<J>) -> Result<Running<J>, ServeError> {
        let (sender, receiver) = mpsc::channel::<J>();
        let receiver = Arc::new(Mutex::new(receiver));
        let mut threads = Vec::new();
        for _ in 0..self.0 {
            let receiver = Arc::clone(&receiver);
            let thread = std::thread::Builder::new().spawn(move || {
                loop {
                    let next = receiver.lock().unwrap().recv();
                    let Ok(task) = next else { return };
                    task.run();
                }
            });
            threads.push(thread.map_err(|source| ServeError::Start { dispatch: Self::NAME, source })?);
        }
        Ok(Running { queue: Some(sender), threads })
    }

    fn process_request(&self, running: &mut Running<J>, _: &mut ServeLoop<J>, task: J) -> Result<(), Rejected<J>> {
        let queue = running.queue.as_ref().expect("open until it is dropped");
        queue.send(task).map_err(|refused| Rejected::new(refused.0, io::ErrorKind::BrokenPipe.into()))
    }
}

impl<J> Drop for Running<J> {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
