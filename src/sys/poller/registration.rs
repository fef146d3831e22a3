//! A second descriptor of a connection that waits, under the connection's own token.

use std::io;
use std::sync::Arc;

use super::EDGE;
use super::Poller;
use crate::sys::Descriptor;
use crate::sys::Watch;

/// Whether a descriptor is registered, where, and for what. The owner of the descriptor [ends](Self::end) it before that
/// is closed.
#[derive(Debug, Default)]
pub(crate) struct Registration(Option<(Arc<Poller>, Watch)>);

impl Registration {
    /// Has `poller` report `descriptor` under `token` when it is ready for what `watch` says. What is ready already is
    /// reported at once; with edges it may also be reported for reading where that is not asked for.
    pub(crate) fn arm(
        &mut self,
        poller: &Arc<Poller>,
        descriptor: Descriptor<'_>,
        token: u64,
        watch: Watch,
    ) -> io::Result<()> {
        let (_, armed) = match &mut self.0 {
            Some(registered) => registered,
            none => {
                poller.add(descriptor, token)?;
                none.insert((Arc::clone(poller), Watch::READ))
            }
        };
        // An edge costs nothing where it does not come, and to change what is watched for costs a call.
        let needed = if EDGE { Watch { read: true, ..watch } } else { watch };
        if !needed.is_nothing() && (!EDGE || *armed != needed) {
            poller.watch(descriptor, token, needed)?;
            *armed = needed;
        }
        Ok(())
    }

    pub(crate) fn end(&mut self, descriptor: Descriptor<'_>) {
        if let Some((poller, _)) = self.0.take() {
            // A poller that does not know it any more has nothing left to forget.
            let _ = poller.delete(descriptor);
        }
    }
}
